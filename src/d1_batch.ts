/**
 * The batch of Cloudflare D1.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';

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
