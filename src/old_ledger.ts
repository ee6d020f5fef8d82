/**
 * Ledgers of release 1.0.0, which lack most columns.
 *
 * @module
 */

import type { Call } from './call.ts';
import { contentionOf } from './contention.ts';
import { checkLedger } from './foreign_table.ts';
import { hurried } from './postgres.ts';
import { patiently } from './wait.ts';

/**
 * Adds the columns that a ledger of release 1.0.0 lacks. One that a racing caller has added
 * meanwhile is as good.
 *
 * @returns False if the ledger is not there, as far as can be seen.
 * @throws {ForeignTableError} The table belongs to another tool.
 */
export async function modernizeLedger(call: Call): Promise<boolean> {
  const present = await checkLedger(call);
  const missing = present.length > 0 ? call.ledger.table.addColumns(present) : [];
  for (const query of missing) {
    await patiently(async () => {
      try {
        await call.handle.executeQuery(hurried(call, query));
      } catch (error) {
        if (contentionOf(error) !== 'exists') throw error;
      }
    });
  }
  if (missing.length > 0) {
    call.log('the ledger of an older release has got its new columns');
  }
  return present.length > 0;
}
