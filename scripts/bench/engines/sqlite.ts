/**
 * SQLite files through `better-sqlite3`, which all peers can use, and which tells of statements.
 *
 * @module
 */

import BetterSqlite3 from 'better-sqlite3';
import { Kysely, SqliteDialect } from 'kysely';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { scratch } from '../../../tests/engines/scratch.ts';
import type { AtomicBatch } from '../../../mod.ts';
import type { BenchDatabase, BenchEngine, SqliteCaller } from '../caller.ts';
import { type Line, noCounts } from '../lines/line.ts';
import { COUNT_TABLES } from './sqlite_count.ts';

/** Opens a file as every caller does. */
export function openSqlite(path: string, onStatement?: () => void): SqliteCaller {
  const database = new BetterSqlite3(path, onStatement ? { verbose: onStatement } : {});
  database.pragma('journal_mode = wal');
  return {
    engine: 'sqlite',
    kysely: new Kysely({ dialect: new SqliteDialect({ database }) }),
    batch: noBatch,
    database,
    path,
    close: () => Promise.resolve(void database.close()),
  };
}

/** There is no wire to save round trips on. */
const noBatch: AtomicBatch = {
  database: {},
  execute: () => Promise.reject(new Error('SQLite files have transactions')),
};

/** Starts it. */
export function startSqlite(): Promise<BenchEngine> {
  let counts = noCounts();
  const line: Line = {
    delay: () => Promise.resolve(),
    take: () => {
      const taken = counts;
      counts = noCounts();
      return Promise.resolve(taken);
    },
  };
  const create = (): Promise<BenchDatabase> => {
    const directory = scratch('bench');
    const path = join(directory, 'bench.db');
    const database: BenchDatabase = {
      caller: () => {
        const caller = openSqlite(path, () => counts.statements++);
        return Promise.resolve(caller);
      },
      tables: () => {
        const database = new BetterSqlite3(path);
        const { n } = database.prepare(COUNT_TABLES).get() as { n: number };
        database.close();
        return Promise.resolve(n);
      },
      drop: () => Promise.resolve(rmSync(directory, { recursive: true, force: true })),
    };
    return Promise.resolve(database);
  };
  const memory = new BetterSqlite3(':memory:');
  const { v } = memory.prepare('select sqlite_version() as v').get() as { v: string };
  memory.close();
  return Promise.resolve({
    name: 'sqlite',
    version: `SQLite ${v}`,
    line,
    create,
    stop: () => Promise.resolve(),
  });
}
