/**
 * Kysely 0.28 with drivers of its own, beside the version that the other tests use.
 *
 * @module
 */

import type { Dialect } from 'kysely-0.28';
import { readdirSync } from 'node:fs';

import type { Engine, TestDatabase } from '../../engines/engine.ts';
import type { Older } from './support.ts';

type Module = typeof import('kysely-0.28');

let loading: Promise<Module> | undefined;

// An alias is known to Deno alone, so it is loaded by its path.
async function load(): Promise<Module> {
  const packages = new URL('../../../node_modules/.deno/', import.meta.url);
  const folder = readdirSync(packages).find((name) => name.startsWith('kysely@0.28.'));
  return await import(new URL(`${folder}/node_modules/kysely/dist/esm/index.js`, packages).href);
}

/** How an engine's database is opened with it, where that can be done. */
export function olderKysely(
  { name }: Engine,
): ((database: TestDatabase) => Promise<Older>) | undefined {
  const dialectOf = name.startsWith('libsql') ? onLibsql : DIALECTS[name];
  return dialectOf && (async (database) => {
    const older = await (loading ??= load());
    const dialect = await dialectOf(older, database);
    return { db: new older.Kysely({ dialect }), Migrator: older.Migrator };
  });
}

type DialectOf = (older: Module, database: TestDatabase) => Promise<Dialect>;

const DIALECTS: Readonly<Record<string, DialectOf>> = {
  'better-sqlite3': async ({ SqliteDialect }, { address }) => {
    const { default: Database } = await import('better-sqlite3');
    return new SqliteDialect({ database: new Database(address) });
  },
  'postgres': ({ PostgresDialect }, { handle }) =>
    Promise.resolve(new PostgresDialect({ pool: handle!() as never })),
};

async function onLibsql(_: Module, { handle }: TestDatabase): Promise<Dialect> {
  const { LibsqlDialect } = await import('@libsql/kysely-libsql');
  return new LibsqlDialect({ client: handle!() as never }) as never;
}
