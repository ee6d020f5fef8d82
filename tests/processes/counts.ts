/**
 * How much of everything: the full count takes minutes, so one runtime has it, where the
 * environment variable `DB_MIGRATE_FULL` is `1`. The others have enough to see that it works there.
 *
 * @module
 */

import process from 'node:process';

/** True for the full count. */
export const isFull: boolean = process.env.DB_MIGRATE_FULL === '1';

/** How many tables the schema has. */
export const TABLES = 30;

interface Counts {
  /** Processes in a stampede. */
  callers: number;
  /** Stampedes for each journal mode and busy timeout. */
  rounds: number;
  /** Kills in a transaction: so many by the clock, and as many between two statements. */
  kills: number;
  /** Kills under a lease. */
  leaseKills: number;
  /** Installs among readers. */
  readerRounds: number;
  /** Lease owners that are stopped, and continued when another has installed. */
  pauses: number;
}

/** The numbers of this run. */
export const COUNTS: Counts = isFull
  ? { callers: 64, rounds: 20, kills: 100, leaseKills: 40, readerRounds: 20, pauses: 40 }
  : { callers: 16, rounds: 2, kills: 10, leaseKills: 4, readerRounds: 4, pauses: 4 };

/** Says what was measured, where somebody asked for the full count and so may want to know. */
export function tell(what: string): void {
  if (isFull) console.log(what);
}
