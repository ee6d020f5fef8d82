/**
 * What the cases about the life of a schema are made of. Nothing here knows a test runner.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';
import type { Kysely as Older028, Migrator as OlderMigrator } from 'kysely-0.28';

import {
  type AtomicBatch,
  type BootstrapConfig,
  type BootstrapResult,
  bootstrapSchema,
  type UpgradeStep,
} from '../../../mod.ts';
import { around } from '../../batch/batches.ts';
import type {
  Capabilities,
  Case,
  CaseContext,
  CaseDatabase,
  CaseDdl,
  ConnectOptions,
  Db,
} from '../support.ts';
import { createTable } from '../support.ts';

/** An instance and, where the strategy of the case is `'batch'`, the batch on the same database. */
export interface Caller {
  readonly db: Db;
  readonly batch?: AtomicBatch;
}

/** Kysely 0.28: an instance with drivers of its own, and its Migrator. */
export interface Older {
  // deno-lint-ignore no-explicit-any
  readonly db: Older028<any>;
  readonly Migrator: typeof OlderMigrator;
}

/** What an engine can do, and which it is. */
export interface LifeCapabilities extends Capabilities {
  /** Its name. */
  readonly engine: string;
  /** Kysely 0.28 can be had beside the version that the other tests use. */
  readonly older: boolean;
}

/** The part of an engine's empty database that the cases use. */
export interface LifeDatabase extends CaseDatabase {
  /** The names of all tables. */
  tables(): Promise<string[]>;
  /** Kysely 0.28 on this database. Only where the engine has it. */
  older?(): Promise<Older>;
}

/** What a case is given: an empty database, and what its engine can do. */
export interface LifeContext extends CaseContext, Pick<LifeDatabase, 'tables'> {
  /** The name of the engine. */
  readonly engine: string;
  /** A caller with connections of its own. */
  caller(onStatement?: ConnectOptions['onStatement']): Caller;
  /** See {@linkcode LifeDatabase.older}. */
  older(): Promise<Older>;
}

/** A promise of the library, as a program that holds it to that. */
export interface LifeCase extends Omit<Case, 'needs' | 'run'> {
  /** What the engine must be able to do. */
  readonly needs?: Partial<LifeCapabilities>;
  run(t: LifeContext): Promise<void>;
}

/** A caller with connections of its own, and with a batch if asked for. */
export function callerOn(
  database: CaseDatabase,
  isBatch: boolean,
  onStatement?: ConnectOptions['onStatement'],
): Caller {
  const db = database.connect(onStatement && { onStatement });
  if (!isBatch) return { db };
  const batch = database.batch!();
  const before = (statements: readonly { sql: string }[]) =>
    onStatement?.(statements.map(({ sql }) => sql).join(';\n'));
  return { db, batch: around(batch, { before }) };
}

/** A configuration of the test, as a caller with the strategy of the case has it. */
export type LifeConfig = Partial<BootstrapConfig<Db>> & Pick<BootstrapConfig<Db>, 'version'>;

/** Bootstraps with the strategy of the case. */
export function life(
  t: LifeContext,
  config: LifeConfig,
  { db, batch }: Caller = t.caller(),
): Promise<BootstrapResult> {
  const { strategy } = t;
  const ddl = creates(`made_${config.version}`);
  return bootstrapSchema(db, { ddl, strategy, ...(batch && { batch }), ...config });
}

/** A caller together with the statements that it sends; a whole batch is one. */
export function listening(t: LifeContext): Caller & { statements: string[] } {
  const statements: string[] = [];
  return { ...t.caller((text) => statements.push(text)), statements };
}

/** DDL of some tables, which fails if any of it is there already. */
export function creates(...tables: string[]): CaseDdl {
  return async (db) => {
    for (const table of tables) await createTable(db, table);
  };
}

/** DDL that must not be run. */
export const untouched: CaseDdl = (_) => assert.fail('the ddl was run');

/** The steps of a line, each of which creates two tables named after where it leads. */
export function stepsOf(...line: string[]): UpgradeStep<Db>[] {
  return line.slice(0, -1).map((from, at) => ({
    from,
    ddl: creates(...tablesOfStep(line[at + 1]!)),
  }));
}

/** What the step to a version creates. */
export function tablesOfStep(to: string): string[] {
  return [`step_${to}_a`, `step_${to}_b`];
}

/** A configuration with a line, the last name of it being the version. */
export function lineOf(...line: string[]): LifeConfig {
  const version = line.at(-1)!;
  return { version, ddl: creates(`made_${version}`), upgrades: stepsOf(...line) };
}

/** Fails unless exactly these tables are there besides ledgers. */
export async function assertTables(t: LifeContext, expected: readonly string[]): Promise<void> {
  const found = (await t.tables()).filter((name) => !name.startsWith('migrations'));
  assert.deepEqual(found.sort(), [...expected].sort());
}

/** A row of the ledger as it is stored. */
export interface LineRow {
  name: string;
  state: string | null;
  owner: string | null;
  previous: string | null;
  checksum: string | null;
}

/** The rows of a ledger. */
export async function rows(db: Db, marker = 'migrations'): Promise<LineRow[]> {
  const found = await sql<Record<string, string | null>>`
    select * from ${sql.table(marker)} order by name`.execute(db);
  return found.rows.map(({ name, state, owner, previous, checksum }) => ({
    name: name!,
    state: state ?? null,
    owner: owner ?? null,
    previous: previous ?? null,
    checksum: checksum ?? null,
  }));
}

/** Fails unless the ledger holds exactly these versions, installed, each with its origin. */
export async function assertLine(
  db: Db,
  line: readonly (readonly [name: string, previous: string | null])[],
  marker?: string,
): Promise<void> {
  const found = await rows(db, marker);
  assert.deepEqual(
    found.map(({ name, state, previous }) => [name, state ?? 'installed', previous]),
    line.map(([name, previous]) => [name, 'installed', previous]),
  );
}

/** Writes somebody else's claim into a ledger that is there. */
export async function claim(
  db: Db,
  version: string,
  previous: string | null,
  leaseMs: number,
): Promise<void> {
  const now = Date.now();
  await sql`insert into migrations (name, state, owner, lease, since, previous)
    values (${version}, 'installing', 'somebody', ${now + leaseMs}, ${now}, ${previous})`
    .execute(db);
}
