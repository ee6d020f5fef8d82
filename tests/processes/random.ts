/**
 * Randomness that can be had again.
 *
 * @module
 */

import process from 'node:process';

import { during } from './during.ts';

/** A number from 0 up to, but not including, 1. */
export type Random = () => number;

/** Runs `use` with random numbers from a seed, which a failure names. */
export async function seeded(use: (random: Random) => Promise<void>): Promise<void> {
  const seed = Number(process.env.DB_MIGRATE_SEED ?? Math.floor(Math.random() * 2 ** 32));
  await during(`DB_MIGRATE_SEED=${seed}`, () => use(mulberry32(seed)));
}

/** Random numbers from `least` to `most` that leave no part of the range out, in order. */
export function spread(random: Random, count: number, least: number, most: number): number[] {
  return Array.from(
    { length: count },
    (_, n) => least + (n + random()) / count * (most - least),
  );
}

/** The same in whole numbers, `most` included: all of them where `count` is large enough. */
export function spreadInteger(
  random: Random,
  count: number,
  least: number,
  most: number,
): number[] {
  return spread(random, count, least, most + 1).map(Math.floor);
}

function mulberry32(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
