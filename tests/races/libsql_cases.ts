/**
 * Races and deaths on libSQL: many clients of one server, and many processes on one file.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { onLibsqlFile, onSqld, type Subject } from '../batch/subjects.ts';
import { callerOn } from '../batch/subjects.ts';
import { sleep, within } from '../cases/support.ts';
import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import { tell } from '../processes/counts.ts';
import { startProxy } from '../support/proxy.ts';
import { schemaOf } from '../support/schema.ts';
import { type Ask, callAndUse, type Caller, type Settled } from './call.ts';
import { type CallerProcess, raceProcesses, startCallers } from './caller_process.ts';
import { COUNTS, FEW_TABLES, TABLES, WAITS } from './counts.ts';
import { assertInTime, assertOneInstall, Tally } from './tally.ts';
import { AGAIN, holdWinner } from './winner.ts';

/**
 * For batches on a file: after a statement that fails as "busy", the driver pins its connection to
 * what it saw then. https://github.com/tursodatabase/libsql-client-ts/issues/352
 */
const BUSY_TIMEOUT_MS = 5_000;

/** The engines, by the names that processes know. */
export const LIBSQL = { 'libsql-http': onSqld, 'libsql-file': onLibsqlFile } as const;

function callers(
  subject: Subject,
  database: TestDatabase,
  strategy: Strategy,
  count: number,
): Caller[] {
  return Array.from({ length: count }, () => {
    const { db, batch } = callerOn(subject, database);
    return strategy === 'batch' ? { db, batch } : { db };
  });
}

/** Many clients of the server at once, each with a client of its own. */
export async function stampedeOnServer(strategy: Strategy): Promise<void> {
  const { callers: count, rounds } = COUNTS.sqld;
  const tally = new Tally(`libsql-http, ${strategy}`);
  for (let round = 0; round < rounds; round++) {
    await inDatabase(onSqld.engine, async (database) => {
      const all = callers(onSqld, database, strategy, count);
      const ask: Ask = { strategy, tables: TABLES, ddl: schemaOf(TABLES) };
      tally.add(
        await within(60_000, Promise.all(all.map((caller) => callAndUse(caller, ask)))),
      );
    });
  }
  tally.tell();
  assert.ok(tally.count('waited') > 0, 'nobody met anybody');
}

let processes: Promise<CallerProcess[]> | undefined;

/** Many processes on one file at once. */
export async function stampedeOnFile(strategy: Strategy): Promise<void> {
  const { callers: count, rounds } = COUNTS.libsqlFile;
  const all = await (processes ??= startCallers(count));
  const tally = new Tally(`libsql-file, processes, ${strategy}`);
  for (let round = 0; round < rounds; round++) {
    await inDatabase(onLibsqlFile.engine, async (database) => {
      const settled = await within(
        60_000,
        raceProcesses(all, {
          open: {
            kind: 'open',
            engine: 'libsql-file',
            address: database.address!,
            ...(strategy === 'batch' && { busyTimeoutMs: BUSY_TIMEOUT_MS }),
          },
          // Without a busy timeout its statements meet the claims of the others, and it runs again.
          call: { kind: 'call', strategy, tables: TABLES, isIdempotent: strategy === 'lease' },
        }),
      );
      tally.add(settled);
    });
  }
  tally.tell();
  assert.ok(tally.count('waited') > 0, 'nobody met anybody');
}

/** A winner that is killed inside its ddl: one of those who wait installs. */
export function killWinner(engine: keyof typeof LIBSQL, strategy: Strategy): Promise<void> {
  const subject = LIBSQL[engine];
  return inDatabase(subject.engine, async (database) => {
    const call = { kind: 'call', strategy, tables: FEW_TABLES, leaseMs: WAITS.leaseMs } as const;
    const processes = await startCallers(4);
    const [winner, ...losers] = processes;
    const open = { kind: 'open', engine, address: database.address! } as const;
    try {
      await Promise.all(processes.map((process) => process.ask(open, 'opened')));
      await winner!.ask({ ...call, isHeld: true }, 'inside');
      let settled = 0;
      const waiting = Promise.all(losers.map(async (process) => {
        const report = await process.ask({ ...call, isIdempotent: true }, 'settled');
        settled++;
        return report.settled;
      }));
      // After a failure before that, nobody waits for them any more.
      waiting.catch(() => {});
      await sleep(WAITS.heldMs);
      assert.equal(settled, 0);
      const startedAt = performance.now();
      assert.equal(await winner!.kill(), 'SIGKILL');
      assertOneInstall(await within(30_000, waiting));
      tell(
        `${engine}, ${strategy}, the winner is killed: installed ` +
          `${Math.round(performance.now() - startedAt)} ms later`,
      );
    } finally {
      // None of them calls any more when the database is dropped.
      await Promise.all(processes.map((process) => process.kill()));
    }
  });
}

