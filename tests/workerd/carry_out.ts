/**
 * Runs a test of the conformance suite inside workerd.
 *
 * @module
 */

import { testsFor } from '../cases/all.ts';
import { type Capabilities, type CaseDatabase, within } from '../cases/support.ts';
import { Closers } from '../engines/engine.ts';
import { encodeError } from '../engines/wire.ts';
import type { Order, Verdict } from './order.ts';

/** Opens a database from inside a Worker; what has to be closed is left to `closers`. */
export type Open = (closers: Closers) => CaseDatabase;

/** Runs the test that is asked for. */
export async function carryOut(
  { engine, test, ceilingMs }: Order,
  open: Open,
): Promise<Verdict> {
  const found = testsFor(CAPABILITIES[engine]!).find(({ name }) => name === test);
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
