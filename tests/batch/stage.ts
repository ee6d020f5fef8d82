/**
 * What a test of batches is given, and what it asks again and again.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { type BootstrapConfig, type BootstrapResult, bootstrapSchema } from '../../mod.ts';
import { type Db, VERSION } from '../cases/support.ts';
import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import { schemaOf } from '../support/schema.ts';
import { type Caller, callerOn, type Subject } from './subjects.ts';

/** How many tables the tests install where it does not matter. */
export const TABLES = 3;

/** A database of one engine, and callers on it. */
export interface Stage {
  readonly subject: Subject;
  readonly database: TestDatabase;
  /** A caller with connections of its own. */
  caller(): Caller;
  /** A call of the library with strategy `batch`, by default of a new caller. */
  bootstrap(more?: Partial<BootstrapConfig<Db>>, caller?: Caller): Promise<BootstrapResult>;
}

/** Something that holds for every engine with a batch. */
export interface BatchCase {
  readonly name: string;
  /** Left out where a single connection makes it impossible. */
  readonly needsConcurrency?: true;
  /** Left out where a driver does not survive that the database is busy. */
  readonly needsBusy?: true;
  run(stage: Stage): Promise<void>;
}

/** Runs a test on a database of its own. */
export function onStage<T>(subject: Subject, run: (stage: Stage) => Promise<T>): Promise<T> {
  return inDatabase(subject.engine, (database) => {
    const caller = () => callerOn(subject, database);
    return run({
      subject,
      database,
      caller,
      bootstrap: (more = {}, { db, batch } = caller()) =>
        bootstrapSchema(db, {
          version: VERSION,
          ddl: schemaOf(TABLES),
          strategy: 'batch',
          batch,
          ...more,
        }),
    });
  });
}

/** A table of the test's own, to tell whose DDL is there. */
export function createMark(db: Db, name: string): Promise<void> {
  return db.schema.createTable(name).addColumn('id', 'integer').execute();
}

/** Runs SQL as an operator would, again while the database is busy. */
export async function operate({ database }: Stage, text: string): Promise<unknown[]> {
  for (let left = 200;; left--) {
    try {
      return await database.run(text);
    } catch (error) {
      if (left === 0 || !/locked|busy/i.test(String(error))) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** The ledger's rows without the clock's. */
export async function ledgerOf(
  stage: Stage,
): Promise<{ name: string; state: string | null; owner: string | null }[]> {
  const rows = await operate(stage, 'select * from migrations order by name');
  return (rows as Record<string, string | null>[]).map(({ name, state, owner }) => ({
    name: name!,
    state: state ?? null,
    owner: owner ?? null,
  }));
}

/** Writes somebody else's claim, which has so many milliseconds left, and gives back its end. */
export async function claim(stage: Stage, leaseMs: number): Promise<number> {
  const { db } = stage.caller();
  await stage.bootstrap({ version: '0000_before', ddl: (db) => createMark(db, 'before') });
  const now = Date.now();
  await sql`insert into migrations (name, state, owner, lease, since)
    values (${VERSION}, 'installing', 'somebody', ${now + leaseMs}, ${now})`.execute(db);
  return now + leaseMs;
}

/** Fails unless exactly these tables are there besides the ledger. */
export async function assertTables(stage: Stage, expected: readonly string[]): Promise<void> {
  const found = (await stage.database.tables()).filter((name) => name !== 'migrations');
  assert.deepEqual(found, [...expected].sort());
}

/** One of the results says that it has installed, and none of the others does. */
export function assertOneInstalled(results: readonly BootstrapResult[]): void {
  const installed = results.filter((result) => result.installed);
  assert.equal(installed.length, 1, JSON.stringify(results.map(({ outcome }) => outcome)));
  assert.ok(results.every(({ outcome }) => outcome !== 'pending'));
}

/** As `Promise.all`, but nothing is left running where one of them fails. */
export async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
