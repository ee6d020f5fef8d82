/**
 * The batch of Postgres.
 *
 * @module
 */

import type { AtomicBatch, BatchStatement } from './batch.ts';

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
      let isReleased = false;
      const release = (isBroken: boolean) => {
        isReleased = true;
        client.release(isBroken);
        client.removeListener?.('error', ignore);
      };
      // A query that is never answered must not keep its client for ever.
      const abandon = () => release(true);
      signal?.addEventListener('abort', abandon);
      try {
        const rows = await runOn(client, statements, signal);
        if (!isReleased) release(false);
        return rows;
      } catch (error) {
        if (isReleased) throw error;
        // The caller need not wait for it. A client that cannot even roll back is closed, never lent
        // again in a half-open state.
        const rollback = statements.length > 1 ? client.query('rollback') : Promise.resolve();
        rollback.then(() => release(false), () => release(true));
        throw error;
      } finally {
        signal?.removeEventListener('abort', abandon);
      }
    },
  };
}

async function runOn(
  client: PostgresClientLike,
  statements: readonly BatchStatement[],
  signal: AbortSignal | undefined,
): Promise<Record<string, unknown>[][]> {
  const unit = statements.length === 1
    ? statements
    : [{ sql: 'begin', parameters: [] }, ...statements, { sql: 'commit', parameters: [] }];
  const rows: Record<string, unknown>[][] = [];
  for (let at = 0; at < unit.length;) {
    signal?.throwIfAborted();
    let end = at;
    while (end < unit.length && unit[end]!.parameters.length === 0) end++;
    const group = unit.slice(at, Math.max(end, at + 1));
    // A line break first, since a statement may end in a comment.
    const text = group.map((s) => s.sql).join('\n;\n');
    const answer = await client.query(text, end === at ? [...group[0]!.parameters] : undefined);
    const answers = (Array.isArray(answer) ? answer : [answer]) as { rows?: [] }[];
    for (const one of answers) rows.push(one.rows ?? []);
    at += group.length;
  }
  return unit === statements ? rows : rows.slice(1, -1);
}
