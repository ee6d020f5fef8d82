/**
 * Repeating what is harmless to repeat.
 *
 * @module
 */

import { contentionOf } from './contention.ts';
import { Backoff, sleep } from './wait.ts';

/** Sends a statement that is harmless to repeat until the database is not busy, a few times. */
export async function patiently<T>(send: () => Promise<T>, tries = 10): Promise<T> {
  const backoff = new Backoff();
  for (let left = tries;; left--) {
    try {
      return await send();
    } catch (error) {
      if (left === 0 || !contentionOf(error)) throw error;
      await sleep(backoff.next());
    }
  }
}
