/**
 * Everybody at once on a fresh file.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { COUNTS, TABLES, tell } from './counts.ts';
import { createFile, inFolder, type Journal } from './files.ts';
import { assertRace, race, Tally } from './race.ts';
import { withWorkers, type WorkerProcess } from './worker_process.ts';

/** One install a round, nobody throws, and whoever is told to go on can go on. */
export async function stampede(journal: Journal, busyTimeoutMs: number): Promise<void> {
  await withWorkers(COUNTS.callers, (workers) => races(workers, journal, busyTimeoutMs));
}

/** The same race with the usual protocol, which must be seen to fail, or the race is worthless. */
export async function stampedeOfClaimThenDdl(busyTimeoutMs: number): Promise<void> {
  await withWorkers(COUNTS.callers, (workers) => racesOfClaimThenDdl(workers, busyTimeoutMs));
}

async function races(
  workers: readonly WorkerProcess[],
  journal: Journal,
  busyTimeoutMs: number,
): Promise<void> {
  const tally = new Tally();
  await inFolder(async (folder) => {
    for (let round = 1; round <= COUNTS.rounds; round++) {
      const options = { path: join(folder, `${round}.db`), busyTimeoutMs, tables: TABLES };
      createFile(options.path, journal);
      const settled = await race(workers, options);
      tally.add(settled);
      assertRace(settled, options);
    }
  });
  tell(`${workers.length} processes, ${journal}, busy timeout ${busyTimeoutMs}: ${tally}`);
  assert.ok(tally.waited > 0, `nobody met anybody: ${tally}`);
}

async function racesOfClaimThenDdl(
  workers: readonly WorkerProcess[],
  busyTimeoutMs: number,
): Promise<void> {
  const tally = new Tally();
  await inFolder(async (folder) => {
    // A busy machine may keep the losers from returning early in one race, but not in so many.
    for (let round = 1; round <= 50 && tally.threw + tally.early === 0; round++) {
      const path = join(folder, `${round}.db`);
      createFile(path, 'wal');
      const protocol = 'claim-then-ddl';
      tally.add(await race(workers, { path, busyTimeoutMs, tables: TABLES, protocol }));
    }
  });
  tell(`claim-then-DDL, wal, busy timeout ${busyTimeoutMs}: ${tally}`);
  assert.ok(tally.threw + tally.early > 0, `it looked fine: ${tally}`);
}
