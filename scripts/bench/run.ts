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
  /** Samples of a call that takes one round trip or a few, by delay. */
  readonly cold: Readonly<Record<number, number>>;
  /** Samples of an install by this library and of the floors, by delay. */
  readonly fresh: Readonly<Record<number, number>>;
  /** Samples of an install by a peer, by delay. */
  readonly freshPeers: Readonly<Record<number, number>>;
  /** Callers of a race. */
  readonly callers: number;
  /** Races of this library, by delay; peers race once. */
  readonly races: Readonly<Record<number, number>>;
  /** How many callers a race has where it is shown how it grows. */
  readonly crowds: readonly number[];
  /** Databases that one process installs. */
  readonly tenants: number;
  /** Rounds of what is timed on this machine alone. */
  readonly rounds: number;
  /** Fresh processes for each module that is imported. */
  readonly processes: number;
}

/** The delays of a round trip in milliseconds. */
export const DELAYS = [1, 20, 80] as const;

/** The engines with a network in between. */
export const REMOTE: readonly EngineName[] = ['postgres', 'libsql', 'd1'];

/** What is worth publishing. */
export const FULL: Effort = {
  tables: 30,
  sizes: [1, 30, 300],
  cold: { 1: 40, 20: 20, 80: 6 },
  fresh: { 1: 9, 20: 9, 80: 3 },
  freshPeers: { 1: 3, 20: 2, 80: 1 },
  callers: 50,
  races: { 1: 3, 20: 5, 80: 2 },
  crowds: [1, 10, 50, 100],
  tenants: 1_000,
  rounds: 15,
  processes: 9,
};

/** What shows that everything works. */
export const QUICK: Effort = {
  tables: 30,
  sizes: [1, 30, 300],
  cold: { 1: 3, 20: 5, 80: 2 },
  fresh: { 1: 1, 20: 3, 80: 1 },
  freshPeers: { 1: 1, 20: 1, 80: 1 },
  callers: 50,
  races: { 1: 1, 20: 1, 80: 1 },
  crowds: [1, 10, 50],
  tenants: 60,
  rounds: 3,
  processes: 2,
};

/** What every section is given. */
export interface Run {
  readonly engines: Engines;
  readonly effort: Effort;
  readonly progress: Progress;
}
