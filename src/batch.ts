/**
 * Atomic batches: several statements that are committed together or not at all, without a
 * conversation in between.
 *
 * @module
 */

import type { BatchStatement } from './recorder.ts';

/**
 * Sends statements to one database as one unit. Write your own for any driver with a batch, such
 * as an HTTP driver without interactive transactions.
 *
 * @example
 * ```ts
 * import type { AtomicBatch } from '@arraypress/db-migrate';
 *
 * interface HttpDriver {
 *   query(sql: string, parameters: readonly unknown[]): object;
 *   transaction(queries: object[]): Promise<Record<string, unknown>[][]>;
 * }
 *
 * export function httpBatch(driver: HttpDriver): AtomicBatch {
 *   return {
 *     database: driver,
 *     execute: (statements) =>
 *       driver.transaction(statements.map((s) => driver.query(s.sql, s.parameters))),
 *   };
 * }
 * ```
 */
export interface AtomicBatch {
  /** What identifies the database: the same object for every batch on it, as `env.DB` is. */
  readonly database: object;
  /**
   * Runs the statements in order, in one transaction on the primary. Rejects if one of them fails,
   * and then none has had an effect. A single statement needs no transaction around it.
   *
   * @param signal Aborted once nobody waits for the answer: what has not been sent by then, as it
   * waits for a connection, must not be sent any more.
   * @returns The rows of each statement as plain objects; an empty list where it has none.
   */
  execute(
    statements: readonly BatchStatement[],
    signal?: AbortSignal,
  ): Promise<readonly (readonly Record<string, unknown>[])[]>;
  /** What the database refuses, checked before anything is sent. */
  readonly limits?: BatchLimits;
}

/** The limits of a database, per statement. */
export interface BatchLimits {
  /** The longest text, in bytes of UTF-8. */
  readonly statementBytes?: number;
  /** The most bound parameters. */
  readonly parameters?: number;
}

/** The part of a D1 binding that {@linkcode d1Batch} uses. */
export interface D1Like {
  /** Prepares a statement. */
  prepare(sql: string): { bind(...values: unknown[]): unknown };
  /** Runs prepared statements in one transaction. */
  batch(statements: never[]): Promise<{ results?: unknown[]; success?: boolean; error?: string }[]>;
}

/**
 * The batch of a Cloudflare D1 binding, on the primary. Statements past the limits that D1
 * documents (100 000 bytes of SQL, 100 parameters) are refused before anything is sent.
 *
 * @see https://developers.cloudflare.com/d1/platform/limits/
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { createBootstrap, d1Batch, type D1Like } from '@arraypress/db-migrate';
 *
 * type Db = Kysely<{ users: { id: number } }>;
 *
 * const ensureSchema = createBootstrap({
 *   version: '0001_initial',
 *   ddl: async (db: Db) => {
 *     await db.schema.createTable('users').addColumn('id', 'integer').execute();
 *   },
 * });
 *
 * export async function handle(env: { DB: D1Like }, db: Db): Promise<void> {
 *   await ensureSchema(db, { batch: d1Batch(env.DB) });
 * }
 * ```
 *
 * @param binding The binding, as `env.DB`.
 * @returns The batch; `binding` identifies the database.
 */
export function d1Batch(binding: D1Like): AtomicBatch {
  return {
    database: binding,
    limits: { statementBytes: 100_000, parameters: 100 },
    async execute(statements) {
      const prepared = statements.map((s) => binding.prepare(s.sql).bind(...s.parameters));
      const results = await binding.batch(prepared as never[]);
      return results.map((result) => {
        // The binding itself looks at the first result only.
        if (result.success === false) throw new Error(result.error ?? 'D1 reported no success');
        return (result.results ?? []) as Record<string, unknown>[];
      });
    },
  };
}

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

/** The part of a node-postgres pool that {@linkcode postgresBatch} uses. */
export interface PostgresPoolLike {
  /** Lends a client. */
  connect(): Promise<PostgresClientLike>;
}

/** The part of a node-postgres client that {@linkcode postgresBatch} uses. */
export interface PostgresClientLike {
  /** Runs a text, or several in one where there are no values. */
  query(text: string, values?: unknown[]): Promise<unknown>;
  /** Gives the client back; `true` closes it. */
  release(destroy?: boolean): void;
  /** Listens for the loss of the connection, where the client tells of it as an event. */
  on?(event: 'error', listener: () => void): unknown;
  /** Ends that. */
  removeListener?(event: 'error', listener: () => void): unknown;
}

/**
 * The batch of a node-postgres pool, or of one that is used alike. Statements without parameters
 * that stand side by side travel together as one simple query, `begin` and `commit` with them, so
 * that a schema of any size takes as few round trips as its bound parameters allow.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { bootstrapSchema, postgresBatch, type PostgresPoolLike } from '@arraypress/db-migrate';
 *
 * export async function ready(db: Kysely<unknown>, pool: PostgresPoolLike): Promise<void> {
 *   await bootstrapSchema(db, {
 *     version: '0001_initial',
 *     ddl: (db) => db.schema.createTable('users').addColumn('id', 'integer').execute(),
 *     batch: postgresBatch(pool),
 *   });
 * }
 * ```
 *
 * @param pool The pool that the Kysely dialect uses too.
 * @returns The batch; `pool` identifies the database.
 */
export function postgresBatch(pool: PostgresPoolLike): AtomicBatch {
  return {
    database: pool,
    async execute(statements, signal) {
      const client = await pool.connect();
      if (signal?.aborted) {
        client.release();
        throw signal.reason;
      }
      // A client on loan has no listener of its pool's, and Node ends a process whose emitter of
      // an 'error' has none. The query that was under way rejects all the same.
      const ignore = () => {};
      client.on?.('error', ignore);
      const release = (isBroken: boolean) => {
        client.release(isBroken);
        client.removeListener?.('error', ignore);
      };
      try {
        const rows = await runOn(client, statements);
        release(false);
        return rows;
      } catch (error) {
        // The caller need not wait for it. A client that cannot even roll back is closed, never lent
        // again in a half-open state.
        const rollback = statements.length > 1 ? client.query('rollback') : Promise.resolve();
        rollback.then(() => release(false), () => release(true));
        throw error;
      }
    },
  };
}

async function runOn(
  client: PostgresClientLike,
  statements: readonly BatchStatement[],
): Promise<Record<string, unknown>[][]> {
  const unit = statements.length === 1
    ? statements
    : [{ sql: 'begin', parameters: [] }, ...statements, { sql: 'commit', parameters: [] }];
  const rows: Record<string, unknown>[][] = [];
  for (let at = 0; at < unit.length;) {
    const end = unit.findIndex((s, index) => index >= at && s.parameters.length > 0);
    const group = unit.slice(at, end === at ? at + 1 : end === -1 ? unit.length : end);
    // A line break first, since a statement may end in a comment.
    const text = group.map((s) => s.sql).join('\n;\n');
    const answer = await client.query(text, end === at ? [...group[0]!.parameters] : undefined);
    const answers = (Array.isArray(answer) ? answer : [answer]) as { rows?: [] }[];
    for (const one of answers) rows.push(one.rows ?? []);
    at += group.length;
  }
  return statements.length === 1 ? rows : rows.slice(1, -1);
}
