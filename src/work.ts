/**
 * What has to be done to a database, by what its ledger holds: the canonical DDL for a fresh one,
 * the missing steps of the line for one at an older version.
 *
 * @module
 */

import type { Call } from './call.ts';
import { NoUpgradePathError } from './errors.ts';
import type { Entry } from './ledger.ts';
import type { LedgerRow } from './ledger_row.ts';
import { checksumOf } from './plan_data.ts';
import type { Run } from './run.ts';
import type { Settings } from './settings.ts';

/** What one unit claims and runs. */
export interface Work {
  /** Every name of the line that the ledger does not hold as installed. */
  readonly entries: readonly Entry[];
  /** The version that the steps start from; undefined for a fresh install. */
  readonly from: string | undefined;
  /** The versions that the steps lead through, the last one being the target. */
  readonly steps: readonly string[];
  /** The DDL of each step, or the canonical one alone. */
  readonly ddl: readonly Run[];
}

/**
 * Decides what is to be done. Without `upgrades` a version that is not there is simply installed,
 * whatever else the ledger holds.
 *
 * @throws {NoUpgradePathError} There are `upgrades`, and the ledger holds a version that is not of
 * their line, or was led past one of them.
 */
export function workFor({ settings, details }: Call, rows: readonly LedgerRow[]): Work {
  const { upgrades, ddl, version } = settings;
  const { line, held, entries, isPast } = positionOf(settings, rows);
  const isElsewhere = isPast || held.some((name) => !line.includes(name));
  if (upgrades.length > 0 && isElsewhere) throw new NoUpgradePathError(held, line, details);
  const at = line.findLastIndex((name) => held.includes(name));
  if (at === -1) return { entries, from: undefined, steps: [version], ddl: [ddl] };
  const steps = upgrades.slice(at).map((step) => step.ddl);
  return { entries, from: line[at], steps: line.slice(at + 1), ddl: steps };
}

/** Where a database is on the line. */
export function positionOf({ upgrades, version }: Settings, rows: readonly LedgerRow[]) {
  const line = [...upgrades.map(({ from }) => from), version];
  const installed = rows.filter((row) => row.installed);
  const held = installed.map((row) => row.name);
  const entries: Entry[] = line
    .map((name, index) => ({ name, previous: line[index - 1] ?? null }))
    .filter(({ name }) => !held.includes(name));
  // Past one that has come in before where the database is, or on another branch.
  const isPast = installed.some((row) => entries.some(({ previous }) => previous === row.previous));
  return { line, held, entries, isPast };
}

/** The checksum of a canonical DDL: recorded before, or of the statements that were just seen. */
export async function checksumToKeep(
  { checksum, dialect }: Call,
  { from }: Work,
  texts: readonly string[] | undefined,
): Promise<string | null> {
  if (checksum !== undefined) return checksum;
  // jsdom has none of it.
  const canHash = globalThis.crypto.subtle && globalThis.TextEncoder;
  // Steps are not the canonical DDL, and under a lease nobody sees the statements.
  return from === undefined && texts && canHash ? await checksumOf(texts, dialect) : null;
}

/** The rows that a claim of these entries would meet: by their name, or as another branch. */
export function rowsInTheWay(
  entries: readonly Entry[],
  rows: readonly LedgerRow[],
): readonly LedgerRow[] {
  return rows.filter((row) =>
    entries.some(({ name, previous }) =>
      name === row.name || (previous !== null && previous === row.previous)
    )
  );
}

/** Who holds claims that have run out and are in the way of these entries. */
export function deadOwners(entries: readonly Entry[], rows: readonly LedgerRow[]): string[] {
  const dead = rowsInTheWay(entries, rows).filter(({ expired }) => expired);
  return [...new Set(dead.flatMap(({ owner }) => owner ?? []))];
}

/** The live claim that has to be waited for, if there is one: with a line, of any version. */
export function holderIn(settings: Settings, rows: readonly LedgerRow[]): LedgerRow | undefined {
  return rows.find((row) =>
    !row.installed && !row.expired &&
    (settings.upgrades.length > 0 || row.name === settings.version)
  );
}
