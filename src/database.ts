/**
 * Recognising what the caller passes as `db`.
 *
 * @module
 */

import { problem } from './config.ts';
import { builderOf, compile, type Database } from './kysely.ts';
import type { Dialect } from './sql_text.ts';

/**
 * The caller's instance, checked.
 *
 * @throws {TypeError} It is not a Kysely instance, or it is a transaction.
 */
export function databaseOf(db: unknown): Database {
  const candidate = db as Partial<Database> | null | undefined;
  if (typeof candidate?.getExecutor !== 'function' || typeof candidate.transaction !== 'function') {
    throw new TypeError(problem('db', { words: 'be a Kysely instance' }, db));
  }
  if (candidate.isTransaction) {
    throw new TypeError(
      `Cannot bootstrap the schema as 'db' is a transaction: pass the Kysely instance itself`,
    );
  }
  return candidate as Database;
}

/**
 * The dialect of an instance, by what it compiles: class names do not survive bundling.
 *
 * @throws {TypeError} It speaks a dialect that is not supported.
 */
export function dialectOf(db: Database): Dialect {
  const { sql } = compile(
    builderOf(db.withoutPlugins()).selectFrom!('t').selectAll!().where!('c', '=', 1),
  );
  if (sql.includes('$1')) return 'postgres';
  if (sql.includes('`')) throw unsupported('MySQL');
  if (sql.includes('@1')) throw unsupported('MSSQL');
  return 'sqlite';
}

function unsupported(name: string): TypeError {
  return new TypeError(
    `Cannot bootstrap the schema as ${name} is not supported: 'db' must speak SQLite or Postgres`,
  );
}
