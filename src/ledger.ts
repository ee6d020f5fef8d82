/**
 * The ledger: one row a version, and every statement that the protocol sends about it.
 *
 * Statements are built with the caller's own instance and plugins, so the ledger lies where the
 * caller's tables lie. Each guard is one statement: nothing can happen between check and act.
 *
 * @module
 */

import {
  builderOf,
  compile,
  type CompiledQuery,
  type Database,
  type Fluent,
  tableOf,
} from './kysely.ts';
import type { Dialect } from './sql_text.ts';

/** A row of the ledger. Release 1.0.0 wrote nothing but the name. */
export interface LedgerRow {
  readonly name: string;
  /** False while a claim stands that has not been finished. */
  readonly installed: boolean;
  /** The random name of the try that claimed it. */
  readonly owner?: string | undefined;
  /** When it was claimed or installed: milliseconds since 1970 by the database's clock. */
  readonly since?: number | undefined;
  /** Until when a claim holds, likewise. */
  readonly leaseUntil?: number | undefined;
  /** True if a claim has run out by the database's clock. */
  readonly expired: boolean;
  /** The version that a step led from. */
  readonly previous?: string | undefined;
  /** The checksum of the DDL that was installed. */
  readonly checksum?: string | undefined;
  /** True for a row that neither this release nor 1.0.0 has written like this. */
  readonly isUnfamiliar?: boolean;
}

/** The checksum of a version's DDL, if it is known. */
export type Checksums = Readonly<Record<string, string>>;

/** A column beside `name`: added to a ledger of release 1.0.0, which does not have it. */
const COLUMNS = [
  ['state', 'text'],
  ['owner', 'text'],
  ['lease', 'bigint'],
  ['since', 'bigint'],
  ['previous', 'text'],
  ['checksum', 'text'],
] as const;

/** A row to claim. */
export interface Entry {
  readonly name: string;
  /** The version that a step led from; null for one that stands alone. */
  readonly previous: string | null;
}

/** Further columns for a probe to select. */
export type Extra = (eb: Fluent) => Fluent[];

/** Builds the statements about one ledger table. */
export class Ledger {
  readonly #db: Database;
  readonly #marker: string;
  readonly #dialect: Dialect;
  /** The table as the caller's plugins left its name. */
  readonly table: { readonly schema?: string; readonly name: string };

  /** `db` is the caller's instance, with its schema in place. */
  constructor(db: Database, marker: string, dialect: Dialect) {
    this.#db = db;
    this.#marker = marker;
    this.#dialect = dialect;
    this.table = tableOf(this.probe());
  }

  /** Reads the row of a version, or the whole ledger, with the database's clock beside it. */
  probe(name?: string, extra: Extra = () => []): CompiledQuery {
    const all = this.#builder.selectFrom!(this.#marker)
      .selectAll!()
      .select!((eb: Fluent) => [this.#clock(eb).as!('clock'), ...extra(eb)]);
    return compile(name === undefined ? all : all.where!('name', '=', name));
  }

  /** Creates a schema of Postgres if it is missing. */
  createSchema(schema: string): CompiledQuery {
    const plain = builderOf(this.#db.withoutPlugins());
    return compile(plain.schema!.createSchema!(schema).ifNotExists!());
  }

  /** Creates the table if it is missing. */
  create(): CompiledQuery {
    let table = this.#builder.schema!.createTable!(this.#marker)
      .ifNotExists!()
      .addColumn!('name', 'text', (column: Fluent) => column.notNull!().primaryKey!());
    for (const [column, type] of COLUMNS) {
      // Unique, so that two builds cannot lead one version to two different next ones.
      table = table.addColumn!(
        column,
        type,
        (built: Fluent) => column === 'previous' ? built.unique!() : built,
      );
    }
    return compile(table);
  }

  /**
   * Claims versions that have no row. A row that is there already stays as it is, without an
   * error, which on Postgres would abort the transaction and fill the server's log.
   */
  claim(entries: readonly Entry[], owner: string, leaseMs: number): CompiledQuery {
    return compile(
      this.#insert(entries, (eb) => ({
        state: 'installing',
        owner,
        lease: this.#leaseEnd(eb, leaseMs),
      })).onConflict!((conflict: Fluent) => conflict.doNothing!()),
    );
  }

