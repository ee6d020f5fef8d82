/**
 * A transaction of the caller's Kysely whose first error is the one that is thrown.
 *
 * @module
 */

import type { Call } from './call.ts';
import { isTransactionGone } from './contention.ts';
import { TransactionAbortedError } from './errors.ts';
import type { Database } from './kysely.ts';

/**
 * Runs `steps` in a transaction. Kysely throws the error of its rollback in place of the first one;
 * this throws the first, and logs the other.
 *
 * @throws {TransactionAbortedError} The database refused to commit and rolled back by itself.
 */
export async function inTransaction<T>(
  call: Call,
  steps: (trx: Database) => Promise<T>,
): Promise<T> {
  let first: { error: unknown } | undefined;
  try {
    return await call.db.transaction().execute(async (trx) => {
      try {
        return await steps(trx);
      } catch (error) {
        first = { error };
        throw error;
      }
    });
  } catch (error) {
    // SQLite ends a transaction that it cannot commit, and Kysely's rollback then fails.
    if (!first && isTransactionGone(error)) throw abortedError(call, 'at commit', error);
    if (!first || first.error === error) throw error;
    call.logError('the transaction was not rolled back cleanly', error);
    throw first.error;
  }
}

const FOUND = {
  caught: 'a statement of the ddl failed and the error was caught. Let it through, or avoid it',
  ended: 'a statement of the ddl rolled the transaction back. Find out which, and avoid it',
  lost:
    'the session that held the transaction has ended, and the driver has connected anew: call ' +
    'again. Or a statement of the ddl has removed the ledger: leave it out',
  'at commit': 'the database rolled the transaction back at its commit, as it does on a full ' +
    'disk, and Kysely keeps its error back. Call again once there is room',
} as const;

/** What has become of a transaction that cannot be committed. */
export function abortedError(
  { details }: Call,
  how: keyof typeof FOUND,
  cause: unknown,
): TransactionAbortedError {
  const problem = `${FOUND[how]}. Nothing was installed`;
  return new TransactionAbortedError(problem, { ...details, cause });
}
