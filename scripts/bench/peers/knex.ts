/**
 * knex.
 *
 * @module
 */

import createKnex, { type Knex } from 'knex';
import ClientBetterSqlite3 from 'knex/lib/dialects/better-sqlite3/index.js';

import { tableName } from '../../../tests/support/schema.ts';
import { VERSION } from '../schema.ts';
import type { Install, Peer } from './peer.ts';

/** knex. */
export const knex: Peer = {
  name: 'knex',
  package: 'knex',
  absent: 'its package has no dialect for libSQL or D1',
  note: 'on Postgres with a pool of its own, connected before',
  on: {
    postgres: async ({ url }, { tables }) => {
      const db = createKnex({ client: 'pg', connection: url, pool: { min: 0, max: 2 }, ...quiet });
      await db.raw('select 1');
      open.push(db);
      return installWith(db, tables);
    },
    sqlite: ({ database }, { tables }) => {
      // The caller's own connection, so that its statements are counted.
      class Client extends ClientBetterSqlite3 {
        acquireRawConnection() {
          return Promise.resolve(database);
        }
        destroyRawConnection() {
          return Promise.resolve();
        }
      }
      const db = createKnex({
        client: Client as never,
        useNullAsDefault: true,
        connection: {},
        ...quiet,
      });
      open.push(db);
      return installWith(db, tables);
    },
  },
  settle: async () => {
    for (const db of open.splice(0)) await db.destroy();
  },
};

const open: Knex[] = [];

const quiet = { log: { warn() {}, error() {}, deprecate() {}, debug() {} } };

function installWith(db: Knex, tables: number): Install {
  const migrationSource: Knex.MigrationSource<string> = {
    getMigrations: () => Promise.resolve([VERSION]),
    getMigrationName: (name) => name,
    getMigration: () =>
      Promise.resolve({ up: (db) => createTables(db, tables), down: async () => {} }),
  };
  return () => db.migrate.latest({ migrationSource });
}

async function createTables(db: Knex, tables: number): Promise<void> {
  for (let n = 1; n <= tables; n++) {
    // `unique()` would be a statement of its own, and no peer's schema has one more than another's.
    await db.schema.createTable(tableName(n), (table) => {
      table.integer('id').primary();
      table.specificType('slug', 'varchar(200) unique').notNullable();
      table.text('title');
      table.integer('position').defaultTo(0);
    });
  }
}
