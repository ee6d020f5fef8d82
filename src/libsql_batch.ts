/**
 * The batch of libSQL and Turso.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';

/** The part of a `@libsql/client` that {@linkcode libsqlBatch} uses. */
export interface LibsqlLike {
  /** Runs one statement. */
  execute(statement: never): Promise<LibsqlResult>;
  /** Runs several in one transaction. */
  batch(statements: never[], mode: 'write'): Promise<LibsqlResult[]>;
}

/** What a `@libsql/client` answers. */
export interface LibsqlResult {
  /** The names of the columns. */
  readonly columns: string[];
  /** The rows, by column number. */
  readonly rows: ArrayLike<unknown>[];
}

/**
 * The batch of a `@libsql/client`, for libSQL and Turso, over HTTP or on a file. It begins as a
 * writer: the client's own default fails at once when another caller has written meanwhile.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { bootstrapSchema, libsqlBatch, type LibsqlLike } from '@arraypress/db-migrate';
 *
 * export async function ready(db: Kysely<unknown>, client: LibsqlLike): Promise<void> {
 *   await bootstrapSchema(db, {
 *     version: '0001_initial',
 *     ddl: (db) => db.schema.createTable('users').addColumn('id', 'integer').execute(),
 *     batch: libsqlBatch(client),
 *   });
 * }
 * ```
 *
 * @param client The client that the Kysely dialect uses too.
 * @returns The batch; `client` identifies the database.
 */
export function libsqlBatch(client: LibsqlLike): AtomicBatch {
  return {
    database: client,
    async execute(statements) {
      const bound = statements.map(({ sql, parameters }) => ({ sql, args: [...parameters] }));
      const results = bound.length === 1
        ? [await client.execute(bound[0] as never)]
        : await client.batch(bound as never[], 'write');
      return results.map(({ columns, rows }) =>
        rows.map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at]])))
      );
    },
  };
}
