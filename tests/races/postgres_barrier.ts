/**
 * A winner inside its ddl, and ten who wait for it on one pool of ten, which an app uses meanwhile.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { Kysely, PostgresDialect, sql } from 'kysely';

import { postgresBatch, type Strategy } from '../../mod.ts';
import { sleep, until, within } from '../cases/support.ts';
import { schemaAgain } from '../batch/ddl.ts';
import { callerOn, onPostgres } from '../batch/subjects.ts';
import { type Engine, inDatabase, type TestDatabase } from '../engines/engine.ts';
import { tell } from '../processes/counts.ts';
import { startProxy } from '../support/proxy.ts';
import { type Ask, callAndUse, type Db, type Settled } from './call.ts';
import { CallerProcess } from './caller_process.ts';
import { FEW_TABLES, WAITS } from './counts.ts';
import { connectSturdily, sturdyPool } from './sturdy.ts';
import { assertInTime, assertOneInstall } from './tally.ts';
import { AGAIN, holdWinner, watchPool, whileHeld, type Winner } from './winner.ts';

const LOSERS = 10;

/** How many queries of the app must be served while they wait. */
const QUERIES = 20;

/** The strategies that hold a claim while the ddl runs. */
const HOLDING = ['transaction', 'lease'] as const;

/** Runs a test under each of them at the same time, since most of it is waiting. */
export async function underEach(run: (strategy: Strategy) => Promise<void>): Promise<void> {
  const outcomes = await Promise.allSettled(HOLDING.map(run));
  for (const [n, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') continue;
    const { reason } = outcome;
    if (reason instanceof Error) reason.message = `[${HOLDING[n]}] ${reason.message}`;
    throw reason;
  }
}

/** A winner that can be ended, and what is known of it then. */
interface Stage {
  readonly database: TestDatabase;
  readonly engine: Engine;
  readonly strategy: Strategy;
}

/** What happens to the winner, and what must come of those who wait. */
export interface Ending {
  readonly name: string;
  /** How many of those who wait install. */
  readonly installs: 0 | 1;
  /** Holds a winner, and hands on what ends it. */
  hold(stage: Stage, use: (end: () => Promise<void>) => Promise<void>): Promise<void>;
}

/** All but the one that never ends. */
export const ENDINGS: readonly Ending[] = [
  {
    name: 'is let go',
    installs: 0,
    hold: (stage, use) =>
      whileHeld(holdHere(stage), (winner) =>
        use(async () => {
          winner.letGo();
          assert.equal((await within(20_000, winner.settled)).outcome, 'installed');
        })),
  },
  {
    name: 'fails',
    installs: 1,
    hold: (stage, use) =>
      whileHeld(holdHere(stage), (winner) =>
        use(async () => {
          winner.fail('on purpose');
          assert.equal((await within(20_000, winner.settled)).error?.message, 'on purpose');
        })),
  },
  {
    name: 'has its connection cut',
    installs: 1,
    hold: async (stage, use) => {
      const proxy = await startProxy('postgres', (await stage.engine.start()).endpoint!);
      try {
        const { engine, database } = stage;
        const db = connectSturdily(engine, database, { via: proxy });
        await whileHeld(holdHere(stage, db), (winner) =>
          use(async () => {
            proxy.inflict('cut');
            winner.letGo();
            assert.equal((await within(30_000, winner.settled)).outcome, 'threw');
          }));
      } finally {
        await proxy.stop();
      }
    },
  },
  {
    name: 'is killed',
    installs: 1,
    hold: async ({ database, strategy }, use) => {
      const process = await CallerProcess.start();
      const address = database.address!;
      await process.ask({ kind: 'open', engine: 'postgres', address }, 'opened');
      const tables = FEW_TABLES;
      await process.ask(
        { kind: 'call', strategy, tables, leaseMs: WAITS.leaseMs, isHeld: true },
        'inside',
      );
      await use(async () => {
        assert.equal(await process.kill(), 'SIGKILL');
      });
    },
  },
];

function holdHere(
  { engine, database, strategy }: Stage,
  db = connectSturdily(engine, database),
): Promise<Winner> {
  return holdWinner({ db }, { strategy, leaseMs: WAITS.leaseMs });
}

/** Ten wait, the app's queries do not, and it ends as it should. */
export function waitForWinner(
  engine: Engine,
  strategy: Strategy,
  { name, installs, hold }: Ending,
): Promise<void> {
  return inDatabase(engine, async (database) => {
    await hold({ database, engine, strategy }, async (end) => {
      const pool = connectSturdily(engine, database, { connections: LOSERS });
      const waiting = waitOn(pool, { strategy, leaseMs: WAITS.leaseMs });
      const watch = watchPool(pool);
      await sleep(WAITS.heldMs);
      await watch.served(QUERIES);
      assert.equal(waiting.settled.length, 0, JSON.stringify(waiting.settled));
      const startedAt = performance.now();
      await end();
      const settled = await within(30_000, waiting.all);
      const afterMs = Math.round(performance.now() - startedAt);
      assertOneInstall(settled, installs);
      const watched = await watch.stop();
      tell(
        `${engine.name}, ${strategy}, the winner ${name}: the others ended within ${afterMs} ms, ` +
          `the app's ${watched.queries} queries took ${Math.round(watched.longestMs)} ms at most`,
      );
    });
  });
}

/** The winner hangs for ever: those who wait end in time, and name it where they can. */
export function waitForNothing(engine: Engine, strategy: Strategy): Promise<void> {
  return inDatabase(
    engine,
    (database) =>
      whileHeld(holdHere({ database, engine, strategy }), async (winner) => {
        const pool = connectSturdily(engine, database, { connections: LOSERS });
        const times = { waitTimeoutMs: WAITS.timeoutMs, leaseMs: 1_000 };
        const waiting = waitOn(pool, { strategy, ...times });
        const watch = watchPool(pool);
        // Few, as there is only the time until the deadline.
        await watch.served(5);
        assert.equal(waiting.settled.length, 0, 'served only when the others had ended');
        const settled = await within(20_000, waiting.all);
        const watched = await watch.stop();
        const row = strategy === 'lease' ? await claimIn(database) : undefined;
        for (const { error, durationMs } of settled) {
          assert.equal(error?.name, 'WaitTimeoutError', JSON.stringify(settled));
          assert.equal(error.code, 'WAIT_TIMEOUT');
          assertInTime(durationMs);
          // A claim inside a transaction is seen by nobody.
          assert.deepEqual(error.holder, row);
          if (row) assert.ok(error.message.includes(row.owner), error.message);
        }
        const slowest = Math.max(...settled.map(({ durationMs }) => durationMs));
        tell(
          `${engine.name}, ${strategy}, the winner hangs: ten timeouts of ${WAITS.timeoutMs} ms within ` +
            `${Math.round(slowest)} ms, the app's ${watched.queries} queries took ` +
            `${Math.round(watched.longestMs)} ms at most`,
        );
        winner.letGo();
        assert.equal((await within(20_000, winner.settled)).outcome, 'installed');
        assert.equal((await callAndUse({ db: pool }, AGAIN)).outcome, 'already-installed');
      }),
  );
}

/** A batch cannot be held inside its ddl by its caller; but the server may be slow with it. */
export function waitForSlowBatch(): Promise<void> {
  return inDatabase(onPostgres.engine, async (database) => {
    const holder = database.connect({ connections: 1 });
    await sql`select pg_advisory_lock(1)`.execute(holder);
    const slow = callAndUse(callerOn(onPostgres, database), {
      tables: FEW_TABLES,
      ddl: async (db: Db) => {
        await schemaAgain(FEW_TABLES)(db);
        await sql`do $$ begin perform pg_advisory_xact_lock(1); end $$`.execute(db);
      },
    });
    await until(async () => {
      const rows = await database.run(`select 1 from pg_stat_activity
        where datname = current_database() and wait_event = 'advisory'`);
      return rows.length > 0;
    });
    const pool = sturdyPool(database, { connections: LOSERS });
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
    // The app asks on the very pool that the batches go through.
    const caller = { db, batch: postgresBatch(pool as never) };
    const all = Promise.all(
      Array.from({ length: LOSERS }, () => callAndUse(caller, { ...AGAIN, strategy: 'batch' })),
    );
    const watch = watchPool(db);
    await sleep(WAITS.heldMs);
    await watch.served(QUERIES);
    await sql`select pg_advisory_unlock(1)`.execute(holder);
    const settled = await within(20_000, all);
    const watched = await watch.stop();
    assert.equal((await slow).outcome, 'installed');
    assertOneInstall(settled, 0);
    tell(
      `postgres, batch, a slow winner: the app's ${watched.queries} queries took ` +
        `${Math.round(watched.longestMs)} ms at most`,
    );
  });
}

/** Each ends its own way at its own time, and none of them holds up another. */
export function endInOrder(engine: Engine, strategy: Strategy): Promise<void> {
  return inDatabase(
    engine,
    (database) =>
      whileHeld(holdHere({ database, engine, strategy }), async (winner) => {
        const pool = connectSturdily(engine, database, { connections: LOSERS });
        const order: number[] = [];
        const times = [1, 2, 3, 4, 5, 6].map((n) => 200 + n * WAITS.stepMs);
        const waits = times.map(async (ms, n) => {
          const isAborted = n % 2 === 1;
          const controller = new AbortController();
          const startedAt = performance.now();
          const reason = new Error(`enough after ${ms}`);
          const timer = isAborted ? setTimeout(() => controller.abort(reason), ms) : undefined;
          const { error } = await callAndUse({ db: pool }, {
            ...AGAIN,
            strategy,
            ...(isAborted ? { signal: controller.signal } : { waitTimeoutMs: ms }),
          });
          clearTimeout(timer);
          order.push(n);
          assert.equal(error?.name, isAborted ? 'Error' : 'WaitTimeoutError');
          if (isAborted) assert.equal(error?.message, reason.message);
          // A timer may fire a moment early.
          assert.ok(performance.now() - startedAt > ms - 10, `too early for ${ms} ms`);
        });
        await within(20_000, Promise.all(waits));
        // On a busy machine those that are one step apart may change places.
        for (const n of [0, 1, 2]) {
          assert.ok(order.indexOf(n) < order.indexOf(n + 3), `ended in the order ${order}`);
        }
        winner.letGo();
        assert.equal((await within(20_000, winner.settled)).outcome, 'installed');
      }),
  );
}

/**
 * The server ends every connection, the winner's too, while ten wait: each ends with an outcome or
 * with the server's own error, and whoever calls again is served.
 */
export function shutDownMidWait(engine: Engine, strategy: Strategy): Promise<void> {
  return inDatabase(
    engine,
    (database) =>
      whileHeld(holdHere({ database, engine, strategy }), async (winner) => {
        const pool = connectSturdily(engine, database, { connections: LOSERS });
        const waiting = waitOn(pool, { strategy, leaseMs: WAITS.leaseMs });
        await sleep(WAITS.heldMs);
        assert.equal(waiting.settled.length, 0, JSON.stringify(waiting.settled));
        await database.run(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`);
        winner.letGo();
        const first = await within(30_000, winner.settled);
        const settled = await within(30_000, waiting.all);
        for (const { error, unusable } of settled) {
          assert.equal(unusable, undefined);
          if (error) {
            assert.match(
              `${error.code} ${error.message}`,
              /57P0|terminat|CONNECTION|ECONNRESET|ended/i,
            );
          }
        }
        const again = await within(
          20_000,
          Promise.all(
            Array.from(
              { length: LOSERS },
              () => callAndUse({ db: pool }, { ...AGAIN, strategy, leaseMs: WAITS.leaseMs }),
            ),
          ),
        );
        const installs = [first, ...settled, ...again].filter(({ installed }) => installed).length;
        assert.equal(installs, 1, JSON.stringify([first, ...settled, ...again]));
        assertOneInstall(again, again.filter(({ installed }) => installed).length);
        const threw = settled.filter(({ error }) => error).length;
        tell(
          `${engine.name}, ${strategy}, all connections ended mid-wait: ${threw} of ten threw, ` +
            `${10 - threw} went on`,
        );
      }),
  );
}

function waitOn(
  pool: Db,
  ask: Partial<Ask>,
): { readonly settled: Settled[]; readonly all: Promise<Settled[]> } {
  const settled: Settled[] = [];
  const all = Promise.all(Array.from({ length: LOSERS }, async () => {
    const one = await callAndUse({ db: pool }, { ...AGAIN, ...ask });
    settled.push(one);
    return one;
  }));
  return { settled, all };
}

async function claimIn(database: TestDatabase): Promise<{ owner: string; since: number }> {
  const [row] = await database.run('select owner, since from migrations') as {
    owner: string;
    since: string;
  }[];
  return { owner: row!.owner, since: Number(row!.since) };
}
