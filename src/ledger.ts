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

/** A row of the ledger. */
export interface LedgerRow {
  readonly name: string;
  /** False while a claim stands that has not been finished. */
  readonly installed: boolean;
  /** The random name of the try that claimed it; absent from rows of release 1.0.0. */
  readonly owner?: string;
  /** When it was claimed or installed: milliseconds since 1970 by the database's clock. */
  readonly since?: number;
  /** Until when a claim holds, likewise. */
  readonly leaseUntil?: number;
  /** True if a claim has run out by the database's clock. */
  readonly expired: boolean;
  /** True for a row that neither this release nor 1.0.0 has written like this. */
  readonly isUnfamiliar?: boolean;
}

/** A column beside `name`: added to a ledger of release 1.0.0, which does not have it. */
const COLUMNS = [
  ['state', 'text'],
  ['owner', 'text'],
  ['lease', 'bigint'],
  ['since', 'bigint'],
] as const;

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
    this.table = tableOf(this.probe(''));
  }

  /** Reads the row of a version, with the database's clock beside it. */
  probe(name: string, extra: Extra = () => []): CompiledQuery {
    return compile(
      this.#builder.selectFrom!(this.#marker)
        .selectAll!()
        .select!((eb: Fluent) => [this.#clock(eb).as!('clock'), ...extra(eb)])
        .where!('name', '=', name),
    );
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
    for (const [column, type] of COLUMNS) table = table.addColumn!(column, type);
    return compile(table);
  }

  /**
   * Claims a version that has no row. A row that is there already stays as it is, without an
   * error, which on Postgres would abort the transaction and fill the server's log.
   */
  claim(name: string, owner: string, leaseMs: number): CompiledQuery {
    return compile(
      this.#builder.insertInto!(this.#marker)
        .values!((eb: Fluent) => ({
          name,
          state: 'installing',
          owner,
          lease: this.#leaseEnd(eb, leaseMs),
          since: this.#clock(eb),
        }))
        .onConflict!((conflict: Fluent) => conflict.doNothing!()),
    );
  }

  /** Takes over a claim that has run out. */
  takeOver(name: string, owner: string, leaseMs: number): CompiledQuery {
    return compile(
      this.#builder.updateTable!(this.#marker)
        .set!((eb: Fluent) => ({
          owner,
          lease: this.#leaseEnd(eb, leaseMs),
          since: this.#clock(eb),
        }))
        .where!('name', '=', name)
        .where!('state', '=', 'installing')
        .where!((eb: Fluent) => eb('lease', '<', this.#clock(eb))),
    );
  }

  /** Deletes a claim that has run out, so that a batch can put its own row there. */
  discard(name: string): CompiledQuery {
    return compile(
      this.#builder.deleteFrom!(this.#marker)
        .where!('name', '=', name)
        .where!('state', '=', 'installing')
        .where!((eb: Fluent) => eb('lease', '<', this.#clock(eb))),
    );
  }

  /** Inserts an installed row; fails if any row of that name is there. */
  install(name: string, owner: string): CompiledQuery {
    return compile(
      this.#builder.insertInto!(this.#marker)
        .values!((eb: Fluent) => ({ name, state: 'installed', owner, since: this.#clock(eb) })),
    );
  }

  /** Renews the owner's claim. */
  renew(name: string, owner: string, leaseMs: number): CompiledQuery {
    return this.#owned(
      this.#builder.updateTable!(this.#marker)
        .set!((eb: Fluent) => ({ lease: this.#leaseEnd(eb, leaseMs) })),
      name,
      owner,
    );
  }

  /** Turns the owner's claim into an installed row. */
  finish(name: string, owner: string): CompiledQuery {
    return this.#owned(
      this.#builder.updateTable!(this.#marker)
        .set!((eb: Fluent) => ({ state: 'installed', lease: null, since: this.#clock(eb) })),
      name,
      owner,
    );
  }

  /** Gives the owner's claim back. */
  release(name: string, owner: string): CompiledQuery {
    return this.#owned(this.#builder.deleteFrom!(this.#marker), name, owner);
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
    return COLUMNS.filter(([column]) => !present.includes(column)).map(([column, type]) =>
      compile(this.#builder.schema!.alterTable!(this.#marker).addColumn!(column, type))
    );
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

  #owned(query: Fluent, name: string, owner: string): CompiledQuery {
    return compile(
      query.where!('name', '=', name)
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
export function rowOf(
  rows: readonly Record<string, unknown>[],
  name: string,
): LedgerRow | undefined {
  // Compared again: without such a column SQLite takes "name" for a string literal.
  const row = rows.find((candidate) => candidate.name === name);
  if (!row) return undefined;
  const leaseUntil = milliseconds(row.lease);
  const installed = row.state === null || row.state === undefined || row.state === 'installed';
  const isOld = !('state' in row);
  return {
    name,
    isUnfamiliar: isOld && Object.keys(row).some((key) => key !== 'name' && key !== 'clock'),
    installed,
    ...(typeof row.owner === 'string' && { owner: row.owner }),
    ...(row.since !== null && row.since !== undefined && { since: Number(row.since) }),
    ...(leaseUntil !== undefined && { leaseUntil }),
    expired: !installed && leaseUntil !== undefined && leaseUntil < Number(row.clock),
  };
}

/** An identifier as it stands in SQL text. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

// Drivers return 64-bit integers as numbers, strings or bigints.
function milliseconds(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
