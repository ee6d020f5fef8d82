/**
 * What a caller is told whose deadline has passed.
 *
 * @module
 */

import type { Call } from './call.ts';
import { messageOf, WaitTimeoutError } from './errors.ts';
import type { LedgerRow } from './ledger_row.ts';

/** The error for a call that `row`, a claim, or `cause`, a busy database, was in the way of. */
export function timeoutError(
  { details, patience, settings: { waitTimeoutMs } }: Call,
  row: LedgerRow | undefined,
  cause: unknown,
): WaitTimeoutError {
  const holder = row && {
    owner: `${row.owner}`,
    since: new Date(row.since ?? 0),
    leaseUntil: new Date(row.leaseUntil ?? 0),
  };
  const found = holder
    ? `"${holder.owner}" has held the claim since ${holder.since.toISOString()}, and its lease ` +
      `runs until ${holder.leaseUntil.toISOString()}`
    : cause !== undefined
    ? `the last try ended with: ${messageOf(cause)}`
    : 'another caller is installing in a transaction, or the database does not answer';
  const problem = `not installed after waiting ${Math.round(patience.elapsedMs)} ms, where ` +
    `'waitTimeoutMs' is ${waitTimeoutMs}; ${found}. Call again, or raise ` +
    `'waitTimeoutMs' if the schema takes longer`;
  return new WaitTimeoutError(problem, holder, { ...details, cause });
}
