/**
 * One call of the library: what every try of it shares.
 *
 * @module
 */

import type { Settings } from './config.ts';
import type { SchemaErrorDetails } from './errors.ts';
import type { Database, Handle } from './kysely.ts';
import type { BatchStatement } from './recorder.ts';
import { type Extra, type Ledger, type LedgerRow, rowOf } from './ledger.ts';
import type { Dialect } from './sql_text.ts';
import type { Patience } from './wait.ts';

/** What every try of one call shares. */
export interface Call {
  readonly db: Database;
  /** Runs the library's own statements: the batch if there is one, else `db`. */
  readonly handle: Handle;
  readonly settings: Settings;
  readonly dialect: Dialect;
  readonly ledger: Ledger;
  readonly patience: Patience;
  /** Marker and version, for errors. */
  readonly details: SchemaErrorDetails;
  /** The random names of all tries so far: a row that carries one of them is this caller's. */
  readonly owners: Set<string>;
  /** True once the ledger was found, or made, to have all of this release's columns. */
  isModern: boolean;
  /** The statements of the DDL, once they were recorded for a batch. */
  recorded: readonly BatchStatement[] | undefined;
  /** False once the server has turned out to have no advisory locks. */
  useAdvisoryLock: boolean;
  readonly log: (message: string) => void;
  /** Reports a second error, in place of which the first one reaches the caller. */
  readonly logError: (message: string, error: unknown) => void;
}

/** Reads the row of the version. */
export async function readRow(
  call: Call,
  handle: Handle = call.handle,
  extra?: Extra,
): Promise<LedgerRow | undefined> {
  const { version } = call.settings;
  const { rows } = await handle.executeQuery(call.ledger.probe(version, extra));
  return rowOf(rows, version);
}

/** True if a row is installed and was installed by this very call. */
export function isMine(call: Call, row: LedgerRow | undefined): boolean {
  return row?.owner !== undefined && call.owners.has(row.owner);
}
