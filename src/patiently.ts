/**
 * Repeating what is harmless to repeat.
 *
 * @module
 */

import { contentionOf } from './contention.ts';
import { Backoff, sleep } from './wait.ts';

/** For how long: a try may take seconds by itself where the driver waits for a lock, too. */
const LIMIT_MS = 500;

/** Sends a statement that is harmless to repeat until the database is not busy, for a moment. */
export async function patiently<T>(send: () => Promise<T>): Promise<T> {
  const backoff = new Backoff();
  const startedAt = performance.now();
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (performance.now() - startedAt > LIMIT_MS || !contentionOf(error)) throw error;
      await sleep(backoff.next());
    }
  }
}
