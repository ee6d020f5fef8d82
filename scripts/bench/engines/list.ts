/**
 * The engines of the benchmarks.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import { startD1 } from './d1.ts';
import { startLibsql } from './libsql.ts';
import { startPostgres } from './postgres.ts';
import { startSqlite } from './sqlite.ts';

const STARTS: Readonly<Record<EngineName, () => Promise<BenchEngine>>> = {
  postgres: startPostgres,
  libsql: startLibsql,
  d1: startD1,
  sqlite: startSqlite,
};

/** What they are called in tables. */
export const TITLES: Readonly<Record<EngineName, string>> = {
  postgres: 'Postgres',
  libsql: 'libSQL',
  d1: 'D1',
  sqlite: 'SQLite',
};

/** Engines that run from when they are first asked for until the end. */
export class Engines {
  readonly #running = new Map<EngineName, Promise<BenchEngine>>();

  /** The engine of that name, running. */
  get(name: EngineName): Promise<BenchEngine> {
    const running = this.#running.get(name) ?? STARTS[name]();
    this.#running.set(name, running);
    return running;
  }

  /** What runs, with its version. */
  async versions(): Promise<string[]> {
    return (await Promise.all(this.#running.values())).map(({ version }) => version);
  }

  async stop(): Promise<void> {
    for (const engine of this.#running.values()) await (await engine).stop();
  }
}
