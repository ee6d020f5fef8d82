/**
 * Where a run has taken place, and with which versions.
 *
 * @module
 */

import { cpus, loadavg, release, totalmem, type } from 'node:os';

import { ROOT } from '../checks/process.ts';
import { OTHERS } from './peers/list.ts';

/** The machine and all versions. */
export interface Machine {
  readonly date: string;
  readonly system: string;
  readonly processor: string;
  readonly memoryGiB: number;
  /** How busy it was before, in processes that wanted to run in the last minute. */
  readonly load: number;
  readonly runtime: string;
  readonly library: string;
  readonly engines: readonly string[];
  readonly packages: Readonly<Record<string, string>>;
}

/** Looks around. */
export async function machine(): Promise<Omit<Machine, 'engines'>> {
  const { version, imports } = await manifest();
  const names = [
    ...OTHERS.map((peer) => peer.package),
    'pg',
    '@libsql/client',
    'better-sqlite3',
    'wrangler',
  ];
  const all = cpus();
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    system: `${type()} ${release()} ${Deno.build.arch}`,
    processor: `${all.length} x ${all[0]?.model.trim() || 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    load: loadavg()[0]!,
    runtime: `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`,
    library: version,
    packages: Object.fromEntries(
      [...new Set(names)].sort().map((name) => [name, versionIn(imports[name]!)]),
    ),
  };
}

/** The version of a package that the project imports. */
export async function versionOf(name: string): Promise<string> {
  return versionIn((await manifest()).imports[name]!);
}

interface Manifest {
  readonly version: string;
  readonly imports: Readonly<Record<string, string>>;
}

async function manifest(): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
}

function versionIn(specifier: string): string {
  return specifier.split('@').at(-1)!;
}
