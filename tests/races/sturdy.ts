/**
 * Instances of Kysely that survive what these tests do to their connections.
 *
 * @module
 */

import { Kysely, PostgresDialect, type PostgresPool } from 'kysely';

import type { Subject } from '../batch/subjects.ts';
import type { ConnectOptions, Engine, TestDatabase } from '../engines/engine.ts';
import { observe, observeBatch } from '../engines/observe.ts';
import type { Caller, Db } from './call.ts';

/** The part of a `pg` pool that is used here. */
export interface PgPool extends PostgresPool {
  on(event: 'connect', listener: (client: PgClient) => void): unknown;
  query(text: string): Promise<{ rows: unknown[] }>;
}

interface PgClient {
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/**
 * A `pg` pool. A client of it that is in use when its connection ends tells so by an event, and
 * not only by the query that fails: without a listener that is an uncaught error, and the end of
 * the process. The pool itself listens for idle ones only.
 */
export function sturdyPool(database: TestDatabase, options: ConnectOptions = {}): PgPool {
  const pool = database.handle!(options) as PgPool;
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** An instance whose connections may be ended at any time. */
export function connectSturdily(
  { name }: Engine,
  database: TestDatabase,
  options: ConnectOptions = {},
): Db {
  if (name !== 'postgres') return database.connect(options);
  const dialect = new PostgresDialect({ pool: sturdyPool(database, options) });
  return new Kysely({ dialect: observe(dialect, options) });
}

/** An instance and a batch whose connections may be ended at any time. */
export function sturdyCaller(
  { engine, batchOn }: Subject,
  database: TestDatabase,
  options: ConnectOptions = {},
): Required<Pick<Caller, 'db' | 'batch'>> {
  // Some handles are watched too, but each unit is to be seen once.
  const { via, connections, busyTimeoutMs } = options;
  const unseen = { via, connections, busyTimeoutMs };
  const handle = engine.name === 'postgres'
    ? sturdyPool(database, unseen)
    : database.handle!(unseen);
  return {
    db: connectSturdily(engine, database, options),
    batch: observeBatch(batchOn(handle as never), options),
  };
}
