/**
 * Looking at a ledger.
 *
 * @module
 */

import type { BootstrapConfig } from './config.ts';
import { isMissingTable } from './contention.ts';
import { databaseOf, placedOf } from './database.ts';
import { checkFields } from './fields.ts';
import type { KyselyLike } from './kysely.ts';
import { type LedgerRow, rowsOf } from './ledger_row.ts';
import { checkLedger } from './foreign_table.ts';
import { RULES } from './settings.ts';

/**
 * Which ledger {@linkcode schemaStatus} reads. With a batch it is read through that, which on D1
 * means from the primary.
 */
export type StatusOptions = Pick<BootstrapConfig, 'marker' | 'schema' | 'dialect' | 'batch'>;

export const STATUS_RULES = {
  marker: RULES.marker,
  schema: RULES.schema,
  dialect: RULES.dialect,
  batch: RULES.batch,
};

/** A version in a ledger. */
export interface LedgerEntry {
  /** The version. */
  readonly version: string;
  /** `'installing'` for a claim, also for one that has run out, until the next caller removes it. */
  readonly state: 'installed' | 'installing';
  /** When it was installed or claimed, by the database's clock; unknown for release 1.0.0. */
  readonly since: Date | undefined;
  /** The random name of the try that installed or claimed it; unknown for release 1.0.0. */
  readonly owner: string | undefined;
  /** How long a claim still holds without being renewed, in milliseconds; 0 once it has run out. */
  readonly leaseLeftMs: number | undefined;
  /** The version before it in its line of `upgrades`, where there is one. */
  readonly previous: string | undefined;
  /** The checksum of the DDL, where it is known. */
  readonly checksum: string | undefined;
}

/**
 * Lists what a ledger holds, in one statement, a read. A database without a ledger has an empty
 * list.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { schemaStatus } from '@arraypress/db-migrate';
 *
 * export async function versions(db: Kysely<unknown>): Promise<string[]> {
 *   return (await schemaStatus(db)).map(({ version, state }) => `${version}: ${state}`);
 * }
 * ```
 *
 * @param db The caller's Kysely instance.
 * @param options Which ledger to read.
 * @returns The entries, in the order of their `since`.
 * @throws {TypeError} `db` or a field of the options is unknown or of the wrong type.
 * @throws {RangeError} A field of the options is out of range.
 * @throws {ForeignTableError} The table named by `marker` belongs to another tool, and has rows.
 */
export async function schemaStatus(
  db: KyselyLike,
  options: StatusOptions = {},
): Promise<LedgerEntry[]> {
  checkFields('options', options, STATUS_RULES);
  const placed = placedOf(databaseOf(db), options);
  try {
    const { rows } = await placed.handle.executeQuery(placed.ledger.probe());
    const now = Number(rows[0]?.clock);
    const found = rowsOf(rows);
    if (found.some((row) => row.isUnfamiliar)) await checkLedger(placed);
    // By depth in the line, too, since a fresh install records all of a line with the same time. Rows
    // that a person has edited may make a ring of it, so the depth has an end.
    const named = new Map<string | undefined, LedgerRow>(found.map((row) => [row.name, row]));
    const depthOf = (row: LedgerRow, most = found.length): number => {
      const before = named.get(row.previous);
      return before && most > 0 ? 1 + depthOf(before, most - 1) : 0;
    };
    return found
      .sort((a, b) => (a.since ?? 0) - (b.since ?? 0) || depthOf(a) - depthOf(b))
      .map(({ name, installed, since, owner, leaseUntil, expired, previous, checksum }) => ({
        version: name,
        state: installed ? 'installed' : 'installing',
        since: since === undefined ? undefined : new Date(since),
        owner,
        leaseLeftMs: leaseUntil === undefined ? undefined : expired ? 0 : leaseUntil - now,
        previous,
        checksum,
      }));
  } catch (error) {
    if (isMissingTable(error)) return [];
    throw error;
  }
}
