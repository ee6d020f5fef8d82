/**
 * What may be wrong with a version that is installed: a way to it that has left out a step, a later
 * one that this code does not know, or a DDL that was edited since.
 *
 * @module
 */

import type { Call } from './call.ts';
import { DriftError, NewerSchemaError, NoUpgradePathError } from './errors.ts';
import type { LedgerRow } from './ledger_row.ts';
import { positionOf } from './work.ts';

/**
 * Looks by which way the database came here, and ignores, logs or throws, as `onNewer` and `onDrift`
 * say, a later version of its line or that the DDL was edited.
 *
 * @throws {NoUpgradePathError} It was led past a version of the line.
 * @throws {NewerSchemaError} The database holds a later version.
 * @throws {DriftError} The checksum is another one.
 */
export function checkInstalled(
  call: Call,
  { checksum }: LedgerRow,
  rows: readonly LedgerRow[],
): void {
  const { settings: { onNewer, onDrift, version }, details, checksum: current } = call;
  const { line, held, isPast } = positionOf(call.settings, rows);
  if (isPast) throw new NoUpgradePathError(held, line, details);
  const newer = rows.find((row) => row.installed && row.previous === version);
  if (newer) {
    const found =
      `the database holds version ${JSON.stringify(newer.name)}, which comes after it. ` +
      `Deploy the code that knows it`;
    report(call, onNewer, found, new NewerSchemaError(found, details));
  }
  if (checksum !== undefined && current !== undefined && checksum !== current) {
    const found = `the ddl was edited since it was installed: its checksum is ` +
      `${current.slice(0, 12)}…, the ledger has ${checksum.slice(0, 12)}…. Give the new ddl a ` +
      `new 'version' with a step in 'upgrades', or take the edit back; another app needs a ` +
      `'marker' of its own`;
    report(call, onDrift, found, new DriftError(found, checksum, current, details));
  }
}

function report(
  { warn }: Call,
  policy: 'ignore' | 'warn' | 'error',
  found: string,
  problem: Error,
): void {
  if (policy === 'error') throw problem;
  if (policy === 'warn') warn(`warning: it is installed, but ${found}`);
}
