/**
 * The table that a ledger is kept in: where it lies, and what it is made of.
 *
 * @module
 */

import { type CompiledQuery, plain } from './kysely.ts';
import { escaped, quote, quoted } from './sql.ts';
import type { Dialect } from './sql_text.ts';

/**
 * The columns beside `name`, in the order in which a ledger of release 1.0.0 gets them: the state,
 * without which nobody can claim, when all else is there.
 */
const COLUMNS = [
  ['owner', 'text'],
  ['lease', 'bigint'],
  ['since', 'bigint'],
  ['previous', 'text'],
  ['checksum', 'text'],
  ['state', 'text'],
] as const;

/** Builds the statements about one ledger's table. */
export class LedgerTable {
  /** In SQLite the database, which always has a name there. */
  readonly schema: string | undefined;
  readonly name: string;
  readonly dialect: Dialect;
  /** Its name as it stands in SQL. */
  readonly path: string;

  /** `place` is what the caller's own instance and plugins make of the table's name. */
  constructor(place: Pick<LedgerTable, 'schema' | 'name'>, dialect: Dialect) {
    this.schema = place.schema;
    this.name = place.name;
    this.dialect = dialect;
    this.path = [this.schema, this.name].flatMap((part) => part ?? []).map(quote).join('.');
  }

  create(): CompiledQuery {
    // Unique, so that two builds cannot lead one version to two different next ones.
    const columns = COLUMNS.map(([column, type]) =>
      `, ${column} ${type}${column === 'previous' ? ' unique' : ''}`
    );
    const all = `name text not null primary key${columns.join('')}`;
    return plain(`create table if not exists ${this.path} (${all})`);
  }

  /**
   * Lists the table's columns as rows of `column`, `key`, 1 for the primary key's, and `required`, 1
   * for those that an insert has to fill.
   */
  columns(): CompiledQuery {
    if (this.dialect === 'sqlite') {
      return plain(
        `select name as "column", pk as "key", "notnull" and dflt_value is null as required ` +
          `from pragma_table_info(${quoted(this.name)}, ${quoted(this.schema!)})`,
      );
    }
    return plain(
      `select attname as "column", cast(indisprimary as int) as "key", ` +
        `cast(attnotnull and not atthasdef and attidentity = '' as int) as required ` +
        `from pg_catalog.pg_attribute left join pg_catalog.pg_index ` +
        `on indrelid = attrelid and indisprimary and attnum = any(indkey) ` +
        `where attrelid = cast(to_regclass(${escaped(this.path)}) as oid) ` +
        `and attnum > 0 and not attisdropped`,
    );
  }

  /** Adds the columns that a ledger of release 1.0.0 lacks, one statement each, and their index. */
  addColumns(present: readonly string[]): CompiledQuery[] {
    const missing = COLUMNS.filter(([column]) => !present.includes(column));
    const added = missing.map(([column, type]) =>
      plain(`alter table ${this.path} add column ${column} ${type}`)
    );
    // Without its state nobody can claim, so that comes last: when the guard of the branches is there.
    const at = present.includes('state') ? added.length : -1;
    if (added.length > 0) added.splice(at, 0, this.#createIndex());
    return added;
  }

  // An index, since SQLite cannot add a unique column. Its name is cut here, as Postgres would cut a
  // long one to 63 bytes, which may be the name of the table itself.
  #createIndex(): CompiledQuery {
    const index = quote(`${this.name.slice(0, 50)}_previous_key`);
    // The schema stands before the index in SQLite, and before the table in Postgres.
    const place = this.dialect === 'sqlite'
      ? `${quote(this.schema!)}.${index} on ${quote(this.name)}`
      : `${index} on ${this.path}`;
    return plain(`create unique index if not exists ${place} (previous)`);
  }

  /**
   * Asks Postgres whether the table is there, which leaves no ERROR in its log if it is not. As text,
   * since Prisma cannot read the type. If it is missing, the answer to `look`, a condition, stands
   * beside that as `free`; and always the clock, so that nobody answers out of a cache, as Hyperdrive
   * might.
   */
  exists(look = '1'): CompiledQuery {
    const found = `cast(to_regclass(${escaped(this.path)}) as text)`;
    const free = `case when ${found} is null then ${look} end as free`;
    return plain(`select ${found} as found, clock_timestamp() as clock, ${free}`);
  }
}
