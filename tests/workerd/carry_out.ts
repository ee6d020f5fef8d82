/**
 * Runs a test of the suites inside workerd.
 *
 * @module
 */

import { sql } from 'kysely';

import { testsFor } from '../cases/all.ts';
import { testsFor as lifeTestsFor } from '../cases/lifecycle/all.ts';
import { type Capabilities, type CaseDatabase, type Db, within } from '../cases/support.ts';
import { Closers } from '../engines/engine.ts';
import { LIST_TABLES } from '../engines/list_tables.ts';
import { encodeError } from '../engines/wire.ts';
import type { Order, Suite, Verdict } from './order.ts';

/** Opens a database from inside a Worker; what has to be closed is left to `closers`. */
export type Open = (closers: Closers) => CaseDatabase;

/** Runs the test that is asked for. */
export async function carryOut(
  { engine, suite, test, ceilingMs }: Order,
  open: Open,
): Promise<Verdict> {
  const found = testsOf(suite, engine).find(({ name }) => name === test);
  const closers = new Closers();
  try {
    if (!found) throw new Error(`there is no test "${test}" for ${engine}`);
    // Timers of this request: they also keep workerd from taking it for one that hangs.
    await within(ceilingMs, found.run(open(closers)));
    return {};
  } catch (error) {
    return { error: encodeError(error) };
  } finally {
    await closers.close();
  }
}

/** A test that can be asked for. */
export interface WorkerTest {
  readonly name: string;
  /** It lets nothing else in its Worker get on for a while. */
  readonly alone?: boolean;
  run(database: CaseDatabase): Promise<void>;
}

/** The tests of a suite that an engine can run. */
export function testsOf(suite: Suite, engine: string): WorkerTest[] {
  const able = CAPABILITIES[engine]!;
  if (suite === 'conformance') return testsFor(able);
  // The older version is found by Node's file system, which is not here.
  return lifeTestsFor({ ...able, engine, older: false }).map(({ name, run }) => ({
    name,
    run: (database) =>
      run({ ...database, tables: () => tablesOf(database.connect(), able.dialect) }),
  }));
}

async function tablesOf(db: Db, dialect: keyof typeof LIST_TABLES): Promise<string[]> {
  const { rows } = await sql.raw<{ name: string }>(LIST_TABLES[dialect]).execute(db);
  return rows.map(({ name }) => name);
}

const SQLITE = { dialect: 'sqlite', concurrent: true, lasting: true, batches: true } as const;
const POSTGRES = { ...SQLITE, dialect: 'postgres', transactions: true } as const;

/** What the engines can do, as the test process has it, too. */
export const CAPABILITIES: Readonly<Record<string, Capabilities>> = {
  'd1': { ...SQLITE, transactions: false },
  'durable-object': { ...SQLITE, transactions: false },
  'libsql-http': { ...SQLITE, transactions: true, lasting: false },
  'postgres': POSTGRES,
  'postgres-js': POSTGRES,
};
