/**
 * Installs a database schema exactly once, however many serverless isolates, processes or machines
 * start at the same moment: on Cloudflare D1, SQLite, libSQL and Postgres, through Kysely.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { bootstrapSchema } from '@arraypress/db-migrate';
 *
 * export async function ready(db: Kysely<{ users: { id: number } }>): Promise<void> {
 *   await bootstrapSchema(db, {
 *     version: '0001_initial',
 *     ddl: async (db) => {
 *       await db.schema.createTable('users')
 *         .addColumn('id', 'integer', (column) => column.primaryKey())
 *         .execute();
 *     },
 *   });
 * }
 * ```
 *
 * @module
 */

export { adoptMigrator, type AdoptOptions, type AdoptResult } from './src/adopt_migrator.ts';
export type { AtomicBatch, BatchLimits, BatchStatement } from './src/batch.ts';
export { bootstrapSchema } from './src/bootstrap.ts';
export type { BootstrapConfig, Ddl, Logger, Strategy, UpgradeStep } from './src/config.ts';
export {
  createBootstrap,
  type CreateBootstrapConfig,
  type EnsureOptions,
  type EnsureSchema,
} from './src/create_bootstrap.ts';
export { d1Batch, type D1Like } from './src/d1_batch.ts';
export {
  DdlStalledError,
  DriftError,
  ForeignTableError,
  type Holder,
  LeaseLostError,
  NewerSchemaError,
  NotAdoptableError,
  NotRecordableError,
  NoUpgradePathError,
  SchemaError,
  type SchemaErrorCode,
  type SchemaErrorDetails,
  StatementRefusedError,
  TransactionAbortedError,
  WaitTimeoutError,
} from './src/errors.ts';
export { libsqlBatch, type LibsqlLike, type LibsqlResult } from './src/libsql_batch.ts';
export { type PlanOptions, planSchema, type SchemaPlan } from './src/plan.ts';
export type { PlannedStatement, SchemaPlanData } from './src/plan_data.ts';
export {
  postgresBatch,
  type PostgresClientLike,
  type PostgresPoolLike,
} from './src/postgres_batch.ts';
export type { EncodedValue } from './src/values.ts';
export type { KyselyLike } from './src/kysely.ts';
export type { BootstrapResult } from './src/result.ts';
export { type LedgerEntry, schemaStatus, type StatusOptions } from './src/status.ts';
export type { Dialect } from './src/sql_text.ts';
