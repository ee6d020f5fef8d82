/**
 * How much of everything, as `processes/counts.ts` has it for SQLite files.
 *
 * @module
 */

import { isFull } from '../processes/counts.ts';

/** How many tables the schema has. */
export const TABLES = 5;

/** How long a claim is honoured in these tests, in milliseconds. */
export const LEASE_MS = 1_000;

/** No call takes longer, unless something is wrong: generous, for a machine that is busy. */
export const CEILING_MS = 40_000;

interface Counts {
  /** SIGKILLs of an installer, for each engine: under one of the strategies at one of the times. */
  readonly kills: {
    readonly transaction: { readonly between: number; readonly anyTime: number };
    readonly batch: { readonly between: number; readonly anyTime: number };
    readonly lease: { readonly between: number; readonly anyTime: number };
  };
  /** Deaths of a server under each strategy. */
  readonly crashes: number;
  /** Deaths of isolates or of their runtime, each kind of them under each strategy. */
  readonly isolates: number;
  /** Requests that something befalls, for each fault and strategy. */
  readonly requests: number;
  /** Sizes of a disk that is too small. */
  readonly disks: number;
}

/** The numbers of this run. The kills of one engine are 200 in full. */
export const COUNTS: Counts = isFull
  ? {
    kills: {
      transaction: { between: 50, anyTime: 50 },
      batch: { between: 10, anyTime: 30 },
      lease: { between: 40, anyTime: 20 },
    },
    crashes: 40,
    isolates: 20,
    requests: Infinity,
    disks: Infinity,
  }
  : {
    kills: {
      transaction: { between: 2, anyTime: 2 },
      batch: { between: 1, anyTime: 1 },
      lease: { between: 2, anyTime: 0 },
    },
    crashes: 2,
    isolates: 1,
    requests: 3,
    disks: 2,
  };
