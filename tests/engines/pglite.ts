/**
 * PGlite, Postgres in this process, through Kysely's own dialect. It has one connection, which its
 * instances take in turns.
 *
 * @module
 */

import { Kysely, PGliteDialect } from 'kysely';
import {
  Closers,
  type Engine,
  everywhereBut,
  once,
  type RunningEngine,
  type TestDatabase,
} from './engine.ts';
import { observe } from './observe.ts';

/** PGlite in memory. */
export const pglite: Engine = {
  name: 'pglite',
  dialect: 'postgres',
  transactions: true,
  processes: false,
  concurrent: false,
  runtimes: everywhereBut('it compiles WebAssembly as it starts, which workerd refuses'),
  start: once(start),
};

async function start(): Promise<RunningEngine> {
  const { PGlite } = await import('@electric-sql/pglite');
  const all = new Closers();
  // Each database is a Postgres of its own: a copy of one that has been initialised is several
  // times faster than another initialisation.
  const template = await PGlite.create();
  const files = await template.dumpDataDir('none');
  await template.close();
  return {
    create: async () => {
      const client = await PGlite.create({ loadDataDir: files });
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
          const { rows } = await client.query<{ name: string }>(listTables);
          return rows.map((row) => row.name);
        },
        drop: () => closers.close(),
      };
      closers.add(client, () => client.closed ? undefined : client.close());
      return all.add(database, () => database.drop());
    },
    stop: () => all.close(),
  };
}

const listTables = `
  select case schemaname when 'public' then tablename else schemaname || '.' || tablename end as name
  from pg_tables where schemaname not in ('pg_catalog', 'information_schema')
  order by 1`;
