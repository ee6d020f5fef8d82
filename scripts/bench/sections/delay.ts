/**
 * The time until the schema is ready, on a network with a delay: for one caller at a time, and for
 * many at once.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import { told, withPeer } from '../measure.ts';
import { FLOORS, OURS, peersOn } from '../peers/list.ts';
import type { Peer } from '../peers/peer.ts';
import { DELAYS, type Effort, REMOTE, type Run } from '../run.ts';
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
    for (const delayMs of DELAYS) {
      const step = `delay: ${name}, ${delayMs} ms`;
      for (const peer of peers) {
        run.progress.say(step, `${peer.name}, alone`);
        if (!peer.freshOnly) alone.push(await cold(engine, peer, schema, delayMs, run.effort));
        if (peer.name !== FLOORS[0]!.name) {
          alone.push(await fresh(engine, peer, schema, delayMs, run.effort));
        }
      }
      for (const peer of peers.filter((peer) => !peer.freshOnly && !FLOORS.includes(peer))) {
        run.progress.say(step, `${peer.name}, ${run.effort.callers} callers`);
        const times = OURS.includes(peer) ? run.effort.races[delayMs]! : 1;
        races.push(await race(engine, peer, schema, delayMs, run.effort.callers, times));
      }
    }
  }
  return { alone, races };
}

function cold(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  delayMs: number,
  { cold }: Effort,
): Promise<DelayRow> {
  return withPeer(engine, peer, schema, async ({ caller }) => {
    const row = { engine: engine.name, peer: peer.name, delayMs, what: 'cold' as const };
    const times: number[] = [];
    try {
      await (await caller())();
      for (let n = 0; n < cold[delayMs]!; n++) {
        await engine.line.delay(0);
        const install = await caller();
        await engine.line.delay(delayMs);
        times.push(await timed(install));
      }
    } catch (error) {
      return { ...row, error: told(error) };
    }
    return { ...row, ms: timesOf(times) };
  });
}

async function fresh(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  delayMs: number,
  effort: Effort,
): Promise<DelayRow> {
  const row = { engine: engine.name, peer: peer.name, delayMs, what: 'fresh' as const };
  const isQuick = OURS.includes(peer) || FLOORS.includes(peer);
  const samples = (isQuick ? effort.fresh : effort.freshPeers)[delayMs]!;
  const times: number[] = [];
  for (let n = 0; n < samples; n++) {
    try {
      times.push(await freshOnce(engine, peer, schema, delayMs));
    } catch (error) {
      return { ...row, error: told(error) };
    }
  }
  return { ...row, ms: timesOf(times) };
}

function freshOnce(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
  delayMs: number,
): Promise<number> {
  return withPeer(engine, peer, schema, async ({ caller, database }) => {
    const install = await caller();
    await engine.line.delay(delayMs);
    const ms = await timed(install);
    if (await database.tables() !== schema.tables) throw new Error('the schema is not complete');
    return ms;
  });
}
