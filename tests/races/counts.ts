/**
 * How much of everything, as `processes/counts.ts` has it for SQLite.
 *
 * @module
 */

import { isFull } from '../processes/counts.ts';

/** How many tables the schema of a stampede has. */
export const TABLES = 30;

/** How many the other tests make do with. */
export const FEW_TABLES = 4;

/** Callers and rounds of one kind of race. */
export interface Size {
  readonly callers: number;
  readonly rounds: number;
}

function size(full: Size, few: Size): Size {
  return isFull ? full : few;
}

/** The numbers of this run. */
export const COUNTS = {
  postgres: size({ callers: 100, rounds: 50 }, { callers: 25, rounds: 2 }),
  pglite: size({ callers: 30, rounds: 20 }, { callers: 10, rounds: 1 }),
  pooler: size({ callers: 100, rounds: 20 }, { callers: 20, rounds: 2 }),
  tenants: size({ callers: 4, rounds: 50 }, { callers: 4, rounds: 12 }),
  apps: size({ callers: 4, rounds: 30 }, { callers: 4, rounds: 5 }),
  sqld: size({ callers: 32, rounds: 20 }, { callers: 12, rounds: 2 }),
  libsqlFile: size({ callers: 16, rounds: 10 }, { callers: 6, rounds: 2 }),
  d1: size({ callers: 32, rounds: 20 }, { callers: 8, rounds: 3 }),
  objects: size({ callers: 32, rounds: 20 }, { callers: 8, rounds: 3 }),
} satisfies Record<string, Size>;

/** How long things are held and waited for, in milliseconds: longer where there is time for it. */
export const WAITS = isFull
  ? { heldMs: 1_000, leaseMs: 2_500, stepMs: 400, timeoutMs: 2_000 }
  : { heldMs: 400, leaseMs: 1_500, stepMs: 200, timeoutMs: 1_200 };
