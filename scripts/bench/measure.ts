/**
 * What the sections do again and again: a database, callers on it, what one of them does.
 *
 * @module
 */

import type { BenchDatabase, BenchEngine, Caller } from './caller.ts';
import { type Install, installerOf, type Peer } from './peers/peer.ts';
import type { BenchSchema } from './schema.ts';

/** How long a caller may take to let go of what it holds. */
const GRACE_MS = 2_000;

/** A database and a peer that calls on it. */
export interface Bench {
  readonly engine: BenchEngine;
  readonly database: BenchDatabase;
  /** A new caller, connected, that has sent nothing yet. */
  caller(): Promise<Install>;
  /** Lets go of the callers, and drops the database. */
  close(): Promise<void>;
}

/** Makes a database for a peer, over a line that takes no time at first. */
export async function openBench(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
): Promise<Bench> {
  await engine.line.delay(0);
  const database = await engine.create();
  const callers: Caller[] = [];
  return {
    engine,
    database,
    caller: async () => {
      const caller = await database.caller();
      callers.push(caller);
      return await installerOf(peer, engine.name)!(caller as never, schema);
    },
    close: async () => {
      await engine.line.delay(0);
      await within(GRACE_MS, peer.settle?.());
      // A pool never ends if somebody has not given a connection back.
      await within(GRACE_MS, Promise.allSettled(callers.map((caller) => caller.close())));
      await database.drop();
    },
  };
}

/** Runs something with a peer on a database of its own. */
export async function withPeer<T>(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  run: (bench: Bench) => Promise<T>,
): Promise<T> {
  const bench = await openBench(engine, peer, schema);
  try {
    return await run(bench);
  } finally {
    await bench.close();
  }
}

/** The outcome of `work`, or nothing if it takes too long. */
export async function within<T>(ms: number, work: Promise<T> | undefined): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What went wrong, on one line. */
export function told(error: unknown): string {
  const { message = String(error) } = error as { message?: string };
  const line = message.split('\n')[0]!.trim();
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
