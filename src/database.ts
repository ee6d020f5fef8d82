/**
 * Recognising what the caller passes as `db`.
 *
 * @module
 */

import type { BootstrapConfig } from './config.ts';
import type { SchemaErrorDetails } from './errors.ts';
import { problem } from './fields.ts';
import {
  builderOf,
  compile,
  type CompiledQuery,
  type Database,
  type Fluent,
  type Handle,
  tableOf,
} from './kysely.ts';
import { Ledger } from './ledger.ts';
import { LedgerTable } from './ledger_table.ts';
import type { Dialect } from './sql_text.ts';

/**
 * The caller's instance, checked.
 *
 * @throws {TypeError} It is not a Kysely instance, or it is a transaction.
 */
export function databaseOf(db: unknown): Database {
  const candidate = db as Partial<Database> | null | undefined;
  if (typeof candidate?.getExecutor !== 'function' || typeof candidate.transaction !== 'function') {
    // Nothing of a text, as that of a connection holds a password.
    throw new TypeError(problem('db', 'be a Kysely instance', typeof db === 'string' ? '…' : db));
  }
  if (candidate.isTransaction) {
    throw new TypeError(`Cannot use 'db' as it is a transaction: pass the Kysely instance itself`);
  }
  return candidate as Database;
}

/** Where a ledger is, and how to reach it. */
export interface Placed {
  readonly db: Database;
  /** Reads the ledger: through the batch if there is one, else on `db` without its plugins. */
  readonly handle: Handle;
  readonly dialect: Dialect;
  readonly ledger: Ledger;
  /** The schema that was asked for, as the caller's plugins left its name. */
  readonly schema: string | undefined;
  /** The table's name before plugins and, in a call, the version: for errors. */
  readonly details: SchemaErrorDetails;
}

/**
 * Places a ledger: in the schema, and on the batch if there is one.
 *
 * @throws {RangeError} A schema is named, and the database is not Postgres.
 */
export function placedOf(
  db: Database,
  given: Pick<BootstrapConfig, 'marker' | 'schema' | 'dialect' | 'batch'>,
): Placed {
  const { marker: name = 'migrations', schema, batch } = given;
  const dialect = given.dialect ?? dialectOf(db);
  if (schema !== undefined && dialect !== 'postgres') {
    throw new RangeError(problem('schema', 'be left out but on Postgres', schema));
  }
  const placed = schema === undefined ? db : db.withSchema(schema);
  // Release 1.0.0 wrote it unquoted, so Postgres folded it.
  const marker = dialect === 'postgres' ? name.toLowerCase() : name;
  const handle = batch
    ? {
      executeQuery: async ({ sql, parameters }: CompiledQuery) => ({
        rows: (await batch.execute([{ sql, parameters }]))?.[0] ?? [],
      }),
    }
    : placed.withoutPlugins();
  // By the caller's own plugins, so that the ledger lies where the caller's tables lie. What it
  // answers is not for them: one that parses JSON would make another thing of some versions.
  const place = tableOf(placed, marker);
  // Where SQLite makes a table that names no database, whatever it may find in an attached one.
  if (dialect === 'sqlite') place.schema ??= 'main';
  const ledger = new Ledger(new LedgerTable(place, dialect));
  const details = { marker, schema };
  return { db: placed, handle, dialect, ledger, schema: schema && place.schema, details };
}

/**
 * The dialect of an instance, by what it compiles: class names do not survive bundling.
 *
 * @throws {TypeError} It speaks a dialect that is not supported.
 */
export function dialectOf(db: Database): Dialect {
  const builder = builderOf(db.withoutPlugins());
  const { sql } = compile(builder.selectFrom!('t').selectAll!().where!('c', '=', 1));
  if (sql.includes('$1')) return 'postgres';
  if (isSqlite(builder)) return 'sqlite';
  const other = sql.includes('`') ? 'MySQL' : sql.includes('@1') ? 'MSSQL' : 'an unknown dialect';
  throw new TypeError(
    `Cannot use 'db' as it speaks ${other}, which is not supported: use SQLite or Postgres`,
  );
}

/** Only SQLite has such a word; some have none for it, and throw. */
function isSqlite(builder: Fluent): boolean {
  const key = (column: Fluent) => column.autoIncrement!();
  try {
    const table = builder.schema!.createTable!('t').addColumn!('c', 'integer', key);
    return /autoincrement/i.test(compile(table).sql);
  } catch {
    return false;
  }
}
