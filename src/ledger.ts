/**
 * The ledger: one row a version, and every statement that the protocol sends about it.
 *
 * The table's name is taken from what the caller's own instance and plugins make of it, so the
 * ledger lies where the caller's tables lie. Each guard is one statement: nothing can happen
 * between check and act.
 *
 * @module
 */

import { LONGEST_MS } from './fields.ts';
import { type CompiledQuery, plain } from './kysely.ts';
import { escaped, quote, quoted } from './sql.ts';
import type { Dialect } from './sql_text.ts';

export interface Entry {
  readonly name: string;
  /** The version that a step led from; null for one that stands alone. */
  readonly previous: string | null;
}

/** What a claim does beside claiming, on Postgres: as further columns to return, and as a source. */
export interface ClaimExtras {
  readonly columns: string;
  readonly source: string;
}

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

/**
 * The database's clock in milliseconds since 1970, read anew by every statement. In SQLite
 * `julianday` is used since `unixepoch('subsec')` is null before 3.42. For Postgres a number in
 * quotes has the type of what it is added to: an operator of anybody's, made for two types that
 * differ, would otherwise be taken in place of the server's own.
 */
const CLOCK: Readonly<Record<Dialect, string>> = {
  sqlite: `round((julianday('now') - 2440587.5) * 86400000)`,
  postgres: `round(date_part('epoch', clock_timestamp()) * '1000')`,
};

/** Where a value is bound: what the caller has named always is, what is ours stands in the text. */
const MARK: Readonly<Record<Dialect, string>> = { sqlite: '?', postgres: '$1' };

/** Makes a table of a list in JSON, which is one parameter however long: D1 takes 100 of them. */
const LINES: Readonly<Record<Dialect, string>> = {
  sqlite: `json_each(cast(? as text)) as line`,
  postgres: `json_array_elements(cast($1 as text)::json) as line`,
};

/** Builds the statements about one ledger table. */
export class Ledger {
  /** The table as the caller's plugins left its name. */
  readonly table: { readonly schema: string | undefined; readonly name: string };
  readonly #dialect: Dialect;
  readonly #path: string;
  readonly #clock: string;
  /** What a look and a guard answer with: all columns, and the database's clock beside them. */
  readonly #all: string;

  constructor(table: Ledger['table'], dialect: Dialect) {
    const { schema, name } = this.table = table;
    this.#dialect = dialect;
    this.#path = [...(schema ? [schema] : []), name].map(quote).join('.');
    this.#clock = CLOCK[dialect];
    this.#all = `*, ${this.#clock} as clock`;
  }

  /** The same table, by a name that no setting of the session leads elsewhere. */
  within(schema: string): Ledger {
    return new Ledger({ schema, name: this.table.name }, this.#dialect);
  }

  probe(version?: string): CompiledQuery {
    const sql = `select ${this.#all} from ${this.#path}`;
    return version === undefined
      ? plain(sql)
      : plain(`${sql} where name = ${MARK[this.#dialect]}`, [version]);
  }

  create(): CompiledQuery {
    // Unique, so that two builds cannot lead one version to two different next ones.
    const columns = COLUMNS.map(([column, type]) =>
      `, ${column} ${type}${column === 'previous' ? ' unique' : ''}`
    );
    const all = `name text not null primary key${columns.join('')}`;
    return plain(`create table if not exists ${this.#path} (${all})`);
  }

  /**
   * Claims versions that have no row, and returns the rows that it made. One that is there already
   * stays as it is, without an error, which on Postgres would abort the transaction and fill the
   * server's log.
   */
  claim(
    entries: readonly Entry[],
    owner: string,
    leaseMs: number,
    { columns, source }: ClaimExtras = { columns: '', source: '' },
  ): CompiledQuery {
    const claimed = `${quoted(owner)}, 'installing', ${this.#clock}, ${this.#clock} + '${leaseMs}'`;
    const ending = ` where true on conflict do nothing returning ${this.#all}${columns}`;
    return this.#insert(entries, null, claimed, source + ending);
  }

  /** Inserts installed rows; fails if any row of these names, or with one of these origins, is there. */
  install(entries: readonly Entry[], owner: string, checksum: string | null): CompiledQuery {
    const installed = `${quoted(owner)}, 'installed', ${this.#clock}, null`;
    return this.#insert(entries, checksum, installed, '');
  }

  /** Each entry with the same owner, state, since and lease; the checksum is for the last one. */
  #insert(
    entries: readonly Entry[],
    checksum: string | null,
    values: string,
    ending: string,
  ): CompiledQuery {
    const last = entries.at(-1);
    const lines = entries.map((entry) => {
      return [entry.name, entry.previous, entry === last ? checksum : null];
    });
    return plain(
      `insert into ${this.#path} (name, previous, checksum, owner, state, since, lease) ` +
        `select line.value ->> 0, line.value ->> 1, line.value ->> 2, ${values} ` +
        `from ${LINES[this.#dialect]}${ending}`,
      [JSON.stringify(lines)],
    );
  }

