/**
 * Kysely 0.28 with drivers of its own, beside the version that the other tests use.
 *
 * @module
 */

import { readdirSync } from 'node:fs';

import type { Engine, TestDatabase } from '../../engines/engine.ts';
import type { Older } from './support.ts';

type Module = typeof import('kysely-0.28');

let loading: Promise<Module> | undefined;

/** The module. An alias is known to Deno alone, so it is loaded by its path. */
export function kysely028(): Promise<Module> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Module> {
  const packages = new URL('../../../node_modules/.deno/', import.meta.url);
  const folder = readdirSync(packages).find((name) => name.startsWith('kysely@0.28.'));
  return await import(new URL(`${folder}/node_modules/kysely/dist/esm/index.js`, packages).href);
}

/** How an engine's database is opened with it, where that can be done. */
export function olderKysely(
  { name }: Engine,
  { address, handle }: TestDatabase,
): { older?: () => Promise<Older> } {
  if (name === 'better-sqlite3') {
    return {
      older: async () => {
        const { Kysely, SqliteDialect } = await kysely028();
        const { default: Database } = await import('better-sqlite3');
        return new Kysely({ dialect: new SqliteDialect({ database: new Database(address) }) });
      },
    };
  }
  if (name === 'postgres') {
    return {
      older: async () => {
        const { Kysely, PostgresDialect } = await kysely028();
        return new Kysely({ dialect: new PostgresDialect({ pool: handle!() as never }) });
      },
    };
  }
  if (name.startsWith('libsql')) {
    return {
      older: async () => {
        const { Kysely } = await kysely028();
        const { LibsqlDialect } = await import('@libsql/kysely-libsql');
        const dialect = new LibsqlDialect({ client: handle!() as never });
        return new Kysely({ dialect: dialect as never });
      },
    };
  }
  return {};
}
