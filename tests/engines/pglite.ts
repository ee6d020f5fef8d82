/**
 * PGlite, Postgres in this process, through Kysely's own dialect. It has one connection, which its
 * instances take in turns.
 *
 * @module
 */

import type { PGlite } from '@electric-sql/pglite';
import { Kysely, PGliteDialect } from 'kysely';
import {
  Closers,
  type Engine,
  everywhereBut,
  once,
  type RunningEngine,
  type TestDatabase,
} from './engine.ts';
import { LIST_TABLES } from './list_tables.ts';
import { observe } from './observe.ts';

/** PGlite in memory. */
export const pglite: Engine = {
  name: 'pglite',
  dialect: 'postgres',
  transactions: true,
  processes: false,
  concurrent: false,
  runtimes: everywhereBut(
    'it makes WebAssembly as it starts: "Wasm code generation disallowed by embedder"',
  ),
  start: once(start),
  reuses: true,
};

async function start(): Promise<RunningEngine> {
  const { PGlite } = await import('@electric-sql/pglite');
  const all = new Closers();
  // Each database is a Postgres of its own: a copy of one that has been initialised is several
  // times faster than another initialisation.
  const template = await PGlite.create();
  const files = await template.dumpDataDir('none');
  await template.close();
  // Used again once they are empty: to make one keeps the whole process busy for most of a second.
  const idle: PGlite[] = [];
  return {
    create: async () => {
      const owned = idle.pop() ?? await PGlite.create({ loadDataDir: files });
      const { client, end } = lend(owned);
      const closers = new Closers();
      const database: TestDatabase = {
        connect: (options = {}) => {
          const dialect = new PGliteDialect({ pglite: client });
          // Not destroyed one by one: that would close the database for all of them.
          return new Kysely({ dialect: observe(dialect, options, { silentControl: true }) });
        },
        handle: () => client,
        run: async (sql) => (await client.query(sql)).rows,
        tables: async () => {
          const { rows } = await client.query<{ name: string }>(LIST_TABLES.postgres);
          return rows.map((row) => row.name);
        },
        drop: () => closers.close(),
      };
      closers.add(owned, async () => {
        end();
        if (await empty(owned)) idle.push(owned);
        // Not waited for, since that takes as long as the transaction does.
        else if (!owned.closed) owned.close().catch(() => {});
      });
      return all.add(database, () => database.drop());
    },
    stop: async () => {
      await all.close();
      for (const client of idle) await client.close();
    },
  };
}

/** The database for one user, who cannot do anything to it any more after the end. */
function lend(owned: PGlite): { client: PGlite; end(): void } {
  let isOver = false;
  const client = new Proxy(owned, {
    get(_, key) {
      const value: unknown = Reflect.get(owned, key, owned);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) =>
        isOver
          ? Promise.reject(new Error('PGlite is closed'))
          : (value as (...args: unknown[]) => unknown).apply(owned, args);
    },
  });
  return { client, end: () => isOver = true };
}

/** Removes everything. False where that cannot be done, since a transaction is still open. */
async function empty(client: PGlite): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), 1_000));
  const emptied = client.query(dropAll).then(() => client.query('discard all'))
    .then(() => true, () => false);
  try {
    return await Promise.race([emptied, late]);
  } finally {
    clearTimeout(timer);
  }
}

const dropAll = `do $$
  declare found name;
  begin
    for found in select nspname from pg_namespace
      where nspname !~ '^pg_' and nspname <> 'information_schema'
    loop
      execute format('drop schema %I cascade', found);
    end loop;
    create schema public;
    grant usage on schema public to public;
  end
$$`;