  /**
   * Deletes claims that have run out, and whatever this owner has claimed. One that holds longer than
   * any can was dated by a clock that was wrong, and would hold until then.
   */
  discard(dead: readonly string[], owner: string): CompiledQuery {
    return plain(
      `delete from ${this.#path} where state = 'installing' and (owner = ${quoted(owner)} ` +
        `or owner in (select line.value ->> 0 from ${LINES[this.#dialect]}) ` +
        `and cast(lease as float8) not between ${this.#clock} and ${this.#clock} + '${LONGEST_MS}')`,
      [JSON.stringify(dead.map((one) => [one]))],
    );
  }

  renew(owner: string, leaseMs: number): CompiledQuery {
    return this.#update(owner, `lease = ${this.#clock} + '${leaseMs}'`);
  }

  /** Turns the owner's claim into installed rows, and returns them; the checksum is for `version`. */
  finish(
    owner: string,
    version: string,
    checksum: string | null,
    furtherColumns: string,
  ): CompiledQuery {
    const kept = checksum === null ? 'null' : quoted(checksum);
    return this.#update(
      owner,
      `state = 'installed', lease = null, since = ${this.#clock}, ` +
        `checksum = case when name = ${MARK[this.#dialect]} then ${kept} end`,
      [version],
      furtherColumns,
    );
  }

  release(owner: string): CompiledQuery {
    return plain(`delete from ${this.#path} where ${owned(owner)}`);
  }

  #update(
    owner: string,
    change: string,
    parameters: readonly unknown[] = [],
    furtherColumns = '',
  ): CompiledQuery {
    return plain(
      `update ${this.#path} set ${change} where ${owned(owner)} ` +
        `returning ${this.#all}${furtherColumns}`,
      parameters,
    );
  }

  /**
   * Lists the table's columns as rows of `column`, `key`, 1 for the primary key's, and `required`, 1
   * for those that an insert has to fill.
   */
  columns(): CompiledQuery {
    if (this.#dialect === 'sqlite') {
      const { schema, name } = this.table;
      const path = [name, ...(schema ? [schema] : [])].map(quoted).join(', ');
      return plain(
        `select name as "column", pk as "key", "notnull" and dflt_value is null as required ` +
          `from pragma_table_info(${path})`,
      );
    }
    return plain(
      `select attname as "column", cast(indisprimary as int) as "key", ` +
        `cast(attnotnull and not atthasdef and attidentity = '' as int) as required ` +
        `from pg_catalog.pg_attribute left join pg_catalog.pg_index ` +
        `on indrelid = attrelid and indisprimary and attnum = any(indkey) ` +
        `where attrelid = cast(to_regclass(${escaped(this.#path)}) as oid) ` +
        `and attnum > 0 and not attisdropped`,
    );
  }

  /** Adds the columns that a ledger of release 1.0.0 lacks, one statement each, and their index. */
  addColumns(present: readonly string[]): CompiledQuery[] {
    const missing = COLUMNS.filter(([column]) => !present.includes(column));
    const added = missing.map(([column, type]) =>
      plain(`alter table ${this.#path} add column ${column} ${type}`)
    );
    // Without its state nobody can claim, so that comes last: when the guard of the branches is there.
    const at = present.includes('state') ? added.length : -1;
    if (added.length > 0) added.splice(at, 0, this.#createIndex());
    return added;
  }

  // An index, since SQLite cannot add a unique column. Its name is cut here, as Postgres would cut a
  // long one to 63 bytes, which may be the name of the table itself.
  #createIndex(): CompiledQuery {
    const { schema, name } = this.table;
    const index = quote(`${name.slice(0, 50)}_previous_key`);
    // The schema stands before the index in SQLite, and before the table in Postgres.
    const place = this.#dialect === 'sqlite'
      ? `${schema ? `${quote(schema)}.` : ''}${index} on ${quote(name)}`
      : `${index} on ${this.#path}`;
    return plain(`create unique index if not exists ${place} (previous)`);
  }

  /**
   * Asks Postgres whether the table is there, which leaves no ERROR in its log if it is not. As text,
   * since Prisma cannot read the type.
   */
  exists(): CompiledQuery {
    return plain(`select cast(to_regclass(${escaped(this.#path)}) as text) as found`);
  }
}

/** The guard of all that an owner does with its claim. */
function owned(owner: string): string {
  return `owner = ${quoted(owner)} and state = 'installing'`;
}
