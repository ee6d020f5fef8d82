/**
 * Tools that send a migration's file as it is.
 *
 * @module
 */

import { Logger, migrate } from 'graphile-migrate';
import { runner } from 'node-pg-migrate';
import { createHash } from 'node:crypto';
import Postgrator from 'postgrator';

import type { Dialect } from '../../../mod.ts';
import { type BenchSchema, folderWith, scriptOf } from '../schema.ts';
import type { Peer } from './peer.ts';

/** node-pg-migrate. */
export const nodePgMigrate: Peer = {
  name: 'node-pg-migrate',
  package: 'node-pg-migrate',
  absent: 'it is for Postgres only',
  note: "a racer fails unless `advisoryLockMode: 'wait'` is set, as here",
  on: {
    postgres: ({ pool }, { tables, statements }) => {
      const dir = folderWith(`node-pg-migrate ${tables}`, () => ({
        '1700000000000_initial.sql': `-- Up Migration\n${scriptOf(statements.postgres)}`,
      }));
      return async () => {
        const dbClient = await pool.connect();
        try {
          await runner({
            ...{ dbClient, dir, direction: 'up', migrationsTable: 'pgmigrations' },
            advisoryLockMode: 'wait',
            logger: { debug() {}, info() {}, warn() {}, error() {} },
          });
        } finally {
          dbClient.release();
        }
      };
    },
  },
};

/** postgrator. */
export const postgrator: Peer = {
  name: 'postgrator',
  package: 'postgrator',
  absent: 'none of its drivers is for D1',
  on: {
    postgres: ({ pool, url }, schema) => {
      const execQuery = (sql: string) => pool.query(sql);
      const database = new URL(url).pathname.slice(1);
      return () => postgratorOn(schema, 'postgres', { execQuery, database }).migrate();
    },
    libsql: ({ client }, schema) => {
      const execQuery = async (sql: string) => ({
        rows: (await client.execute(sql)).rows as never[],
      });
      const execSqlScript = (script: string) => client.executeMultiple(script);
      return () => postgratorOn(schema, 'sqlite', { execQuery, execSqlScript }).migrate();
    },
    sqlite: ({ database }, schema) => {
      const execQuery = (sql: string) => {
        const statement = database.prepare(sql);
        const rows = statement.reader ? statement.all() as never[] : [];
        if (!statement.reader) statement.run();
        return Promise.resolve({ rows });
      };
      const execSqlScript = (script: string) => Promise.resolve(void database.exec(script));
      return () => postgratorOn(schema, 'sqlite', { execQuery, execSqlScript }).migrate();
    },
  },
};

function postgratorOn(
  { tables, statements }: BenchSchema,
  dialect: Dialect,
  how: {
    database?: string;
    execQuery(sql: string): Promise<{ rows: never[] }>;
    execSqlScript?(script: string): Promise<void>;
  },
): Postgrator {
  const folder = folderWith(`postgrator ${dialect} ${tables}`, () => ({
    '001.do.initial.sql': scriptOf(statements[dialect]),
  }));
  return new Postgrator(
    {
      migrationPattern: `${folder}/*`,
      driver: dialect === 'sqlite' ? 'sqlite3' : 'pg',
      schemaTable: 'schemaversion',
      ...how,
    } as ConstructorParameters<typeof Postgrator>[0],
  );
}

/** graphile-migrate keeps its pools for a while, and ends the process if one of them fails. */
const POOL_KEPT_MS = 300;

/** graphile-migrate. */
export const graphileMigrate: Peer = {
  name: 'graphile-migrate',
  package: 'graphile-migrate',
  absent: 'it is for Postgres only',
  note: 'opens a connection of its own',
  on: {
    postgres: ({ url: connectionString }, { tables, statements }) => {
      const migrationsFolder = folderWith(`graphile-migrate ${tables}`, () => {
        const body = scriptOf(statements.postgres).trim();
        const hash = createHash('sha1').update(`${body}\n`).digest('hex');
        return {
          'committed/000001.sql': `--! Previous: -\n--! Hash: sha1:${hash}\n\n${body}\n`,
        };
      });
      const logger = new Logger(() => () => {});
      return () => migrate({ connectionString, migrationsFolder, logger });
    },
  },
  settle: () => new Promise((resolve) => setTimeout(resolve, POOL_KEPT_MS)),
};
