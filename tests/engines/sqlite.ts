/**
 * SQLite files: through the SQLite that the runtime ships, and through `better-sqlite3`.
 *
 * @module
 */

import { type Dialect, Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { isBun, type NativeDatabase, openNative } from '../support/sqlite.ts';
import { type ConnectOptions, type Engine, everywhereBut, once } from './engine.ts';
import { observe } from './observe.ts';
import { sqliteFiles } from './sqlite_files.ts';

type Open = (path: string, options: ConnectOptions) => Dialect;

/** `bun:sqlite` through `kysely-bun-sqlite`, elsewhere `node:sqlite` through Kysely's own dialect. */
export const sqlite: Engine = engine('sqlite', async () => {
  if (!isBun) {
    return (path, options) =>
      new SqliteDialect({ database: adapt(openNative(path, busy(options))) });
  }
  const { BunSqliteDialect } = await import('kysely-bun-sqlite');
  // Its parameter is Bun's own class, which the type checker of other runtimes does not know.
  return (path, options) =>
    new BunSqliteDialect({ database: openNative(path, busy(options)) as never });
});

/** `better-sqlite3` through Kysely's own dialect. Its package has binaries for all platforms. */
export const betterSqlite3: Engine = engine('better-sqlite3', async () => {
  const { default: Database } = await import('better-sqlite3');
  return (path, { busyTimeoutMs }) =>
    new SqliteDialect({
      database: new Database(path, busyTimeoutMs === undefined ? {} : { timeout: busyTimeoutMs }),
    });
});

function engine(name: string, load: () => Promise<Open>): Engine {
  return {
    name,
    dialect: 'sqlite',
    transactions: true,
    processes: true,
    concurrent: true,
    runtimes: everywhereBut('a Worker has no files'),
    start: once(async () => {
      const open = await load();
      return sqliteFiles(name, (path, options, closers) => {
        const db = new Kysely({ dialect: observe(open(path, options), options) });
        return closers.add(db, () => db.destroy());
      });
    }),
    open: async (path, options = {}) => {
      return new Kysely({ dialect: observe((await load())(path, options), options) });
    },
  };
}

// The observer is not to see every statement twice.
function busy({ busyTimeoutMs }: ConnectOptions): { busyTimeoutMs?: number } {
  return busyTimeoutMs === undefined ? {} : { busyTimeoutMs };
}

function adapt(database: NativeDatabase): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      return {
        reader: (statement.columns?.() ?? []).length > 0,
        all: (parameters) => statement.all(...parameters),
        run: (parameters) => statement.run(...parameters),
        iterate: (parameters) => statement.iterate(...parameters),
      };
    },
  };
}
