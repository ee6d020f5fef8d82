/**
 * Which batch goes with which instance: the cases hand instances around, and the strategy `'batch'`
 * needs the batch on the same database, with the same eyes on it and the same faults in it.
 *
 * @module
 */

import type { AtomicBatch, BatchStatement } from '../../mod.ts';
import { around } from '../batch/batches.ts';
import type { CaseDatabase, ConnectOptions, Db } from './support.ts';

// By the adapter, which an instance has in common with those that are derived from it, such as
// `db.withPlugin()`.
const batches = new WeakMap<object, AtomicBatch>();

/** An instance that has a batch. The observer sees a whole batch as one statement. */
export function connectWithBatch(database: CaseDatabase, options: ConnectOptions = {}): Db {
  const db = database.connect(options);
  const { onStatement, ...rest } = options;
  const before = (statements: readonly BatchStatement[]) =>
    onStatement?.(textOf(statements), statements.flatMap(({ parameters }) => [...parameters]));
  setBatch(db, around(database.batch!(rest), { before }));
  return db;
}

/** The batch of an instance, if it has one. */
export function batchOf(db: Db): AtomicBatch | undefined {
  return batches.get(db.getExecutor().adapter);
}

/** Gives an instance its batch. */
export function setBatch(db: Db, batch: AtomicBatch): void {
  batches.set(db.getExecutor().adapter, batch);
}

/** What an observer of single statements is told of several. */
export function textOf(statements: readonly BatchStatement[]): string {
  return statements.map(({ sql }) => sql).join(';\n');
}
