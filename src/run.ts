/**
 * A DDL as a function of the instance that it is given.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import { type Handle, plain } from './kysely.ts';

export type Run = (db: unknown) => unknown;

/** What is said of one that {@linkcode takesNone} finds. */
export const TAKES_NONE = 'a ddl declares no parameter (its length is 0)';

/** Whether one of them declares no parameter, and so must be using an instance of its own. */
export function takesNone(runs: readonly Run[]): boolean {
  return runs.some((run) => run.length === 0);
}

/** Runs one after the other. */
export async function runAll(runs: readonly Run[], db: unknown): Promise<void> {
  for (const run of runs) await run(db);
}

/** Sends the statements of a plan, which needs no answers. */
export async function replay(
  handle: Handle,
  statements: readonly BatchStatement[],
): Promise<void> {
  for (const { sql, parameters } of statements) {
    const query = plain(sql, parameters);
    await handle.executeQuery({ ...query, query: { ...query.query as object, isPlanned: true } });
  }
}
