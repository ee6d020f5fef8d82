/**
 * Job queues, which install schemas of their own. They cannot be given ours, so that only what they
 * cost once installed can be compared.
 *
 * @module
 */

import { runMigrations } from 'graphile-worker';
import { PgBoss } from 'pg-boss';

import type { Peer } from './peer.ts';

/** pg-boss. */
export const pgBoss: Peer = {
  name: 'pg-boss',
  package: 'pg-boss',
  absent: 'it is for Postgres only',
  note: 'its own schema, as it takes no other',
  ownSchema: true,
  on: {
    postgres: ({ pool }) => async () => {
      const db = { executeSql: (sql: string, values?: unknown[]) => pool.query(sql, values) };
      const boss = new PgBoss({ db, supervise: false, schedule: false });
      boss.on('error', () => {});
      await boss.start();
      await boss.stop({ graceful: false });
    },
  },
};

/** graphile-worker. */
export const graphileWorker: Peer = {
  name: 'graphile-worker',
  package: 'graphile-worker',
  absent: 'it is for Postgres only',
  note: 'its own schema, as it takes no other',
  ownSchema: true,
  on: {
    postgres: ({ pool: pgPool }) => {
      // It insists on both, and says so otherwise.
      for (const event of ['error', 'connect']) pgPool.on(event, () => {});
      return () => runMigrations({ pgPool, logger: silent as never });
    },
  },
};

const silent = { error() {}, warn() {}, info() {}, debug() {}, scope: () => silent };
