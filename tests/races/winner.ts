/**
 * A winner that is held inside its ddl, and the queries of an app meanwhile.
 *
 * @module
 */

import { sql } from 'kysely';

import { schemaAgain } from '../batch/ddl.ts';
import { gate, sleep } from '../cases/support.ts';
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

/** What an app's own queries came to. */
export interface Watched {
  readonly queries: number;
  readonly longestMs: number;
  readonly error?: unknown;
}

/** Sends `select 1` one after the other on the app's pool until it is told to stop. */
export function watchPool(db: Db): () => Promise<Watched> {
  let isOver = false;
  const watching = (async (): Promise<Watched> => {
    let queries = 0;
    let longestMs = 0;
    for (; !isOver; queries++) {
      const startedAt = performance.now();
      try {
        await sql`select 1 as one`.execute(db);
      } catch (error) {
        return { queries, longestMs, error };
      }
      longestMs = Math.max(longestMs, performance.now() - startedAt);
      await sleep(5);
    }
    return { queries, longestMs };
  })();
  return () => {
    isOver = true;
    return watching;
  };
}
