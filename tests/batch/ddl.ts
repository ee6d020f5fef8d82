/**
 * DDL for the tests of batches.
 *
 * @module
 */

import type { Kysely } from 'kysely';
import { schemaOf, tableName } from '../support/schema.ts';

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;

/** The tables of `schemaOf(tables)`, in a way that is harmless to repeat, as a lease needs it. */
export function schemaAgain(tables: number): (db: Db) => Promise<void> {
  return async (db) => {
    for (let n = 1; n <= tables; n++) {
      await db.schema.createTable(tableName(n)).ifNotExists()
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .execute();
    }
  };
}

/** `schemaOf(tables)` and a table more, by which it can be told who has installed. */
export function markedSchema(tables: number, mark: string): (db: Db) => Promise<void> {
  return marked(schemaOf(tables), mark);
}

/** A schema and a table more, likewise. */
export function marked(
  schema: (db: Db) => Promise<void>,
  mark: string,
): (db: Db) => Promise<void> {
  return async (db) => {
    await schema(db);
    await db.schema.createTable(mark).ifNotExists().addColumn('id', 'integer').execute();
  };
}

/** The names of the tables of `schemaOf(tables)`. */
export function namesOf(tables: number): string[] {
  return Array.from({ length: tables }, (_, n) => tableName(n + 1));
}
