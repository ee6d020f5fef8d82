/**
 * D1 in workerd, called from this process: the line is in front of the binding.
 *
 * @module
 */

import { Kysely } from 'kysely';
import { D1Dialect } from 'kysely-d1';

import { d1Batch } from '../../../mod.ts';
import { type Isolates, startIsolates } from '../../../tests/engines/isolates.ts';
import { RemoteD1 } from '../../../tests/engines/remote_d1.ts';
import type { WireRequest } from '../../../tests/engines/wire.ts';
import type { BenchDatabase, BenchEngine, D1Caller } from '../caller.ts';
import { type Line, noCounts } from '../lines/line.ts';
import { versionOf } from '../machine.ts';
import { COUNT_TABLES } from './sqlite_count.ts';

/** Starts it. */
export async function startD1(): Promise<BenchEngine> {
  const started: Isolates[] = [];
  let delayMs = 0;
  let counts = noCounts();
  const line: Line = {
    delay: (ms) => Promise.resolve(void (delayMs = ms)),
    take: () => {
      const taken = counts;
      counts = noCounts();
      return Promise.resolve(taken);
    },
  };
  const through = (isolates: Isolates) => async <T>(request: WireRequest): Promise<T> => {
    counts.roundTrips++;
    counts.statements += request.statements.length;
    const [settled] = await Promise.allSettled([isolates.call<T>(request)]);
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    if (settled.status === 'rejected') throw settled.reason;
    return settled.value;
  };
  const create = async (): Promise<BenchDatabase> => {
    const isolates = started.at(-1);
    const database = isolates?.create();
    if (!isolates || !database) {
      started.push(await startIsolates());
      return await create();
    }
    return {
      caller: () => {
        const binding = new RemoteD1(database.name, through(isolates));
        const caller: D1Caller = {
          engine: 'd1',
          kysely: new Kysely({ dialect: new D1Dialect({ database: binding as never }) }),
          batch: d1Batch(binding as never),
          binding,
          close: () => Promise.resolve(),
        };
        return Promise.resolve(caller);
      },
      tables: async () => Number((await database.run(COUNT_TABLES) as { n: number }[])[0]!.n),
      drop: () => database.drop(),
    };
  };
  const first = await create();
  await first.drop();
  return {
    name: 'd1',
    version: `workerd of miniflare ${await versionOf('miniflare')}`,
    line,
    create,
    stop: async () => {
      for (const isolates of started) await isolates.stop();
    },
  };
}
