/**
 * Runs an example as a Worker: bundled from a consumer's packages, in real workerd.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { build } from 'esbuild';

import { nodeModules } from '../../tests/engines/bundle.ts';
import { startWorkerd } from '../../tests/engines/workerd.ts';
import type { Example } from './readme.ts';

/** How many isolates start at once on one database. */
const ISOLATES = 4;

/**
 * Bundles a file of a consumer, and calls it in all isolates at once, and once more when they are
 * warm. Every answer must be what the example says.
 */
export async function runInWorkerd(
  file: string,
  { code, expected }: Example,
  { HYPERDRIVE }: Readonly<Record<string, string>>,
): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [file],
    bundle: true,
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    format: 'esm',
    logLevel: 'silent',
    plugins: [nodeModules],
    target: 'es2022',
    tsconfigRaw: {},
    write: false,
  });
  const script = outputFiles[0]!.text;
  const className = /class (\w+) extends DurableObject/.exec(code)?.[1];
  const names = Array.from({ length: ISOLATES }, (_, n) => `isolate${n}`);
  const workerd = await startWorkerd(names.map((name) => ({
    name,
    script,
    d1Databases: ['DB'],
    nodeCompat: HYPERDRIVE !== undefined,
    ...(HYPERDRIVE && { hyperdrives: { HYPERDRIVE } }),
    ...(className && { objects: { className, worker: names[0]! } }),
  })));
  try {
    for (const round of ['cold', 'warm']) {
      const answers = await Promise.all(names.map((name) => workerd.fetch(name)));
      for (const { status, text } of answers) {
        assert.equal(status, 200, `${round}: ${text}`);
        if (expected.length > 0) assert.deepEqual(text.trimEnd().split('\n'), expected, round);
      }
    }
    return `${ISOLATES} isolates at once, then again`;
  } finally {
    await workerd.stop();
  }
}
