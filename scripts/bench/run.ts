/**
 * A run of the benchmarks: what its sections share.
 *
 * @module
 */

import type { EngineName } from './caller.ts';
import type { Engines } from './engines/list.ts';
import type { Progress } from './progress.ts';

/** How often and how much. */
export interface Effort {
  /** Tables of the schema where it is not said otherwise. */
  readonly tables: number;
  /** Other sizes of the schema. */
  readonly sizes: readonly number[];
  /** The delays of a round trip in milliseconds. */
  readonly delays: readonly number[];
  /** Samples of a cold call and of an install by the library's batch and of the floors, by delay. */
  readonly ours: Readonly<Record<number, number>>;
  /** Samples of a cold call by all else, by delay. */
  readonly cold: Readonly<Record<number, number>>;
  /** Samples of an install by all else, by delay. */
  readonly fresh: Readonly<Record<number, number>>;
  /** Callers of a race. */
  readonly callers: number;
  /** Races through the library's batch, by delay; all else races once. */
  readonly races: Readonly<Record<number, number>>;
  /** The longest delay at which all peers race: beyond it a few do, for the time it takes. */
  readonly allRaceUpToMs: number;
  /** How many callers a race has where it is shown how it grows. */
  readonly crowds: readonly number[];
  /** Databases that one process installs. */
  readonly tenants: number;
  /** Rounds of what is timed on this machine alone. */
  readonly rounds: number;
  /** Fresh processes for each module that is imported. */
  readonly processes: number;
}

/** The engines with a network in between. */
export const REMOTE: readonly EngineName[] = ['postgres', 'libsql', 'd1'];

/** What is worth publishing. */
export const FULL: Effort = {
  tables: 30,
  sizes: [1, 30, 300],
  delays: [1, 20, 80],
  ours: { 1: 15, 20: 15, 80: 4 },
  cold: { 1: 5, 20: 5, 80: 1 },
  fresh: { 1: 3, 20: 2, 80: 1 },
  callers: 50,
  races: { 1: 3, 20: 7, 80: 2 },
  allRaceUpToMs: 20,
  crowds: [1, 10, 50, 100],
  tenants: 1_000,
  rounds: 11,
  processes: 5,
};

/** What shows that everything works. */
export const QUICK: Effort = {
  tables: 30,
  sizes: [1, 30, 300],
  delays: [20],
  ours: { 20: 3 },
  cold: { 20: 2 },
  fresh: { 20: 1 },
  callers: 50,
  races: { 20: 2 },
  allRaceUpToMs: 20,
  crowds: [1, 10, 50],
  tenants: 100,
  rounds: 3,
  processes: 2,
};

/** What every section is given. */
export interface Run {
  readonly engines: Engines;
  readonly effort: Effort;
  readonly progress: Progress;
}
