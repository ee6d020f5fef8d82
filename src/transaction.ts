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
    if (!first && isTransactionGone(error)) throw rolledBack(call, error);
    if (!first || first.error === error) throw error;
    call.logError('the transaction was not rolled back cleanly', error);
    throw first.error;
  }
}

// SQLite ends a transaction that it cannot commit, and Kysely's rollback then fails.
function rolledBack({ details }: Call, cause: unknown): TransactionAbortedError {
  return new TransactionAbortedError(
    `the database rolled the transaction back at its commit, as it does on a full disk, and ` +
      `Kysely keeps its error back. Nothing was installed`,
    { ...details, cause },
  );
}
