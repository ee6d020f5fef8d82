/**
 * Bundles a module of the tests for workerd, the same under each runtime.
 *
 * @module
 */

import { build, type Plugin } from 'esbuild';
import { builtinModules } from 'node:module';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/**
 * Bundles a module into one script.
 *
 * @param source Its path, or its text, which imports as a file in `tests/engines` would.
 */
export async function bundle(source: URL | { text: string }): Promise<string> {
  const { outputFiles } = await build({
    ...(source instanceof URL ? { entryPoints: [fileURLToPath(source)] } : {
      stdin: {
        contents: source.text,
        loader: 'ts',
        resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      },
    }),
    absWorkingDir: root,
    alias: { '@arraypress/db-migrate': `${root}mod.ts` },
    bundle: true,
    // What the assertions look at.
    define: { 'process.env.NODE_DEBUG': 'undefined', 'process.stderr': 'undefined' },
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    format: 'esm',
    keepNames: true,
    logLevel: 'silent',
    plugins: [nodeModules],
    target: 'es2022',
    // No `tsconfig.json` of a directory above is to have a say.
    tsconfigRaw: {},
    write: false,
  });
  return outputFiles[0]!.text;
}

/**
 * workerd knows Node's modules by their full name and by `import` only. Of `require`, which old
 * packages use, the bundler makes an import if there is a module in between that has one.
 */
export const nodeModules: Plugin = {
  name: 'node-modules',
  setup: (build) => {
    // Assertions are the one thing of Node's that the cases need, and there is a neutral copy.
    build.onResolve({ filter: /^node:assert\/strict$/ }, () => ({
      path: fileURLToPath(new URL('../workerd/assert.ts', import.meta.url)),
    }));
    build.onResolve({ filter: /^(node:)?[a-z_/0-9]+$/ }, ({ path, kind }) => {
      const name = path.replace(/^node:/, '');
      if (!builtinModules.includes(name)) return undefined;
      if (kind !== 'require-call') return { path: `node:${name}`, external: true };
      return { path: name, namespace: 'node-required' };
    });
    build.onLoad({ filter: /./, namespace: 'node-required' }, ({ path }) => ({
      contents: `import whole from 'node:${path}'; module.exports = whole;`,
    }));
  },
};
