/**
 * A winner that is held inside its ddl, and the queries of an app meanwhile.
 *
 * @module
 */

import { sql } from 'kysely';

import { schemaAgain } from '../batch/ddl.ts';
import { gate, sleep, until } from '../cases/support.ts';
import { createTable } from '../support/schema.ts';
import { type Ask, callAndUse, type Caller, type Db, type Settled } from './call.ts';
import { FEW_TABLES } from './counts.ts';

/** What those who wait ask for: DDL that is harmless to repeat, over what a dead winner left. */
export const AGAIN: Ask = { tables: FEW_TABLES, ddl: schemaAgain(FEW_TABLES) };

/** A winner. */
export interface Winner {
  readonly settled: Promise<Settled>;
  /** Lets it finish. */
  letGo(): void;
  /** Makes its ddl fail. */
  fail(message: string): void;
}

/** Calls, and resolves when the ddl has made its first table and rests. */
export async function holdWinner(caller: Caller, ask: Partial<Ask> = {}): Promise<Winner> {
  const inside = gate();
  const held = Promise.withResolvers<void>();
  held.promise.catch(() => {});
  const settled = callAndUse(caller, {
    tables: FEW_TABLES,
    ddl: async (db: Db) => {
      await createTable(db, 1);
      inside.open();
      await held.promise;
      for (let n = 2; n <= FEW_TABLES; n++) await createTable(db, n);
    },
    ...ask,
  });
  const early = settled.then(({ outcome, error }) => {
    throw new Error(`the winner was not held: ${outcome} ${error?.message ?? ''}`);
  });
  early.catch(() => {});
  await Promise.race([inside.opened, early]);
  return {
    settled,
    letGo: () => held.resolve(),
    fail: (message) => held.reject(new Error(message)),
  };
}

/** Lets a winner go in the end at the latest: its database is closed only when it has ended. */
export async function whileHeld(
  holding: Promise<Winner>,
  use: (winner: Winner) => Promise<void>,
): Promise<void> {
  const winner = await holding;
  try {
    await use(winner);
  } finally {
    winner.letGo();
  }
}

/** The queries of an app, while they are sent. */
export interface Watch {
  /** Resolves when so many more were served. Fails where one fails, or is not served at all. */
  served(count: number): Promise<void>;
  /** Stops them. Fails where one has failed. */
  stop(): Promise<Watched>;
}

/** What an app's own queries came to. */
export interface Watched {
  readonly queries: number;
  readonly longestMs: number;
}

/** Sends `select 1` one after the other on the app's pool until it is told to stop. */
export function watchPool(db: Db): Watch {
  let isOver = false;
  let queries = 0;
  let longestMs = 0;
  const watching = (async () => {
    while (!isOver) {
      const startedAt = performance.now();
      await sql`select 1 as one`.execute(db);
      longestMs = Math.max(longestMs, performance.now() - startedAt);
      queries++;
      await sleep(5);
    }
  })();
  // Whoever asks is told.
  watching.catch(() => {});
  return {
    served: async (count) => {
      const enough = queries + count;
      await Promise.race([watching, until(() => queries >= enough)]);
    },
    stop: async () => {
      isOver = true;
      await watching;
      return { queries, longestMs };
    },
  };
}
