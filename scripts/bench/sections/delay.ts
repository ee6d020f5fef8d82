/**
 * The time until the schema is ready, on a network with a delay: for one caller at a time, and for
 * many at once.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import { type Bench, openBench, told, withPeer } from '../measure.ts';
import { leastRacer, oneSelect } from '../peers/floors.ts';
import { claimThenDdl } from '../peers/kysely.ts';
import { FLOORS, peersOn } from '../peers/list.ts';
import { assumeFresh, batch } from '../peers/ours.ts';
import type { Peer } from '../peers/peer.ts';
import { REMOTE, type Run } from '../run.ts';
import { type BenchSchema, schemaFor } from '../schema.ts';
import { timed, type Times, timesOf } from '../stats.ts';
import { race, type RaceRow } from './race.ts';

/** One caller at a time. */
export interface DelayRow {
  readonly engine: EngineName;
  readonly peer: string;
  readonly delayMs: number;
  readonly what: 'cold' | 'fresh';
  readonly ms?: Times;
  readonly error?: string;
}

/** Measures all peers on all engines that have a network. */
export async function delay(run: Run): Promise<{ alone: DelayRow[]; races: RaceRow[] }> {
  const schema = await schemaFor(run.effort.tables);
  const alone: DelayRow[] = [];
  const races: RaceRow[] = [];
  for (const name of REMOTE) {
    const engine = await run.engines.get(name);
    const peers = peersOn(name).filter((peer) => !peer.ownSchema);
    const ours = peers.filter((peer) => FEW_TRIPS.includes(peer));
    const others = peers.filter((peer) => !FEW_TRIPS.includes(peer));
    for (const delayMs of run.effort.delays) {
      const at = { ...run, engine, schema, delayMs };
      const samples = run.effort.ours[delayMs]!;
      alone.push(...await cold(at, ours, samples), ...await fresh(at, ours, samples));
      alone.push(...await cold(at, others, run.effort.cold[delayMs]!));
      alone.push(...await fresh(at, others, run.effort.fresh[delayMs]!));
      races.push(...await raceAll(at, peers));
    }
  }
  return { alone, races };
}

/** What is compared most closely, and takes the least time. */
const FEW_TRIPS: readonly Peer[] = [...FLOORS, batch, assumeFresh];

interface At extends Run {
  readonly engine: BenchEngine;
  readonly schema: BenchSchema;
  readonly delayMs: number;
}

async function cold(at: At, all: readonly Peer[], samples: number): Promise<DelayRow[]> {
  const { engine, schema } = at;
  const peers = all.filter((peer) => !peer.freshOnly);
  const benches = new Map<Peer, Bench>();
  for (const peer of peers) benches.set(peer, await openBench(engine, peer, schema));
  try {
    return await sample(at, 'cold', peers, samples, async (peer, delayMs) => {
      const { caller } = benches.get(peer)!;
      await engine.line.delay(0);
      const install = await caller();
      await engine.line.delay(delayMs);
      return await timed(install);
    });
  } finally {
    for (const bench of benches.values()) await bench.close();
  }
}

async function fresh(at: At, all: readonly Peer[], samples: number): Promise<DelayRow[]> {
  const { engine, schema } = at;
  const peers = all.filter((peer) => peer !== oneSelect);
  return await sample(
    at,
    'fresh',
    peers,
    samples,
    (peer, delayMs) =>
      withPeer(engine, peer, schema, async ({ caller, database }) => {
        const install = await caller();
        await engine.line.delay(delayMs);
        const ms = await timed(install);
        const isReady = await database.tables() === schema.tables;
        if (!isReady) throw new Error('the schema is not complete');
        return ms;
      }),
  );
}

/** In turns, so that what is compared is measured under the same conditions. */
async function sample(
  { engine, delayMs, progress }: At,
  what: DelayRow['what'],
  peers: readonly Peer[],
  samples: number,
  measure: (peer: Peer, delayMs: number) => Promise<number>,
): Promise<DelayRow[]> {
  const times = new Map(peers.map((peer) => [peer, [] as number[]]));
  const errors = new Map<Peer, string>();
  // Once more than it counts: code is slow when it is run first, and a cold call needs an install.
  for (let n = -1; n < samples; n++) {
    for (const peer of peers.filter((peer) => !errors.has(peer))) {
      progress.say(`delay: ${engine.name}, ${delayMs} ms`, `${peer.name}, ${what}`);
      try {
        const ms = await measure(peer, n < 0 ? 0 : delayMs);
        if (n >= 0) times.get(peer)!.push(ms);
      } catch (error) {
        errors.set(peer, told(error));
      }
    }
  }
  return peers.map((peer): DelayRow => {
    const row = { engine: engine.name, peer: peer.name, delayMs, what };
    const error = errors.get(peer);
    return error === undefined ? { ...row, ms: timesOf(times.get(peer)!) } : { ...row, error };
  });
}

/** Those that race at any delay. */
const AT_ANY_DELAY: readonly Peer[] = [leastRacer, batch, claimThenDdl];

async function raceAll(at: At, peers: readonly Peer[]): Promise<RaceRow[]> {
  const { engine, schema, delayMs, effort, progress } = at;
  const racers = [
    leastRacer,
    ...peers.filter((peer) => !peer.freshOnly && !FLOORS.includes(peer)),
  ];
  const rows: RaceRow[] = [];
  for (
    const peer of delayMs > effort.allRaceUpToMs
      ? racers.filter((peer) => AT_ANY_DELAY.includes(peer))
      : racers
  ) {
    progress.say(`delay: ${engine.name}, ${delayMs} ms`, `${peer.name}, ${effort.callers} callers`);
    const races = peer === batch || peer === leastRacer ? effort.races[delayMs]! : 1;
    rows.push(await race(engine, peer, schema, delayMs, effort.callers, races));
  }
  return rows;
}
