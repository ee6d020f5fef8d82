/**
 * The database files of the demo, as someone who takes part in no race sees them.
 *
 * @module
 */

import { tableName } from '../../tests/support/schema.ts';
import { openSqlite } from '../../tests/support/sqlite.ts';

/** How many tables the schema has. */
export const TABLES = 30;

/** Makes an empty database in WAL mode, which the file keeps. */
export async function createDatabase(path: string): Promise<void> {
  await openSqlite(path, { journal: 'wal' }).destroy();
}

/** Counts the tables of the schema that are there. */
export async function countTables(path: string): Promise<number> {
  // Patient, since a process that closes the file as the last one has it for itself for a moment.
  const db = openSqlite(path, { busyTimeoutMs: 5_000 });
  const names = Array.from({ length: TABLES }, (_, i) => tableName(i + 1));
  const tables = await db
    .selectFrom('sqlite_master')
    .select('name')
    .where('type', '=', 'table')
    .where('name', 'in', names)
    .execute();
  await db.destroy();
  return tables.length;
}
