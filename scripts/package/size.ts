/**
 * How much of a user's bundle the library is: minified and gzipped, as a bundler makes it of the
 * packed files.
 *
 * @module
 */

import { build } from 'esbuild';
import { gzipSync } from 'node:zlib';

/** What is bundled, and how large it may be, in bytes. */
export interface SizeLimit {
  readonly what: string;
  /** The text of the bundle's entry, which lies in the package's folder. */
  readonly entry: string;
  /** What the project wants. */
  readonly goal: number;
  /** What fails the check: more than what was measured last, as compressors differ a little. */
  readonly limit: number;
}

/** All limits. */
export const SIZE_LIMITS: readonly SizeLimit[] = [
  {
    what: 'bootstrapSchema alone',
    entry: `export { bootstrapSchema } from './mod.js';`,
    goal: 5_000,
    limit: 17_849,
  },
  {
    what: 'the whole package (but ./testing)',
    entry: `export * from './mod.js';`,
    goal: 10_000,
    limit: 21_045,
  },
];

/** The size of a bundle in bytes. */
export async function bundledSize(folder: string, { entry }: SizeLimit): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: entry, resolveDir: folder, loader: 'js' },
    bundle: true,
    format: 'esm',
    logLevel: 'silent',
    minify: true,
    target: 'es2022',
    tsconfigRaw: {},
    write: false,
  });
  return gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
}

/** One line about a size: whether it is what the project wants, said either way. */
export function describeSize(size: number, { goal, limit }: SizeLimit): string {
  const verdict = size <= goal ? 'met' : 'MISSED';
  return `${kB(size)} gzipped; goal of ${kB(goal)} ${verdict}, limit ${kB(limit)}`;
}

function kB(bytes: number): string {
  return `${(bytes / 1_000).toFixed(1)} kB`;
}
