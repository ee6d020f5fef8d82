/**
 * Waiting is bounded, ends when it is told to, and holds nothing.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { WaitTimeoutError } from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseContext,
  type Db,
  gate,
  holdClaim,
  Log,
  looked,
  patiently,
  present,
  removeRow,
  rowOf,
  sleep,
  thrownAs,
  thrownBy,
  VERSION,
  watched,
  within,
} from './support.ts';

const HELD_MS = 60_000;

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a wait ends with an error that names the holder, and nothing is changed',
    each: true,
    async run(t) {
      const claim = await holdClaim(t.connect(), { owner: 'the-holder', leaseMs: HELD_MS });
      const waiting = bootstrap(t, t.connect(), () => assert.fail('run'), { waitTimeoutMs: 400 });
      const startedAt = performance.now();
      const error = await thrownAs(WaitTimeoutError, within(5_000, waiting));
      assert.ok(performance.now() - startedAt > 300, 'too early');
      assert.equal(error.code, 'WAIT_TIMEOUT');
      assert.equal(error.version, VERSION);
      assert.equal(error.marker, 'migrations');
      assert.equal(error.holder?.owner, 'the-holder');
      assert.equal(error.holder.since.getTime(), claim.since);
      assert.equal(error.holder.leaseUntil.getTime(), claim.lease);
      for (const part of [VERSION, 'migrations', '400', 'the-holder']) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      assert.deepEqual(await rowOf(t.connect()), claim);
      assert.deepEqual(await present(t.connect()), []);
    },
  },
  {
    name: 'nobody installs after its caller was told "timeout"',
    each: true,
    async run(t) {
      const db = t.connect();
      let runs = 0;
      await holdClaim(db, { leaseMs: HELD_MS });
      const waiting = bootstrap(t, t.connect(), (_) => void runs++, { waitTimeoutMs: 100 });
      await thrownAs(WaitTimeoutError, waiting);
      await removeRow(db);
      await sleep(300);
      assert.equal(runs, 0);
      assert.equal(await rowOf(db), undefined);
    },
  },
  lateAt('connection', /^begin$/),
  lateAt('claim', /^insert into \S*"migrations"/i),
  {
    name: 'a claim that is released while others wait is claimed by one of them',
    each: true,
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { leaseMs: HELD_MS });
      const { db: waiter, statements } = watched(t);
      const waiting = bootstrap(t, waiter);
      await looked(statements);
      await removeRow(db);
      assert.equal((await within(10_000, waiting)).outcome, 'installed');
      await assertUsable(db);
    },
  },
  {
    name: 'a claim that is finished while others wait ends their wait',
    each: true,
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { leaseMs: HELD_MS });
      const { db: waiter, statements } = watched(t);
      const waiting = bootstrap(t, waiter, () => assert.fail('run'));
      await looked(statements);
      await patiently(() =>
        sql`update migrations set state = 'installed', lease = null where name = ${VERSION}`
          .execute(db)
      );
      const { durationMs, ...result } = await within(10_000, waiting);
      assert.ok(durationMs >= 10, `${durationMs}`);
      assert.deepEqual(result, {
        installed: false,
        wonClaim: false,
        version: VERSION,
        outcome: 'waited',
        strategy: t.strategy,
      });
    },
  },
  {
    name: 'a signal ends a wait at once, with its own reason',
    each: true,
    async run(t) {
      const claim = await holdClaim(t.connect(), { leaseMs: HELD_MS });
      const controller = new AbortController();
      const { db, statements } = watched(t);
      const waiting = thrownBy(
        bootstrap(t, db, () => assert.fail('run'), { signal: controller.signal }),
      );
      await looked(statements);
      const reason = { enough: true };
      controller.abort(reason);
      assert.equal(await within(2_000, waiting), reason);
      assert.deepEqual(await rowOf(t.connect()), claim);
    },
  },
  {
    name: 'a signal ends a wait for a database that does not answer',
    each: true,
    async run(t) {
      const controller = new AbortController();
      const never = Promise.withResolvers<never>();
      // Nothing may have been sent by the end.
      never.promise.catch(() => {});
      const db = faulty(await connected(t), { query: () => never.promise });
      const waiting = thrownBy(bootstrap(t, db, undefined, { signal: controller.signal }));
      await sleep(50);
      controller.abort();
      assert.equal(await within(2_000, waiting), controller.signal.reason);
      never.reject(new Error('closed'));
    },
  },
  {
    name: 'the deadline ends a wait for a database that does not answer',
    each: true,
    async run(t) {
      const never = Promise.withResolvers<never>();
      // Nothing may have been sent by the end.
      never.promise.catch(() => {});
      const db = faulty(await connected(t), { query: () => never.promise });
      const waiting = bootstrap(t, db, undefined, { waitTimeoutMs: 200 });
      const error = await thrownAs(WaitTimeoutError, within(5_000, waiting));
      assert.equal(error.holder, undefined);
      never.reject(new Error('closed'));
    },
  },
  {
    name: 'the deadline ends the tries on a database that stays busy, which is the cause',
    each: true,
    async run(t) {
      const busy = new Error('database is locked');
      const db = faulty(t.connect(), { query: () => Promise.reject(busy) });
      const logger = new Log();
      const waiting = bootstrap(t, db, undefined, { waitTimeoutMs: 1_500, logger });
      const error = await thrownAs(WaitTimeoutError, within(10_000, waiting));
      assert.equal(error.cause, busy);
      // What is no news is not said again.
      assert.equal(logger.logged.length, 1, logger.logged.join('\n'));
    },
  },
  {
    name: 'an error of a try that others went well after is not told as the cause',
    needs: { transactions: true },
    async run(t) {
      let failed = 0;
      const db = faulty(t.connect(), {
        query(text, send) {
          if (!/^insert/i.test(text)) return send();
          if (failed++ === 0) throw new Error('database is locked');
          // As on Postgres, where nobody sees who is at it.
          return Promise.resolve({ rows: [] });
        },
      });
      const waiting = bootstrap(t, db, undefined, {
        strategy: 'transaction',
        waitTimeoutMs: 1_000,
      });
      const error = await thrownAs(WaitTimeoutError, within(10_000, waiting));
      assert.ok(failed > 1);
      assert.equal(error.cause, undefined);
      assert.doesNotMatch(error.message, /locked/);
    },
  },
  {
    name: 'a database that is busy until past the deadline ends in the same error',
    each: true,
    alone: true,
    async run(t) {
      const busy = new Error('database is locked');
      const db = faulty(t.connect(), {
        query() {
          spin(250);
          return Promise.reject(busy);
        },
      });
      const waiting = bootstrap(t, db, undefined, { waitTimeoutMs: 200 });
      assert.equal((await thrownAs(WaitTimeoutError, waiting)).cause, busy);
    },
  },
  {
    name: 'with a signal that is aborted already no statement is sent',
    each: true,
    async run(t) {
      const { db, statements } = watched(t);
      const reason = new Error('never mind');
      const signal = AbortSignal.abort(reason);
      assert.equal(await thrownBy(bootstrap(t, db, undefined, { signal })), reason);
      assert.deepEqual(statements, []);
      assert.deepEqual(await present(t.connect(), ['migrations']), []);
    },
  },
  {
    name: 'neither deadline nor signal cuts a ddl that has issued a statement, nor its finish',
    each: 'live',
    async run(t) {
      const controller = new AbortController();
      const logger = new Log();
      const db = faulty(t.connect(), {
        async query(text, send) {
          if (/^update \S*"migrations" set state/i.test(text)) await sleep(500);
          if (text.includes('table two')) {
            controller.abort();
            await sleep(100);
          }
          return await send();
        },
      });
      const result = await bootstrap(t, db, async (db) => {
        await sql`create table one (id integer)`.execute(db);
        await sleep(3_500);
        await sql`create table two (id integer)`.execute(db);
        await sql`create table three (id integer)`.execute(db);
      }, { waitTimeoutMs: 3_000, leaseMs: 2_900, signal: controller.signal, logger });
      assert.equal(result.outcome, 'installed');
      // The likely cause, which under a lease may be any.
      const told = logger.logged.filter((line) => line.includes(`still running past`)).join('\n');
      const hints = [/connection that its own transaction holds/, /may be waiting for a lock/];
      assert.deepEqual(
        hints.map((hint) => hint.test(told)),
        hints.map(() => t.strategy !== 'lease'),
      );
      assert.match(told, /past 'waitTimeoutMs'/);
      await assertUsable(db, ['one', 'two', 'three']);
    },
  },
  {
    name: 'a wait holds no connection: a pool of one still serves other queries',
    each: true,
    async run(t) {
      await holdClaim(t.connect(), { leaseMs: HELD_MS });
      const db = t.connect({ connections: 1 });
      const controller = new AbortController();
      const waiting = thrownBy(bootstrap(t, db, undefined, { signal: controller.signal }));
      for (let n = 0; n < 5; n++) {
        await within(2_000, sql`select 1 as one`.execute(db));
        await sleep(30);
      }
      controller.abort();
      assert.equal(await within(2_000, waiting), controller.signal.reason);
    },
  },
  {
    name: 'with onContention "return" a claim that is held is pending, at once and untouched',
    each: true,
    async run(t) {
      const claim = await holdClaim(t.connect(), { leaseMs: HELD_MS });
      const call = bootstrap(t, t.connect(), () => assert.fail('run'), { onContention: 'return' });
      const { durationMs: _, ...result } = await within(5_000, call);
      assert.deepEqual(result, {
        installed: false,
        wonClaim: false,
        version: VERSION,
        outcome: 'pending',
        strategy: t.strategy,
      });
      assert.deepEqual(await rowOf(t.connect()), claim);
    },
  },
];

/** A caller that gets on only after its deadline, at its `begin` or at a statement of its own. */
function lateAt(what: 'connection' | 'claim', statement: RegExp): Case {
  return {
    name: `nor does one whose ${what} comes after the deadline`,
    ...(what === 'claim' ? { each: 'live' } : { needs: { transactions: true } }),
    async run(t) {
      const late = gate();
      let looks = 0;
      let isHeld = false;
      let runs = 0;
      const hold = async (text: string) => {
        if (isHeld || !statement.test(text)) return;
        isHeld = true;
        await late.opened;
      };
      const db = faulty(t.connect(), {
        async begin(run) {
          await run();
          await hold('begin');
        },
        async query(text, send) {
          // So that the transaction is held for a short time only, as a server may end an idle one.
          if (++looks === 1) await sleep(1_500);
          await hold(text);
          return await send();
        },
      });
      const times = { waitTimeoutMs: 2_500, leaseMs: 2_400 };
      const waiting = bootstrap(t, db, (_) => void runs++, times);
      try {
        const error = await thrownAs(WaitTimeoutError, within(8_000, waiting));
        assert.equal(error.holder, undefined);
        assert.ok(isHeld);
      } finally {
        late.open();
      }
      await sleep(300);
      assert.equal(runs, 0);
      await patiently(async () => assert.equal(await rowOf(t.connect()), undefined));
    },
  };
}

/** Lets no timer fire for a while; the count is for runtimes whose clock stands still meanwhile. */
function spin(ms: number): void {
  const end = performance.now() + ms;
  for (let count = 0; count < 2e7 && performance.now() < end; count++);
}

/** An instance that has a connection already, so that none is being opened when its database goes. */
async function connected(t: CaseContext): Promise<Db> {
  const db = t.connect();
  await sql`select 1`.execute(db);
  return db;
}
