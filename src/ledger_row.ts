/**
 * What the ledger holds, as read.
 *
 * @module
 */

import { LONGEST_MS } from './fields.ts';

/** A row of the ledger. Release 1.0.0 wrote nothing but the name. */
export interface LedgerRow {
  readonly name: string;
  /** False while a claim stands that has not been finished. */
  readonly installed: boolean;
  readonly owner?: string | undefined;
  /** When it was claimed or installed: milliseconds since 1970 by the database's clock. */
  readonly since?: number | undefined;
  /** Until when a claim holds, likewise. */
  readonly leaseUntil?: number | undefined;
  /** True for a claim that has run out by the database's clock, or holds longer than any can. */
  readonly expired: boolean;
  /** The version that a step led from. */
  readonly previous?: string | undefined;
  readonly checksum?: string | undefined;
  /** True for a row that neither this release nor 1.0.0 has written like this. */
  readonly isUnfamiliar?: boolean;
}

/** Reads what a probe of the ledger, or a guard, has returned. */
export function rowsOf(rows: readonly Record<string, unknown>[]): LedgerRow[] {
  return rows.filter(isThere).map((row) => {
    const [leaseUntil, clock] = [numberOf(row.lease), Number(row.clock)];
    const installed = row.state === null || row.state === undefined || row.state === 'installed';
    return {
      name: String(row.name),
      isUnfamiliar: !('lease' in row) && Object.keys(row).join() !== 'name,clock,free',
      installed,
      owner: textOf(row.owner),
      since: numberOf(row.since),
      leaseUntil,
      expired: !installed && leaseUntil !== undefined &&
        (leaseUntil < clock || leaseUntil > clock + LONGEST_MS),
      previous: textOf(row.previous),
      checksum: textOf(row.checksum),
    };
  });
}

/** False for the row that a probe has of a ledger without one. Some drivers have no null. */
function isThere({ clock: _clock, free: _free, ...columns }: Record<string, unknown>): boolean {
  return Object.values(columns).some((value) => value !== null && value !== undefined);
}

// Drivers return 64-bit integers as numbers, strings or bigints. What a person has written may be no
// number in SQLite, and no time anywhere.
function numberOf(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined;
  return Math.max(-LATEST_MS, Math.min(Number(value) || 0, LATEST_MS));
}

// The last moment that a Date can hold.
const LATEST_MS = 8.64e15;

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
