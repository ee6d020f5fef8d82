/**
 * The schemas that tests, demo and benchmarks install.
 *
 * @module
 */

import type { Kysely } from 'kysely';

/** The name of the n-th table, from 1. */
export function tableName(n: number): string {
  return `t${String(n).padStart(3, '0')}`;
}

/**
 * DDL of `tables` tables, each with a primary key, a unique column and two plain ones. Nothing in
 * it is "if not exists": a second run in the same database fails, as an early app's DDL would.
 */
// deno-lint-ignore no-explicit-any
export function schemaOf(tables: number): (db: Kysely<any>) => Promise<void> {
  return async (db) => {
    for (let n = 1; n <= tables; n++) await createTable(db, n);
  };
}

/** Creates the n-th table of {@link schemaOf}. */
// deno-lint-ignore no-explicit-any
export async function createTable(db: Kysely<any>, n: number): Promise<void> {
  await db.schema
    .createTable(tableName(n))
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('slug', 'varchar(200)', (column) => column.notNull().unique())
    .addColumn('title', 'text')
    .addColumn('position', 'integer', (column) => column.defaultTo(0))
    .execute();
}
