/**
 * The ledger: one row a version, and every statement that the protocol sends about its rows. Each
 * guard is one statement: nothing can happen between check and act.
 *
 * @module
 */

import { LONGEST_MS } from './fields.ts';
import { type CompiledQuery, plain } from './kysely.ts';
import { LedgerTable } from './ledger_table.ts';
import { quoted } from './sql.ts';
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

/** Builds the statements about the rows of one ledger. */
export class Ledger {
  readonly table: LedgerTable;
  readonly #clock: string;
  /** What a guard answers with: all columns, and the database's clock beside them. */
  readonly #all: string;

  constructor(table: LedgerTable) {
    this.table = table;
    this.#clock = CLOCK[table.dialect];
    this.#all = `*, ${this.#clock} as clock`;
  }

  /** The same rows, by a name of their table that no setting of the session leads elsewhere. */
  within(schema: string): Ledger {
    const { name, dialect } = this.table;
    return new Ledger(new LedgerTable({ schema, name }, dialect));
  }

  /**
   * Reads one row, or all, with the answer to `look`, a condition, beside it as `free`. There is always
   * a row, an empty one if the ledger has none: no row at all tells of a driver that keeps them.
   */
  probe(version?: string, look = '1'): CompiledQuery {
    const { path, dialect } = this.table;
    const [which, parameters] = version === undefined
      ? ['1 = 1', []]
      : [`name = ${MARK[dialect]}`, [version]];
    return plain(
      `select ledger.*, ${this.#clock} as clock, look.free ` +
        `from (select ${look} as free) as look left join ${path} as ledger on ${which}`,
      parameters,
    );
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
      `insert into ${this.table.path} (name, previous, checksum, owner, state, since, lease) ` +
        `select line.value ->> 0, line.value ->> 1, line.value ->> 2, ${values} ` +
        `from ${LINES[this.table.dialect]}${ending}`,
      [JSON.stringify(lines)],
    );
  }

  /**
   * Deletes claims that have run out, and whatever this owner has claimed. One that holds longer than
   * any can was dated by a clock that was wrong, and would hold until then.
   */
  discard(dead: readonly string[], owner: string): CompiledQuery {
    return plain(
      `delete from ${this.table.path} where state = 'installing' and (owner = ${quoted(owner)} ` +
        `or owner in (select line.value ->> 0 from ${LINES[this.table.dialect]}) ` +
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
        `checksum = case when name = ${MARK[this.table.dialect]} then ${kept} end`,
      [version],
      furtherColumns,
    );
  }

  release(owner: string): CompiledQuery {
    return plain(`delete from ${this.table.path} where ${owned(owner)}`);
  }

  #update(
    owner: string,
    change: string,
    parameters: readonly unknown[] = [],
    furtherColumns = '',
  ): CompiledQuery {
    return plain(
      `update ${this.table.path} set ${change} where ${owned(owner)} ` +
        `returning ${this.#all}${furtherColumns}`,
      parameters,
    );
  }
}

/** The guard of all that an owner does with its claim. */
function owned(owner: string): string {
  return `owner = ${quoted(owner)} and state = 'installing'`;
}
