/**
 * What it costs to have a module: the time and memory of its import in a fresh process, and its
 * size in a bundle.
 *
 * @module
 */

import { build } from 'esbuild';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { scratch } from '../../../tests/engines/scratch.ts';
import { ROOT, run as runCommand } from '../../checks/process.ts';
import { runtime, type RuntimeName } from '../../runtimes.ts';
import { told } from '../measure.ts';
import type { Run } from '../run.ts';
import { medianOf } from '../stats.ts';

/** A module in fresh processes of a runtime. */
export interface ImportRow {
  readonly runtime: string;
  readonly module: string;
  /** Medians: of the import, and of what the heap and the process have grown by it. */
  readonly ms?: number;
  readonly heapBytes?: number;
  readonly residentBytes?: number;
  readonly error?: string;
}

/** A module in a bundle for the web. */
export interface SizeRow {
  readonly module: string;
  readonly minifiedBytes: number;
  readonly gzippedBytes: number;
}

const RUNTIMES: readonly RuntimeName[] = ['deno', 'node24', 'bun'];

/** What is imported, as users do it. Ours is compiled first, as the package of npm is. */
const PEERS = [
  'kysely/migration',
  'drizzle-orm/node-postgres/migrator',
  'umzug',
  'knex',
  'node-pg-migrate',
  'postgrator',
  'graphile-migrate',
  'better-auth/db/migration',
  'graphile-worker',
  'pg-boss',
];

const BUNDLES: Readonly<Record<string, string>> = {
  'db-migrate, all of it': `export * from './mod.ts'`,
  'db-migrate, createBootstrap and d1Batch': `export { createBootstrap, d1Batch } from './mod.ts'`,
  'kysely': `export * from 'kysely'`,
  'kysely/migration': `export { Migrator } from 'kysely/migration'`,
};

/** Measures imports and sizes. */
export async function imports(
  { effort, progress }: Run,
): Promise<{ imports: ImportRow[]; sizes: SizeRow[] }> {
  const ours = await compiled();
  const modules: [string, string][] = [
    ['(an empty module)', 'data:text/javascript,'],
    ['kysely', 'kysely'],
    ['db-migrate', ours],
    ...PEERS.map((name): [string, string] => [name, name]),
  ];
  const rows: ImportRow[] = [];
  for (const name of RUNTIMES) {
    const { command, version } = await runtime(name);
    for (const [title, specifier] of modules) {
      progress.say(`import: ${name}`, title);
      const row = { runtime: `${name.replace(/\d+$/, '')} ${version}`, module: title };
      try {
        const all: Omit<ImportRow, 'runtime' | 'module'>[] = [];
        for (let n = 0; n < effort.processes; n++) all.push(await once(name, command, specifier));
        rows.push({
          ...row,
          ms: medianOf(all.map(({ ms }) => ms!)),
          heapBytes: medianOf(all.map(({ heapBytes }) => heapBytes!)),
          residentBytes: medianOf(all.map(({ residentBytes }) => residentBytes!)),
        });
      } catch (error) {
        rows.push({ ...row, error: told(error) });
      }
    }
  }
  progress.say('import: bundles');
  return { imports: rows, sizes: await Promise.all(Object.entries(BUNDLES).map(sizeOf)) };
}

async function compiled(): Promise<string> {
  const path = join(scratch('import'), 'db_migrate.mjs');
  const { outputFiles } = await build({ ...BUNDLE, entryPoints: ['mod.ts'] });
  writeFileSync(path, outputFiles[0]!.text);
  return `file://${path}`;
}

const BUNDLE = {
  absWorkingDir: ROOT,
  bundle: true,
  format: 'esm',
  logLevel: 'silent',
  target: 'es2022',
  tsconfigRaw: {},
  write: false,
} as const;

async function sizeOf([module, contents]: [string, string]): Promise<SizeRow> {
  const stdin = { contents, loader: 'ts' as const, resolveDir: ROOT };
  const { outputFiles } = await build({ ...BUNDLE, minify: true, stdin });
  const bytes = outputFiles[0]!.contents;
  return {
    module,
    minifiedBytes: bytes.length,
    gzippedBytes: gzipSync(bytes, { level: 9 }).length,
  };
}

/** Runs in the fresh process. Its first import is of nothing, which loads the loader. */
function program(specifier: string): string {
  return `
    import process from 'node:process';
    await import('data:text/javascript,export{}');
    const collect = () => globalThis.gc ? globalThis.gc() : globalThis.Bun?.gc(true);
    collect();
    const before = process.memoryUsage();
    const startedAt = performance.now();
    await import(${JSON.stringify(specifier)});
    const ms = performance.now() - startedAt;
    collect();
    const after = process.memoryUsage();
    console.log(JSON.stringify({
      ms,
      heapBytes: after.heapUsed - before.heapUsed,
      residentBytes: after.rss - before.rss,
    }));
    process.exit(0);`;
}

async function once(
  name: RuntimeName,
  command: string,
  specifier: string,
): Promise<Pick<ImportRow, 'ms' | 'heapBytes' | 'residentBytes'>> {
  const text = program(specifier);
  const arguments_ = name === 'deno'
    ? ['eval', '--v8-flags=--expose-gc', '--no-lock', text]
    : name === 'bun'
    ? ['-e', text]
    : ['--expose-gc', '--input-type=module', '-e', text];
  const { code, output } = await runCommand([command, ...arguments_], { limitMs: 30_000 });
  const line = output.trim().split('\n').findLast((line) => line.startsWith('{"ms"'));
  if (code !== 0 || line === undefined) throw new Error(output.trim() || `exit code ${code}`);
  return JSON.parse(line);
}
