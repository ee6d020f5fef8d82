/**
 * What the conformance cases are made of. Nothing here knows a test runner or an engine.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { type Kysely, sql } from 'kysely';

import {
  type AtomicBatch,
  type BootstrapConfig,
  type BootstrapResult,
  bootstrapSchema,
  type Dialect,
  type Strategy,
} from '../../mod.ts';
import { schemaOf, tableName } from '../support/schema.ts';
import { batchOf } from './batches.ts';

/** Any Kysely instance. */
// deno-lint-ignore no-explicit-any
export type Db = Kysely<any>;

/** What a case does inside the DDL, with the instance that it is given. */
export type CaseDdl = (db: Db) => unknown;

/** How a connection to the database of a case is opened. */
export interface ConnectOptions {
  /** The size of the pool, where there is one. */
  connections?: number;
  /** Sees every statement before it is sent, and what is bound to it. */
  onStatement?: (sql: string, parameters?: readonly unknown[]) => void;
}

/** The part of an engine's empty database that the cases use. */
export interface CaseDatabase {
  connect(options?: ConnectOptions): Db;
  /** A batch over connections of its own. Only where the engine has one. */
  batch?(options?: ConnectOptions): AtomicBatch;
}

/** What an engine can do. */
export interface Capabilities {
  readonly dialect: Dialect;
  /** It has interactive transactions. */
  readonly transactions: boolean;
  /** A transaction that one instance holds open leaves another one able to read. */
  readonly concurrent: boolean;
  /** A transaction lasts for as long as its owner wants, whoever else is waiting to write. */
  readonly lasting: boolean;
  /** It has an atomic batch. */
  readonly batches: boolean;
}

/** What a case is given: an empty database, and what its engine can do. */
export interface CaseContext extends Omit<CaseDatabase, 'batch'>, Capabilities {
  /** The strategy to use: `'auto'` in a case that is not run for `each`. */
  readonly strategy: Strategy | 'auto';
}

/** A promise of the library, as a program that holds it to that. */
export interface Case {
  /** The promise. */
  readonly name: string;
  /**
   * It is run once for every strategy that the engine can do; with `'live'` for those alone whose
   * ddl runs on the database as it goes, which that of a batch does not; with `'atomic'` for those
   * whose install is one unit, which that of a lease is not.
   */
  readonly each?: true | 'live' | 'atomic';
  /** It lets nothing else in its process get on for a while. */
  readonly alone?: true;
  /** What the engine must be able to do. */
  readonly needs?: Partial<Capabilities>;
  run(t: CaseContext): Promise<void>;
}

/** The version that cases install unless they say otherwise. */
export const VERSION = '0001_initial';

/** The tables of {@link install}. */
export const TABLES: readonly string[] = [1, 2, 3].map(tableName);

/** DDL of {@link TABLES}, which fails if any of it is there already. */
export const install: CaseDdl = schemaOf(TABLES.length);

/** The same as {@link install}, and harmless to repeat. */
export async function installAgain(db: Db): Promise<void> {
  for (const table of TABLES) {
    await db.schema.createTable(table).ifNotExists()
      .addColumn('id', 'integer', (column) => column.primaryKey()).execute();
  }
}

/** What takes the lock, until the transaction ends, that those have who install into the ledger. */
export const LOCK_LEDGER =
  `select pg_advisory_xact_lock(${0x64626d67}, hashtext('public.migrations'))`;

/** Creates a table of one column. */
export async function createTable(db: Db, name: string): Promise<void> {
  await db.schema.createTable(name).addColumn('id', 'integer').execute();
}

/** A configuration with the strategy of the case. */
export function configOf(
  t: CaseContext,
  ddl: CaseDdl = install,
  more: Partial<BootstrapConfig<Db>> = {},
): BootstrapConfig<Db> {
  return { version: VERSION, ddl, strategy: t.strategy, ...more };
}

/** Bootstraps with {@link configOf}, and with the batch of the instance where that is asked for. */
export function bootstrap(
  t: CaseContext,
  db: Db,
  ddl?: CaseDdl,
  more?: Partial<BootstrapConfig<Db>>,
): Promise<BootstrapResult> {
  const config = configOf(t, ddl, more);
  const batch = config.strategy === 'batch' ? batchOf(db) : undefined;
  return bootstrapSchema(db, { ...config, ...(batch && { batch }) });
}

/** An instance together with the statements that it sends. */
export function watched(t: CaseDatabase): { db: Db; statements: string[] } {
  const statements: string[] = [];
  return { db: t.connect({ onStatement: (text) => statements.push(text) }), statements };
}

/** Resolves when a caller has sent its second statement: by then its first look has been answered. */
export function looked(statements: readonly unknown[]): Promise<void> {
  return until(() => statements.length >= 2);
}

/** Which of the tables are there. */
export async function present(db: Db, tables: readonly string[] = TABLES): Promise<string[]> {
  const found: string[] = [];
  for (const table of tables) {
    try {
      await sql`select * from ${sql.table(table)}`.execute(db);
      found.push(table);
    } catch (error) {
      assert.match(allTextOf(error), /no such table|does not exist/);
    }
  }
  return found;
}

