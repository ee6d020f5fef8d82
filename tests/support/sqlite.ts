/**
 * SQLite files for Kysely's own `SqliteDialect`, on the SQLite that each runtime ships:
 * `node:sqlite` under Deno and Node, `bun:sqlite` under Bun.
 *
 * @module
 */

import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';

/** The part of a runtime's own statement that Kysely's `SqliteDialect` needs. */
interface NativeStatement {
  all(...parameters: unknown[]): unknown[];
  run(...parameters: unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint };
  iterate(...parameters: unknown[]): IterableIterator<unknown>;
  /** `node:sqlite` */
  columns?(): unknown[];
  /** `bun:sqlite` */
  columnNames?: string[];
}

/** The part of a runtime's own database that the tests use. */
export interface NativeDatabase {
  prepare(sql: string): NativeStatement;
  exec(sql: string): unknown;
  close(): void;
}

/** How a file is opened. */
export interface SqliteOptions {
  /** Left as the file has it where absent. */
  journal?: 'wal' | 'delete';
  /** How long SQLite itself waits for a lock. Default 0, as `node:sqlite` has it. */
  busyTimeoutMs?: number;
  /** Opens a file that exists, for reading only. */
  readOnly?: boolean;
  /** Sees the text of every statement before it is run. */
  onStatement?: (sql: string) => void;
}

// Kept in a variable, so that a bundler or type checker of another runtime does not look for them.
const bunSqlite = 'bun:sqlite';
const nodeSqlite = 'node:sqlite';

/** True under Bun, which has `bun:sqlite` instead of a complete `node:sqlite`. */
export const isBun: boolean = 'Bun' in globalThis;

const native = isBun ? await import(bunSqlite) : await import(nodeSqlite);

/** Opens a database of the runtime's own SQLite. */
export function openNative(path: string, options: SqliteOptions = {}): NativeDatabase {
  const database: NativeDatabase = isBun
    ? new native.Database(path, options.readOnly ? { readonly: true } : { create: true })
    : new native.DatabaseSync(path, { readOnly: options.readOnly ?? false });
  database.exec(`pragma busy_timeout = ${options.busyTimeoutMs ?? 0}`);
  if (options.journal) retryBusy(() => database.exec(`pragma journal_mode = ${options.journal}`));
  return database;
}

/** A Kysely instance on a SQLite file, with a connection of its own. */
// deno-lint-ignore no-explicit-any
export function openSqlite(path: string, options: SqliteOptions = {}): Kysely<any> {
  return new Kysely({
    dialect: new SqliteDialect({ database: adapt(openNative(path, options), options) }),
  });
}

function adapt(database: NativeDatabase, options: SqliteOptions): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare(sql) {
      const statement = database.prepare(sql);
      const reader = (statement.columns?.() ?? statement.columnNames ?? []).length > 0;
      const seen = <T>(run: () => T): T => {
        options.onStatement?.(sql);
        return run();
      };
      return {
        reader,
        all: (parameters) => seen(() => statement.all(...parameters)),
        run: (parameters) => seen(() => statement.run(...parameters)),
        iterate: (parameters) => seen(() => statement.iterate(...parameters)),
      };
    },
  };
}

// Changing the journal mode needs the file for itself; the busy timeout does not cover it.
function retryBusy(run: () => unknown): void {
  for (let left = 200;; left--) {
    try {
      run();
      return;
    } catch (error) {
      if (left === 0 || !/locked|busy/i.test(String(error))) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
