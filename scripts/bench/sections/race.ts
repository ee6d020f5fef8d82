/**
 * Many callers at once on a fresh database.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import { told, within, withPeer } from '../measure.ts';
import type { Peer } from '../peers/peer.ts';
import type { BenchSchema } from '../schema.ts';
import { type Times, timesOf } from '../stats.ts';

/** How long the callers of a race have. */
const LIMIT_MS = 40_000;

/** One peer's races. */
export interface RaceRow {
  readonly engine: EngineName;
  readonly peer: string;
  readonly delayMs: number;
  /** In each race. */
  readonly callers: number;
  readonly races: number;
  /** Of those who found the schema complete; absent where nobody did. */
  readonly ms?: Times;
  /** The slowest of these in each race. */
  readonly slowest: readonly number[];
  readonly threw: number;
  /** Resolved before the schema was complete. */
  readonly early: number;
  /** Neither resolved nor rejected in time. */
  readonly hung: number;
  /** What was thrown, how often. */
  readonly errors: Readonly<Record<string, number>>;
}

type Finish = { ms: number; isReady: boolean } | { error: string } | undefined;

/** Races so many times. */
export async function race(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  delayMs: number,
  callers: number,
  races: number,
): Promise<RaceRow> {
  const ready: number[] = [];
  const slowest: number[] = [];
  const errors: Record<string, number> = {};
  let threw = 0;
  let early = 0;
  let hung = 0;
  for (let n = 0; n < races; n++) {
    const finishes = await once(engine, peer, schema, delayMs, callers);
    const ofThisRace: number[] = [];
    for (const finish of finishes) {
      if (finish === undefined) hung++;
      else if ('error' in finish) {
        threw++;
        errors[finish.error] = (errors[finish.error] ?? 0) + 1;
      } else if (finish.isReady) ofThisRace.push(finish.ms);
      else early++;
    }
    ready.push(...ofThisRace);
    if (ofThisRace.length > 0) slowest.push(Math.max(...ofThisRace));
  }
  return {
    engine: engine.name,
    peer: peer.name,
    delayMs,
    callers,
    races,
    ...(ready.length > 0 && { ms: timesOf(ready) }),
    ...{ slowest, threw, early, hung, errors },
  };
}

function once(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  delayMs: number,
  callers: number,
): Promise<Finish[]> {
  return withPeer(engine, peer, schema, async ({ caller, database }) => {
    const installs = await Promise.all(Array.from({ length: callers }, caller));
    await engine.line.delay(delayMs);
    return await Promise.all(installs.map(async (install): Promise<Finish> => {
      const startedAt = performance.now();
      const run = async (): Promise<Finish> => {
        await install();
        const ms = performance.now() - startedAt;
        return { ms, isReady: await database.tables() === schema.tables };
      };
      return await within(LIMIT_MS, run().catch((error) => ({ error: told(error) })));
    }));
  });
}
