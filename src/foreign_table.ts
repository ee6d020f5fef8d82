/**
 * Tables of the marker's name that belong to another tool.
 *
 * @module
 */

import type { Placed } from './database.ts';
import { ForeignTableError } from './errors.ts';

/**
 * Looks at the table's columns.
 *
 * @returns Their names.
 * @throws {ForeignTableError} The table's primary key is not `name`, or it has a column that release
 * 1.0.0, which filled `name` alone, could not have written a row without.
 */
export async function checkLedger({ handle, ledger, details }: Placed): Promise<string[]> {
  const { rows } = await handle.executeQuery(ledger.table.columns());
  const columns = (mark: string) =>
    rows.filter((row) => Boolean(Number(row[mark]))).map((row) => String(row.column));
  const key = columns('key');
  const other = columns('required').find((column) => column !== 'name');
  const found = rows.length === 0
    ? undefined // It is not there, or not yet on a replica that lags behind.
    : key.length === 0
    ? 'it has no primary key, where a ledger has "name"'
    : key.join() !== 'name'
    ? `its primary key is "${key.join('", "')}", where a ledger has "name"`
    : other !== undefined
    ? `each row of it needs a "${other}", which a ledger does not have`
    : undefined;
  if (found === undefined) return rows.map((row) => String(row.column));
  throw new ForeignTableError(
    `the table belongs to another tool: ${found}. It was left as it is. Choose another 'marker'`,
    details,
  );
}
