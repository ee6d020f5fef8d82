/**
 * drizzle-orm's `migrate()`.
 *
 * @module
 */

import { drizzle as drizzleSqlite } from 'drizzle-orm/better-sqlite3';
import { migrate as migrateSqlite } from 'drizzle-orm/better-sqlite3/migrator';
import { drizzle as drizzleD1 } from 'drizzle-orm/d1';
import { migrate as migrateD1 } from 'drizzle-orm/d1/migrator';
import { drizzle as drizzleLibsql } from 'drizzle-orm/libsql';
import { migrate as migrateLibsql } from 'drizzle-orm/libsql/migrator';
import { drizzle as drizzlePostgres } from 'drizzle-orm/node-postgres';
import { migrate as migratePostgres } from 'drizzle-orm/node-postgres/migrator';

import type { Dialect } from '../../../mod.ts';
import { type BenchSchema, folderWith, VERSION } from '../schema.ts';
import type { Peer } from './peer.ts';

/** drizzle-orm. */
export const drizzle: Peer = {
  name: 'drizzle-orm',
  package: 'drizzle-orm',
  on: {
    postgres: ({ pool }, schema) => {
      const db = drizzlePostgres(pool);
      return () => migratePostgres(db, configOf(schema, 'postgres'));
    },
    libsql: ({ client }, schema) => {
      const db = drizzleLibsql(client as never);
      return () => migrateLibsql(db, configOf(schema, 'sqlite'));
    },
    d1: ({ binding }, schema) => {
      const db = drizzleD1(binding as never);
      return () => migrateD1(db, configOf(schema, 'sqlite'));
    },
    sqlite: ({ database }, schema) => {
      const db = drizzleSqlite(database as never);
      return () => Promise.resolve(migrateSqlite(db, configOf(schema, 'sqlite')));
    },
  },
};

/** The folder as drizzle-kit generates it. */
function configOf({ tables, statements }: BenchSchema, dialect: Dialect) {
  const migrationsFolder = folderWith(`drizzle ${dialect} ${tables}`, () => ({
    [`${VERSION}.sql`]: statements[dialect].join(';\n--> statement-breakpoint\n'),
    'meta/_journal.json': JSON.stringify({
      version: '7',
      dialect: dialect === 'sqlite' ? 'sqlite' : 'postgresql',
      entries: [{ idx: 0, version: '7', when: 1_700_000_000_000, tag: VERSION, breakpoints: true }],
    }),
  }));
  return { migrationsFolder };
}
