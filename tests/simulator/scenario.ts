/**
 * What a simulation is about: the database, who comes to it, and with what.
 *
 * @module
 */

import type { Kysely } from 'kysely';

import type { AtomicBatch, BootstrapResult } from '../../mod.ts';
import type { World } from './server.ts';
import type { Row, Sql } from './store.ts';

// deno-lint-ignore no-explicit-any
export type Db = Kysely<any>;

/** Reads what is committed. */
export type Look = (sql: string, ...parameters: unknown[]) => Row[];

/** A schema that callers install: the DDL, and how to tell that it is there. */
export interface Schema {
  readonly version: string;
  /** True if running it again does no harm. */
  readonly isIdempotent: boolean;
  /** Runs it. `between` is called before each statement but the first, and after the last. */
  run(db: Db, between: () => void): Promise<void>;
  /** What is missing, or there too often; undefined if it is whole. */
  lacks(look: Look): string | undefined;
  /** The steps that lead to it from older versions. */
  readonly upgrades?: readonly { readonly from: string; readonly run: Schema['run'] }[];
}

/** What a protocol under test is given. */
export interface Call {
  readonly db: Db;
  readonly batch: AtomicBatch;
  readonly signal: AbortSignal;
  readonly schema: Schema;
  readonly ddl: (db: Db) => Promise<void>;
  readonly upgrades: readonly { readonly from: string; readonly ddl: Call['ddl'] }[];
  readonly caller: CallerPlan;
  readonly logger: { log(message: string): void; error(message: string): void };
}

/** A way to install a schema. */
export type Protocol = (call: Call) => Promise<Pick<BootstrapResult, 'installed' | 'outcome'>>;

/** One caller. */
export interface CallerPlan {
  readonly strategy: 'auto' | 'batch' | 'transaction' | 'lease';
  readonly schema: Schema;
  readonly onContention?: 'wait' | 'return';
  readonly assumeFresh?: boolean;
  /** How far its clocks are off, in milliseconds. */
  readonly clockMs?: number;
  /** True if its Kysely has one connection, as every one with a `SqliteAdapter` has. */
  readonly hasOneConnection?: boolean;
}

/** What is in the database before anybody comes. */
export interface Start {
  readonly name: string;
  readonly statements: readonly Sql[];
}

/** Everything that a run needs but its schedule. */
export interface Scenario {
  readonly name: string;
  readonly world: World;
  readonly callers: readonly CallerPlan[];
  readonly start?: Start;
  readonly protocol: Protocol;
  readonly waitTimeoutMs: number;
  readonly leaseMs: number;
  /** From 0 to 1, as `Math.random` gives, for one caller. Default: always 0.5. */
  readonly random?: (caller: string) => () => number;
}

/** The ledger's table. */
export const MARKER = 'migrations';

/** The names of the tables that schemas are made of. */
export const DDL_TABLES = /\b(goods|extra)\d/;

/** Tables and one row, made in `tables + 1` statements. */
export function schemaOf(
  { version = 'v1', isIdempotent = false, tables = 1, prefix = 'goods' }: {
    version?: string;
    isIdempotent?: boolean;
    tables?: number;
    prefix?: 'goods' | 'extra';
  } = {},
): Schema {
  const names = Array.from({ length: tables }, (_, index) => `${prefix}${index}`);
  return {
    version,
    isIdempotent,
    async run(db, between) {
      for (const [index, name] of names.entries()) {
        if (index > 0) between();
        let table = db.schema.createTable(name);
        if (isIdempotent) table = table.ifNotExists();
        await table
          .addColumn('id', 'integer', (column) => isIdempotent ? column.primaryKey() : column)
          .execute();
      }
      between();
      const insert = db.insertInto(names[0]!).values({ id: 1 });
      await (isIdempotent ? insert.onConflict((c) => c.doNothing()) : insert).execute();
      between();
    },
    lacks(look) {
      const found = look(`select name from sqlite_master where name like '${prefix}%'`);
      const missing = names.filter((name) => !found.some((row) => row.name === name));
      if (missing.length) return `no table ${missing.join(', ')}`;
      const rows = look(`select id from ${names[0]}`).length;
      return rows === 1 ? undefined : `${rows} rows where the DDL puts one`;
    },
  };
}

/**
 * A schema at the end of a line: what {@linkcode schemaOf} makes is its first version, and one more
 * table with a row in it the step to the second one.
 */
export function lineOf(isIdempotent = false): Schema {
  const first = schemaOf({ isIdempotent });
  const second = schemaOf({ isIdempotent, version: 'v2', prefix: 'extra' });
  return {
    version: 'v2',
    isIdempotent,
    async run(db, between) {
      await first.run(db, between);
      await second.run(db, between);
    },
    upgrades: [{ from: first.version, run: second.run }],
    lacks: (look) => first.lacks(look) ?? second.lacks(look),
  };
}

const CREATE = `create table ${MARKER} (name text not null primary key`;
const COLUMNS = 'state text, owner text, lease bigint, since bigint, previous text unique, ' +
  'checksum text';
const CLAIM = `insert into ${MARKER} (name, state, owner, lease, since) values`;

function sql(...texts: string[]): Sql[] {
  return texts.map((text) => ({ sql: text, parameters: [] }));
}

/** What callers may find. */
export const STARTS = {
  fresh: { name: 'fresh', statements: [] },
  /** A ledger of release 1.0.0 that knows another version. */
  old: {
    name: 'a ledger of 1.0.0',
    statements: sql(`${CREATE})`, `insert into ${MARKER} values ('v0')`),
  },
  /** A claim whose owner died, and which has run out. */
  expired: {
    name: 'an expired claim',
    statements: sql(`${CREATE}, ${COLUMNS})`, `${CLAIM} ('v1', 'installing', 'dead', 1, 1)`),
  },
  /** An empty ledger. */
  empty: { name: 'an empty ledger', statements: sql(`${CREATE}, ${COLUMNS})`) },
  /** The first version of a line. */
  first: {
    name: 'v1 is installed',
    statements: sql(
      `${CREATE}, ${COLUMNS})`,
      `${CLAIM} ('v1', 'installed', 'past', null, 1)`,
      'create table goods0 (id integer primary key)',
      'insert into goods0 values (1)',
    ),
  },
} satisfies Record<string, Start>;
