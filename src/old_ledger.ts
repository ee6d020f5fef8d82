/**
 * Tables that are not what this release writes: ledgers of release 1.0.0, and other tools' tables.
 *
 * @module
 */

import type { Call } from './call.ts';
import { contentionOf } from './contention.ts';
import { ForeignTableError } from './errors.ts';

/**
 * Looks at the table's columns.
 *
 * @returns Their names.
 * @throws {ForeignTableError} The table's primary key is not `name`.
 */
export async function checkLedger(call: Call): Promise<string[]> {
  const { rows } = await call.handle.executeQuery(call.ledger.columns());
  const key = rows.filter((row) => Boolean(Number(row.key))).map((row) => String(row.column));
  if (key.length !== 1 || key[0] !== 'name') {
    const found = key.length ? `its primary key is "${key.join('", "')}"` : 'it has no primary key';
    throw new ForeignTableError(
      `the table belongs to another tool: ${found}, where a ledger has "name". It was left as it ` +
        `is. Choose another 'marker'`,
      call.details,
    );
  }
  return rows.map((row) => String(row.column));
}

/**
 * Adds the columns that a ledger of release 1.0.0 lacks. One that a racing caller has added
 * meanwhile is as good.
 *
 * @throws {ForeignTableError} The table's primary key is not `name`.
 */
export async function modernizeLedger(call: Call): Promise<void> {
  for (const query of call.ledger.addColumns(await checkLedger(call))) {
    try {
      await call.handle.executeQuery(query);
    } catch (error) {
      if (contentionOf(error) !== 'exists') throw error;
    }
  }
  call.log(`the ledger "${call.ledger.table.name}" of an older release has got its new columns`);
}