/** A winner whose connections are cut inside its ddl. */
export function cutWinner(strategy: Strategy): Promise<void> {
  return inDatabase(onSqld.engine, async (database) => {
    const proxy = await startProxy('http', (await onSqld.engine.start()).endpoint!);
    try {
      const db = database.connect({ via: proxy });
      const winner = await holdWinner({ db }, { strategy, leaseMs: WAITS.leaseMs });
      const waiting = waitOn(onSqld, database, strategy);
      await sleep(WAITS.heldMs);
      assert.equal(waiting.settled.length, 0, JSON.stringify(waiting.settled));
      const startedAt = performance.now();
      proxy.inflict('cut');
      assertOneInstall(await within(30_000, waiting.all));
      tell(
        `libsql-http, ${strategy}, the winner's connection is cut: installed ` +
          `${Math.round(performance.now() - startedAt)} ms later`,
      );
      winner.letGo();
      assert.equal((await within(30_000, winner.settled)).installed, false);
    } finally {
      await proxy.stop();
    }
  });
}

/** A winner that hangs for ever in a lease: those who wait end in time, and name it. */
export function hangUnderLease(engine: keyof typeof LIBSQL): Promise<void> {
  const subject = LIBSQL[engine];
  return inDatabase(subject.engine, async (database) => {
    const winner = await holdWinner(callerOn(subject, database), {
      strategy: 'lease',
      leaseMs: WAITS.leaseMs,
      batch: undefined,
    });
    const times = { waitTimeoutMs: WAITS.timeoutMs, leaseMs: 1_000 };
    const settled = await within(20_000, waitOn(subject, database, 'lease', times).all);
    const [row] = await database.run('select owner, since from migrations') as {
      owner: string;
      since: number;
    }[];
    for (const { error, durationMs } of settled) {
      assert.equal(error?.name, 'WaitTimeoutError', JSON.stringify(settled));
      assertInTime(durationMs);
      assert.deepEqual(error.holder, { owner: row!.owner, since: Number(row!.since) });
      assert.ok(error.message.includes(row!.owner), error.message);
    }
    winner.letGo();
    assert.equal((await within(20_000, winner.settled)).outcome, 'installed');
  });
}

/**
 * A winner that hangs for ever in a transaction. On a file nobody can write; the server takes the
 * lock from it when others want it, so one of them installs.
 */
export function hangInTransaction(engine: keyof typeof LIBSQL): Promise<void> {
  const subject = LIBSQL[engine];
  return inDatabase(subject.engine, async (database) => {
    const { db } = callerOn(subject, database);
    const winner = await holdWinner({ db }, { strategy: 'transaction' });
    const isFile = engine === 'libsql-file';
    const times = isFile ? { waitTimeoutMs: WAITS.timeoutMs, leaseMs: 1_000 } : {};
    const waiting = waitOn(subject, database, 'transaction', times);
    const settled = await within(30_000, waiting.all);
    if (isFile) {
      for (const { error } of settled) assert.equal(error?.name, 'WaitTimeoutError');
    } else assertOneInstall(settled);
    winner.letGo();
    const late = await within(30_000, winner.settled);
    // Where its transaction was taken from it, it tries again and finds what the other one made.
    assert.equal(late.outcome, isFile ? 'installed' : 'waited', JSON.stringify(late));
  });
}

function waitOn(
  subject: Subject,
  database: TestDatabase,
  strategy: Strategy,
  ask: Partial<Ask> = { leaseMs: WAITS.leaseMs },
): { readonly settled: Settled[]; readonly all: Promise<Settled[]> } {
  const settled: Settled[] = [];
  const all = Promise.all(
    callers(subject, database, strategy, 5).map(async (caller) => {
      const one = await callAndUse(caller, { ...AGAIN, strategy, ...ask });
      settled.push(one);
      return one;
    }),
  );
  return { settled, all };
}
