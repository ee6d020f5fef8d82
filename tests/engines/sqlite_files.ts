/**
 * Databases that are SQLite files, whatever library reads them.
 *
 * @module
 */

import { CompiledQuery } from 'kysely';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  Closers,
  type Connection,
  type ConnectOptions,
  type RunningEngine,
  type TestDatabase,
} from './engine.ts';
import { LIST_TABLES } from './list_tables.ts';
import { scratch } from './scratch.ts';

/** Connects to a file and leaves the closing to `closers`. */
export type ConnectFile<T> = (path: string, options: ConnectOptions, closers: Closers) => T;

/** An engine whose databases are files in a temporary directory. */
export function sqliteFiles(
  name: string,
  connect: ConnectFile<Connection>,
  handle?: ConnectFile<unknown>,
): RunningEngine {
  const all = new Closers();
  return {
    create: async ({ journal = 'wal' } = {}) => {
      const directory = scratch(name);
      const path = join(directory, 'test.db');
      const closers = new Closers();
      const run = (sql: string) => runOnce(connect, path, sql);
      const database: TestDatabase = {
        address: path,
        connect: (options = {}) => connect(path, options, closers),
        ...(handle && { handle: (options = {}) => handle(path, options, closers) }),
        run,
        tables: async () => {
          const rows = await run(LIST_TABLES.sqlite) as { name: string }[];
          return rows.map((row) => row.name);
        },
        drop: async () => {
          await closers.close();
          rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
        },
      };
      all.add(database, () => database.drop());
      await run(`pragma journal_mode = ${journal}`);
      return database;
    },
    stop: () => all.close(),
  };
}

// Always with the library under test: two SQLite libraries in one process do not know of each
// other, and the one that closes the file releases the locks that the other holds on it.
async function runOnce(
  connect: ConnectFile<Connection>,
  path: string,
  sql: string,
): Promise<unknown[]> {
  const closers = new Closers();
  try {
    const db = connect(path, { busyTimeoutMs: 5_000 }, closers);
    return (await db.executeQuery(CompiledQuery.raw(sql))).rows;
  } finally {
    await closers.close();
  }
}
