/**
 * The time until the schema is ready, on a network with a delay: for one caller at a time, and for
 * many at once.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import { told, withPeer } from '../measure.ts';
import { oneSelect } from '../peers/floors.ts';
import { claimThenDdl, kyselyMigrator } from '../peers/kysely.ts';
import { FLOORS, OURS, peersOn } from '../peers/list.ts';
import { batch } from '../peers/ours.ts';
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
    const [ours, others] = [peers.filter(isOurs), peers.filter((peer) => !isOurs(peer))];
    for (const delayMs of run.effort.delays) {
      const at = { ...run, engine, schema, delayMs };
      // In turns, so that what is compared is measured under the same conditions.
      alone.push(...await measureAll(at, ours, 'cold', run.effort.ours[delayMs]!));
      alone.push(...await measureAll(at, ours, 'fresh', run.effort.ours[delayMs]!));
      alone.push(...await measureAll(at, others, 'cold', run.effort.cold[delayMs]!));
      alone.push(...await measureAll(at, others, 'fresh', run.effort.fresh[delayMs]!));
      races.push(...await raceAll(at, peers));
    }
  }
  return { alone, races };
}

interface At extends Run {
  readonly engine: BenchEngine;
  readonly schema: BenchSchema;
  readonly delayMs: number;
}

/** This library, and what its figures are multiples of. */
function isOurs(peer: Peer): boolean {
  return OURS.includes(peer) || FLOORS.includes(peer);
}

async function measureAll(
  at: At,
  all: readonly Peer[],
  what: DelayRow['what'],
  samples: number,
): Promise<DelayRow[]> {
  const { engine, delayMs, progress } = at;
  const peers = all.filter((peer) => what === 'cold' ? !peer.freshOnly : peer !== oneSelect);
  const times = new Map(peers.map((peer) => [peer, [] as number[]]));
  const errors = new Map<Peer, string>();
  // Once more than it counts, since the first time code is run it is slow.
  for (let n = -1; n < samples; n++) {
    for (const peer of peers.filter((peer) => !errors.has(peer))) {
      progress.say(`delay: ${engine.name}, ${delayMs} ms`, `${peer.name}, ${what}`);
      try {
        const ms = await measureOnce(n < 0 ? { ...at, delayMs: 0 } : at, peer, what);
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

function measureOnce(
  { engine, schema, delayMs }: At,
  peer: Peer,
  what: DelayRow['what'],
): Promise<number> {
  return withPeer(engine, peer, schema, async ({ caller, database }) => {
    if (what === 'cold') await (await caller())();
    const install = await caller();
    await engine.line.delay(delayMs);
    const ms = await timed(install);
    const isReady = peer === oneSelect || await database.tables() === schema.tables;
    if (!isReady) throw new Error('the schema is not complete');
    return ms;
  });
}

/** Those that race at any delay. */
const FEW: readonly Peer[] = [batch, kyselyMigrator, claimThenDdl];

async function raceAll(at: At, peers: readonly Peer[]): Promise<RaceRow[]> {
  const { engine, schema, delayMs, effort, progress } = at;
  const racers = peers.filter((peer) => !peer.freshOnly && !FLOORS.includes(peer));
  const rows: RaceRow[] = [];
  for (const peer of delayMs > effort.allRaceUpToMs ? FEW : racers) {
    progress.say(`delay: ${engine.name}, ${delayMs} ms`, `${peer.name}, ${effort.callers} callers`);
    const races = peer === batch ? effort.races[delayMs]! : 1;
    rows.push(await race(engine, peer, schema, delayMs, effort.callers, races));
  }
  return rows;
}
