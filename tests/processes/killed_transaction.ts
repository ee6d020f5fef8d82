/**
 * Installs in a transaction that are killed half-way.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { COUNTS, isFull, TABLES, tell } from './counts.ts';
import { during } from './during.ts';
import { assertAllOrNothing, copyFile, createFile, inFolder, type Journal } from './files.ts';
import { killCall, measureCall, type Moment } from './kill.ts';
import type { Settled } from './messages.ts';
import { assertRace, type Race, race } from './race.ts';
import { type Random, seeded, spread, spreadInteger } from './random.ts';
import { withWorkers } from './worker_process.ts';

/** The statements before the DDL's: begin, ledger, claim, and the proof of it. */
const BEFORE_DDL = 4;

const JOURNALS: readonly Journal[] = ['wal', 'delete'];

/** Kills by the clock, wherever that is. */
export async function killAtAnyTime(): Promise<void> {
  // A few kills may all be late on a busy machine.
  await seeded((random) => killAll((whole) => timesIn(whole, random), isFull));
}

/** Kills between two statements and after the last, each of them where there are enough kills. */
export async function killBetweenStatements(): Promise<void> {
  const momentsIn = ({ statements }: Settled, random: Random) =>
    spreadInteger(random, COUNTS.kills, 1, statements + 1)
      .map((beforeStatement) => ({ beforeStatement }));
  await seeded((random) => killAll((whole) => momentsIn(whole, random), true));
}

function timesIn({ durationMs, statements }: Settled, random: Random): Moment[] {
  return [
    // Beyond the end, as a call may be slower than the one that was measured.
    ...spread(random, COUNTS.kills / 2, 0, 1.3 * durationMs).map((afterMs) => ({ afterMs })),
    // COMMIT is the one that writes the file, so it gets as many as all the others.
    ...spread(random, COUNTS.kills / 2, 0, 4)
      .map((afterMs) => ({ afterMs, sinceStatement: statements })),
  ];
}

/** After each kill: all or nothing, and the next caller finds the one or installs the other. */
async function killAll(
  momentsIn: (whole: Settled) => Moment[],
  mustHitDdl: boolean,
): Promise<void> {
  await inFolder((folder) =>
    withWorkers(1, async (next) => {
      const raceIn = (name: string, journal: Journal): Race => {
        const path = join(folder, name);
        createFile(path, journal);
        return { path, busyTimeoutMs: 0, tables: TABLES };
      };
      const wholes: Settled[] = [];
      for (const name of ['a.db', 'b.db', 'c.db']) {
        wholes.push(await measureCall(raceIn(name, 'delete')));
      }
      const whole = wholes.reduce((a, b) => a.durationMs < b.durationMs ? a : b);
      const found = { nothing: 0, nothingDespiteDdl: 0, all: 0 };
      for (const [n, moment] of momentsIn(whole).entries()) {
        const options = raceIn(`${n}.db`, JOURNALS[n % 2]!);
        await during(`kill ${n} (${JSON.stringify(moment)})`, async () => {
          const statements = await killCall(options, moment);
          const left = assertAllOrNothing(copyFile(options.path), TABLES);
          found[left]++;
          if (left === 'nothing' && statements > BEFORE_DDL) found.nothingDespiteDdl++;
          const [settled] = await race(next, options);
          assertRace([settled!], options, left === 'nothing' ? 1 : 0);
          assert.ok(settled!.durationMs < 5_000, `the next call took ${settled!.durationMs} ms`);
        });
      }
      const summary = JSON.stringify(found);
      tell(
        `${whole.statements} statements in ${whole.durationMs} ms, left after kills: ${summary}`,
      );
      if (mustHitDdl) assert.ok(found.nothingDespiteDdl > 0, `no kill hit the DDL: ${summary}`);
    })
  );
}