/** Fails unless every table can be used through this instance. */
export async function assertUsable(db: Db, tables: readonly string[] = TABLES): Promise<void> {
  for (const table of tables) await sql`select id from ${sql.table(table)}`.execute(db);
}

/** The message of an error and of its causes. */
export function allTextOf(error: unknown): string {
  return error instanceof Error ? `${error.message} ${allTextOf(error.cause)}` : '';
}

/** A row of the ledger as it is stored, with numbers as numbers. */
export interface StoredRow {
  name: string;
  state: string | null;
  owner: string | null;
  lease: number | null;
  since: number | null;
}

/** The rows of a ledger; none if there is no such table. */
export async function ledger(db: Db, marker = 'migrations'): Promise<StoredRow[]> {
  if ((await present(db, [marker])).length === 0) return [];
  const { rows } = await sql<Record<string, unknown>>`
    select * from ${sql.table(marker)} order by name`.execute(db);
  return rows.map(({ name, state, owner, lease, since }) => ({
    name: String(name),
    state: textOrNull(state),
    owner: textOrNull(owner),
    lease: lease === null || lease === undefined ? null : Number(lease),
    since: since === null || since === undefined ? null : Number(since),
  }));
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** The ledger's row of a version. */
export async function rowOf(db: Db, version = VERSION): Promise<StoredRow | undefined> {
  return (await ledger(db)).find(({ name }) => name === version);
}

/** A claim as another caller would have left it. */
export interface Claim {
  version?: string;
  owner?: string;
  /** For how long it still holds, in milliseconds; negative if it has expired. */
  leaseMs: number;
  /** By how much the clock that dated it was ahead, in milliseconds. */
  aheadMs?: number;
}

/** Writes somebody else's claim into the ledger, which is created first. */
export async function holdClaim(db: Db, claim: Claim): Promise<StoredRow> {
  await bootstrapSchema(db, { version: '0000_nothing', strategy: 'lease', ddl: () => {} });
  const { version = VERSION, owner = 'another-caller', leaseMs, aheadMs = 0 } = claim;
  const now = Date.now() + aheadMs;
  await sql`insert into migrations (name, state, owner, lease, since)
    values (${version}, 'installing', ${owner}, ${now + leaseMs}, ${now})`.execute(db);
  const row = await rowOf(db, version);
  assert.ok(row);
  return row;
}

/** A ledger as release 1.0.0 made it: unquoted, one column. */
export async function createOldLedger(db: Db, ...versions: string[]): Promise<void> {
  await sql`create table if not exists migrations (name text primary key)`.execute(db);
  for (const version of versions) {
    await sql`insert into migrations (name) values (${version})`.execute(db);
  }
}

/** Removes a row from the ledger, as its owner would to release its claim. */
export async function removeRow(db: Db, version = VERSION): Promise<void> {
  await patiently(() => sql`delete from migrations where name = ${version}`.execute(db));
}

/** A promise to wait for, and the way to fulfil it. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

/** Makes a {@link Gate}. */
export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

/** Resolves after a time. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The outcome of a promise, which must come in time: the ceiling is generous, not a measure. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Nothing after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a promise is rejected with. Fails if it is not rejected. */
export async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  assert.fail(`Not rejected, but resolved with ${JSON.stringify(value)}`);
}

/** Asserts that a promise is rejected with an error of a class, and returns that. */
export async function thrownAs<E extends Error>(
  // deno-lint-ignore no-explicit-any
  type: new (...args: any[]) => E,
  promise: Promise<unknown>,
): Promise<E> {
  const error = await thrownBy(promise);
  assert.ok(error instanceof type, `Expected ${type.name}, got ${error}`);
  return error;
}

/** Runs what may meet a busy database again until it does not. */
export async function patiently<T>(run: () => Promise<T>): Promise<T> {
  for (let left = 100;; left--) {
    try {
      return await run();
    } catch (error) {
      if (left === 0 || !/locked|busy/i.test(allTextOf(error))) throw error;
      await sleep(10);
    }
  }
}

/** Looks again and again until a condition is met. */
export async function until(condition: () => unknown): Promise<void> {
  for (let left = 1_000; left > 0; left--) {
    if (await condition()) return;
    await sleep(10);
  }
  assert.fail('The condition was not met in time');
}

/** Keeps everything that is logged. */
export class Log {
  readonly logged: string[] = [];
  readonly errors: string[] = [];

  log(...args: unknown[]): void {
    this.logged.push(onlyText(args));
  }

  error(...args: unknown[]): void {
    this.errors.push(onlyText(args));
  }
}

function onlyText(args: unknown[]): string {
  assert.equal(args.length, 1, 'a logger is called with one argument');
  assert.equal(typeof args[0], 'string', 'a logger is called with text');
  return args[0] as string;
}