  /** Inserts installed rows; fails if any row of these names, or with one of these origins, is there. */
  install(entries: readonly Entry[], owner: string, checksums: Checksums): CompiledQuery {
    return compile(
      this.#insert(entries, (_, { name }) => ({
        state: 'installed',
        owner,
        checksum: checksums[name] ?? null,
      })),
    );
  }

  /** Deletes claims that have run out: on these versions, or on others with the same origins. */
  discard(entries: readonly Entry[]): CompiledQuery {
    const names = entries.map(({ name }) => name);
    const origins = entries.flatMap(({ previous }) => previous === null ? [] : [previous]);
    return compile(
      this.#builder.deleteFrom!(this.#marker)
        .where!((eb: Fluent) =>
          eb.or!([
            eb('name', 'in', names),
            ...(origins.length > 0 ? [eb('previous', 'in', origins)] : []),
          ])
        )
        .where!('state', '=', 'installing')
        .where!((eb: Fluent) => eb('lease', '<', this.#clock(eb))),
    );
  }

  /** Renews the owner's claims. */
  renew(names: readonly string[], owner: string, leaseMs: number): CompiledQuery {
    return this.#owned(
      this.#builder.updateTable!(this.#marker)
        .set!((eb: Fluent) => ({ lease: this.#leaseEnd(eb, leaseMs) })),
      names,
      owner,
    );
  }

  /** Turns the owner's claims into installed rows. */
  finish(names: readonly string[], owner: string, checksums: Checksums): CompiledQuery {
    const [[name, checksum] = ['', null]] = Object.entries(checksums);
    return this.#owned(
      this.#builder.updateTable!(this.#marker).set!((eb: Fluent) => ({
        state: 'installed',
        lease: null,
        since: this.#clock(eb),
        checksum: eb.case!().when!('name', '=', name).then!(checksum).end!(),
      })),
      names,
      owner,
    );
  }

  /** Gives the owner's claims back. */
  release(names: readonly string[], owner: string): CompiledQuery {
    return this.#owned(this.#builder.deleteFrom!(this.#marker), names, owner);
  }

  /** Lists the table's columns as rows of `column` and `key`, true for the primary key's. */
  columns(): CompiledQuery {
    const { schema, name } = this.table;
    const plain = builderOf(this.#db.withoutPlugins());
    if (this.#dialect === 'sqlite') {
      return compile(
        plain.selectFrom!((eb: Fluent) =>
          eb.fn!(
            'pragma_table_info',
            [name, ...(schema ? [schema] : [])].map((part) => eb.val!(part)),
          )
            .as!('info')
        ).select!(['name as column', 'pk as key']),
      );
    }
    return compile(
      plain.selectFrom!('pg_catalog.pg_attribute as a')
        .leftJoin!(
          'pg_catalog.pg_index as i',
          (join: Fluent) =>
            join.onRef!('i.indrelid', '=', 'a.attrelid')
              .on!('i.indisprimary', '=', true)
              .on!((eb: Fluent) => eb('a.attnum', '=', eb.fn!('any', ['i.indkey']))),
        )
        .select!(['a.attname as column', 'i.indisprimary as key'])
        .where!((eb: Fluent) =>
          eb('a.attrelid', '=', eb.fn!('to_regclass', [eb.val!(this.#quoted)]))
        )
        .where!('a.attnum', '>', 0)
        .where!('a.attisdropped', '=', false),
    );
  }

  /** Adds the columns that a ledger of release 1.0.0 lacks, one statement each. */
  addColumns(present: readonly string[]): CompiledQuery[] {
    const { schema } = this.#builder;
    const added = COLUMNS.filter(([column]) => !present.includes(column)).map(([column, type]) =>
      compile(schema!.alterTable!(this.#marker).addColumn!(column, type))
    );
    // SQLite cannot add a unique column; Postgres cuts a longer name, to that of the table itself.
    const index = `${this.#marker.slice(0, 50)}_previous_key`;
    return [
      ...added,
      compile(
        schema!.createIndex!(index).ifNotExists!().unique!().on!(this.#marker).column!('previous'),
      ),
    ];
  }

  /** Asks Postgres whether the table is there, which leaves no ERROR in its log if it is not. */
  exists(): CompiledQuery {
    const plain = builderOf(this.#db.withoutPlugins());
    return compile(
      plain.selectNoFrom!((eb: Fluent) =>
        eb.fn!('to_regclass', [eb.val!(this.#quoted)]).as!('found')
      ),
    );
  }

  get #quoted(): string {
    const { schema, name } = this.table;
    return [...(schema ? [schema] : []), name].map(quote).join('.');
  }

  get #builder(): Fluent {
    return builderOf(this.#db);
  }

  #insert(
    entries: readonly Entry[],
    more: (eb: Fluent, entry: Entry) => Record<string, unknown>,
  ): Fluent {
    return this.#builder.insertInto!(this.#marker).values!((eb: Fluent) =>
      entries.map((entry) => ({ ...entry, since: this.#clock(eb), ...more(eb, entry) }))
    );
  }

  #owned(query: Fluent, names: readonly string[], owner: string): CompiledQuery {
    return compile(
      query.where!('name', 'in', names)
        .where!('owner', '=', owner)
        .where!('state', '=', 'installing'),
    );
  }

  /**
   * The database's clock in milliseconds since 1970, read anew by every statement. In SQLite
   * `julianday` is used since `unixepoch('subsec')` is null before 3.42.
   */
  #clock(eb: Fluent): Fluent {
    if (this.#dialect === 'postgres') {
      const seconds = eb.fn!('date_part', [eb.val!('epoch'), eb.fn!('clock_timestamp', [])]);
      return eb(seconds, '*', eb.val!(1_000));
    }
    const days = eb(eb.fn!('julianday', [eb.val!('now')]), '-', eb.val!(2_440_587.5));
    return eb.fn!('round', [eb(eb.parens!(days), '*', eb.val!(86_400_000))]);
  }

  #leaseEnd(eb: Fluent, leaseMs: number): Fluent {
    return eb(this.#clock(eb), '+', eb.val!(leaseMs));
  }
}

/** Reads what {@linkcode Ledger.probe} answered. */
export function rowsOf(rows: readonly Record<string, unknown>[]): LedgerRow[] {
  return rows.map((row) => {
    const leaseUntil = numberOf(row.lease);
    const installed = row.state === null || row.state === undefined || row.state === 'installed';
    const isOld = !('state' in row);
    return {
      name: String(row.name),
      isUnfamiliar: isOld && (Object.keys(row).length !== 2 || !('name' in row)),
      installed,
      owner: textOf(row.owner),
      since: numberOf(row.since),
      leaseUntil,
      expired: !installed && leaseUntil !== undefined && leaseUntil < Number(row.clock),
      previous: textOf(row.previous),
      checksum: textOf(row.checksum),
    };
  });
}

/** An identifier as it stands in SQL text. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

// Drivers return 64-bit integers as numbers, strings or bigints.
function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
