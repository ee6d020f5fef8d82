/**
 * The library uses nothing but what every web runtime has: TypeScript's own compiler checks it with
 * the types of a page, and again with those of a worker, and without any of Deno, Node or Bun.
 *
 * @module
 */

import { type Outcome, single } from './outcome.ts';
import { inFolder, ROOT, run } from './process.ts';

/** Run from Deno's cache, so that it is no dependency of the project. */
const COMPILER = 'npm:typescript@5.9.3/tsc';

/** The libraries that are there beside ECMAScript's. */
const LIBRARIES = [['dom', 'dom.iterable', 'dom.asynciterable'], ['webworker']];

/** Counts as one test. */
export async function checkWebTypes(files: readonly string[]): Promise<Outcome> {
  return await inFolder('types-', async (folder) => {
    for (const libraries of LIBRARIES) {
      const path = `${folder}/tsconfig.json`;
      await Deno.writeTextFile(path, JSON.stringify(configuration(files, libraries)));
      const compiler = [
        Deno.execPath(),
        'run',
        '-A',
        '--quiet',
        '--no-config',
        '--no-lock',
        COMPILER,
      ];
      const { code, output } = await run([...compiler, '--project', path]);
      if (code !== 0) return single(false, `with ${libraries[0]}:\n${output}`);
    }
    return single(true, '');
  });
}

function configuration(files: readonly string[], libraries: readonly string[]): unknown {
  return {
    files: files.map((file) => `${ROOT}/${file}`),
    compilerOptions: {
      lib: ['esnext', ...libraries],
      // None of what node_modules has in "@types".
      types: [],
      target: 'esnext',
      module: 'esnext',
      moduleResolution: 'bundler',
      allowImportingTsExtensions: true,
      noEmit: true,
      skipLibCheck: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      noImplicitOverride: true,
      noUncheckedIndexedAccess: true,
      // What Node's type stripping asks for: no syntax that is more than types, and no import that
      // would have to vanish.
      erasableSyntaxOnly: true,
      verbatimModuleSyntax: true,
    },
  };
}
