/**
 * The engines that have an atomic batch, with the batch that their users have.
 *
 * @module
 */

import { type AtomicBatch, d1Batch, libsqlBatch, postgresBatch } from '../../mod.ts';
import { d1, durableObject, type ObjectStorage } from '../engines/cloudflare.ts';
import type { Connection, ConnectOptions, Engine, TestDatabase } from '../engines/engine.ts';
import { libsqlFile, libsqlHttp } from '../engines/libsql.ts';
import { pglite } from '../engines/pglite.ts';
import { pg } from '../engines/postgres.ts';

/** An engine together with the batch for it. */
export interface Subject {
  readonly name: string;
  readonly engine: Engine;
  /**
   * The driver leaves a statement that found the file busy unfinished, and until that is collected
   * as garbage nothing that its connection writes is committed. In one process, where nobody can
   * wait for a lock without stopping the others, that makes some races impossible.
   *
   * @see https://github.com/tursodatabase/libsql-client-ts/issues/352
   */
  readonly brokenWhenBusy?: true;
  /** The batch on what {@link TestDatabase.handle} gives. */
  batchOn(handle: never): AtomicBatch;
}

/** A caller's instance and the batch on the same database. */
export interface Caller {
  readonly db: Connection;
  readonly batch: AtomicBatch;
}

/** A driver as the example of `AtomicBatch` has it. */
export interface HttpDriver {
  query(sql: string, parameters: readonly unknown[]): object;
  transaction(queries: object[]): Promise<Record<string, unknown>[][]>;
}

/** To the letter the example in the doc comment of `AtomicBatch`. */
export function httpBatch(driver: HttpDriver): AtomicBatch {
  return {
    database: driver,
    execute: (statements) =>
      driver.transaction(statements.map((s) => driver.query(s.sql, s.parameters))),
  };
}

/** D1. */
export const onD1: Subject = { name: 'd1', engine: d1, batchOn: d1Batch };

/** libSQL over HTTP. */
export const onSqld: Subject = {
  name: 'libsql-http',
  engine: libsqlHttp,
  batchOn: libsqlBatch,
};

/** libSQL on a file. */
export const onLibsqlFile: Subject = {
  name: 'libsql-file',
  engine: libsqlFile,
  brokenWhenBusy: true,
  batchOn: libsqlBatch,
};

/** Postgres through `pg`. */
export const onPostgres: Subject = { name: 'postgres', engine: pg, batchOn: postgresBatch };

interface Query {
  readonly sql: string;
  readonly parameters: unknown[];
}

/** A Durable Object, through the batch that the documentation tells to write. */
export const onObject: Subject = {
  name: 'durable-object by hand',
  engine: durableObject,
  batchOn: (storage: ObjectStorage) =>
    httpBatch({
      query: (sql, parameters) => ({ sql, parameters }),
      transaction: (queries) => storage.batch(queries as Query[]),
    }),
};

/** The part of PGlite that is used here. */
interface PGliteLike {
  transaction<T>(
    run: (
      trx: {
        query(sql: string, parameters: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
      },
    ) => Promise<T>,
  ): Promise<T>;
}

/** PGlite, likewise. */
export const onPGlite: Subject = {
  name: 'pglite by hand',
  engine: pglite,
  batchOn: (client: PGliteLike) =>
    httpBatch({
      query: (sql, parameters) => ({ sql, parameters: [...parameters] }),
      transaction: (queries) =>
        client.transaction(async (trx) => {
          const rows: Record<string, unknown>[][] = [];
          for (const { sql, parameters } of queries as Query[]) {
            rows.push((await trx.query(sql, parameters)).rows);
          }
          return rows;
        }),
    }),
};

/** The batch of each engine that has one, on what {@link TestDatabase.handle} gives. */
export const BATCHES: Readonly<Record<string, (handle: never) => AtomicBatch>> = {
  'libsql-file': libsqlBatch,
  'libsql-http': libsqlBatch,
  'postgres': postgresBatch,
  'postgres-js': postgresBatch,
  'pglite': onPGlite.batchOn,
  'd1': d1Batch,
  'durable-object': onObject.batchOn,
};

/** All of them. */
export const SUBJECTS: readonly Subject[] = [
  onLibsqlFile,
  onSqld,
  onPostgres,
  onD1,
  onObject,
  onPGlite,
];

/** A caller with an instance and a batch of its own, as another process would have them. */
export function callerOn(
  { engine, batchOn }: Subject,
  database: TestDatabase,
  options: ConnectOptions = {},
): Caller {
  // SQLite's own waiting would stop everything else in this process.
  const given = engine.name === 'libsql-file' ? { busyTimeoutMs: 0, ...options } : options;
  return {
    db: database.connect(given),
    batch: batchOn(database.handle!(given) as never),
  };
}
