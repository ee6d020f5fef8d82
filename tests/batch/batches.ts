/**
 * Batches with an ear in them, or a fault.
 *
 * @module
 */

import type { AtomicBatch, BatchStatement } from '../../mod.ts';

/** What happens around a batch. What throws here is what the caller of the batch gets. */
export interface Around {
  /** Before it is sent. */
  before?(statements: readonly BatchStatement[]): unknown;
  /** After it was carried out. */
  after?(statements: readonly BatchStatement[]): unknown;
}

/** The same batch, on the same database, with something around it. */
export function around(batch: AtomicBatch, { before, after }: Around): AtomicBatch {
  return {
    ...batch,
    async execute(statements) {
      await before?.(statements);
      const rows = await batch.execute(statements);
      await after?.(statements);
      return rows;
    },
  };
}

/** The same batch, and what was sent through it: the statements of each call. */
export function watched(batch: AtomicBatch): { batch: AtomicBatch; calls: string[][] } {
  const calls: string[][] = [];
  const before = (statements: readonly BatchStatement[]) => {
    calls.push(statements.map(({ sql }) => sql));
  };
  return { batch: around(batch, { before }), calls };
}

/** True for the one call that installs: several statements, among them the ledger's row. */
export function isInstall(statements: readonly BatchStatement[]): boolean {
  return statements.length > 1 && statements.some(({ sql }) => /^insert into/i.test(sql));
}
