/**
 * Writes the results of a run where they are kept.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Results } from '../results.ts';
import { charts } from './charts.ts';
import { markdown } from './markdown.ts';

/** Writes text, data and charts; resolves with the names of the files. */
export async function write(results: Results, folder: string): Promise<string[]> {
  mkdirSync(folder, { recursive: true });
  const files: [string, string][] = [
    ['results.md', markdown(results)],
    ['results.json', `${JSON.stringify(results, rounded, 1)}\n`],
    ...(await charts(results)).flatMap(({ name, svg }): [string, string][] => [
      [`${name}_light.svg`, svg.light],
      [`${name}_dark.svg`, svg.dark],
    ]),
  ];
  for (const [name, text] of files) writeFileSync(join(folder, name), text);
  return files.map(([name]) => name);
}

/** Nobody measures more than six digits. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value;
}
