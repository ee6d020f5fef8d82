/**
 * Claims that outlive their owners, and owners that outlive their claims.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { LeaseLostError, TransactionAbortedError, WaitTimeoutError } from '../../mod.ts';
import { type Faults, faulty, SILENT } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseContext,
  createTable,
  type Db,
  gate,
  holdClaim,
  install,
  installAgain,
  Log,
  patiently,
  present,
  removeRow,
  rowOf,
  sleep,
  TABLES,
  thrownAs,
  thrownBy,
  until,
  VERSION,
  within,
} from './support.ts';

const DAY_MS = 86_400_000;

/** The statement that renews a claim. */
const RENEWAL = /^update \S*"migrations" set lease/i;

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a claim that has expired is taken over',
    each: true,
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { owner: 'dead', leaseMs: -1_000 });
      const result = await within(5_000, bootstrap(t, t.connect()));
      assert.equal(result.outcome, 'installed');
      const row = await rowOf(db);
      assert.equal(row?.state, 'installed');
      assert.notEqual(row.owner, 'dead');
      await assertUsable(db);
    },
  },
  {
    name: 'what a dead owner calls itself is no SQL, and nobody else loses a row by it',
    each: true,
    async run(t) {
      const db = t.connect();
      const owner = `\\')) or 1 = 1 or ('' = '--\n"`;
      await holdClaim(db, { owner, leaseMs: -1_000 });
      const before = await rowOf(db, '0000_nothing');
      if (t.dialect === 'postgres') {
        await sql`do ${
          sql.raw(
            `'begin execute format(''alter database %I set ` +
              `standard_conforming_strings = off'', current_database()); end'`,
          )
        }`.execute(db);
      }
      assert.equal((await bootstrap(t, t.connect())).outcome, 'installed');
      assert.deepEqual(await rowOf(db, '0000_nothing'), before);
    },
  },
  {
    name: 'a claim that a person has dated is taken over, or told',
    each: true,
    needs: { dialect: 'sqlite' },
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { leaseMs: 60_000 });
      await sql`update migrations set since = 9e15 where name = ${VERSION}`.execute(db);
      const waiting = bootstrap(t, t.connect(), undefined, { waitTimeoutMs: 300 });
      await thrownAs(WaitTimeoutError, within(5_000, waiting));
      await sql`update migrations set lease = 'soon' where name = ${VERSION}`.execute(db);
      assert.equal((await within(5_000, bootstrap(t, t.connect()))).outcome, 'installed');
    },
  },
  {
    name: 'of many callers one takes an expired claim over',
    each: true,
    async run(t) {
      await holdClaim(t.connect(), { leaseMs: -1_000 });
      const results = await Promise.all(Array.from({ length: 8 }, async () => {
        const db = t.connect();
        const result = await bootstrap(t, db, installAgain);
        await assertUsable(db);
        return result;
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
    },
  },
  {
    name: 'a claim is taken over when it expires, and not before',
    each: true,
    async run(t) {
      const claim = await holdClaim(t.connect(), { leaseMs: 700 });
      const result = await within(10_000, bootstrap(t, t.connect()));
      assert.equal(result.outcome, 'installed');
      assert.ok(Date.now() >= Number(claim.lease) - 50, 'too early');
    },
  },
  {
    name: 'a claim that a wrong clock has dated far into the future is taken over',
    each: true,
    async run(t) {
      await holdClaim(t.connect(), { owner: 'dead', leaseMs: 10_000, aheadMs: 10 * 365 * DAY_MS });
      assert.equal((await within(5_000, bootstrap(t, t.connect()))).outcome, 'installed');
    },
  },
  {
    name: 'a claim of a clock that is ahead by less holds',
    each: true,
    async run(t) {
      const claim = await holdClaim(t.connect(), { leaseMs: 10_000, aheadMs: 20 * DAY_MS });
      const waiting = bootstrap(t, t.connect(), undefined, { waitTimeoutMs: 1_000 });
      const { holder } = await thrownAs(WaitTimeoutError, waiting);
      assert.equal(holder?.owner, claim.owner);
    },
  },
  {
    name: 'a takeover that fails leaves nothing behind, whoever claimed before',
    each: true,
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { owner: 'dead', leaseMs: -1_000 });
      const broken = new Error('half-way');
      await assert.rejects(bootstrap(t, db, (_) => Promise.reject(broken)), broken);
      const row = await rowOf(db);
      assert.ok(row === undefined || (row.owner === 'dead' && row.state === 'installing'));
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
    },
  },
  {
    name: 'under a lease the ddl of a dead owner is run again, over what it left',
    async run(t) {
      const db = t.connect();
      await holdClaim(db, { owner: 'dead', leaseMs: -1_000 });
      await installAgain(db).then(() => sql`drop table ${sql.table(TABLES[2]!)}`.execute(db));
      const result = await bootstrap(t, db, installAgain, { strategy: 'lease' });
      assert.equal(result.outcome, 'installed');
      await assertUsable(t.connect());
    },
  },
  {
    name: 'under a lease a ddl that meets a busy database runs until it is through',
    async run(t) {
      let runs = 0;
      const ddl = async (db: Db) => {
        await installAgain(db);
        if (++runs < 5) throw new Error('database is locked');
      };
      const config = { strategy: 'lease', onContention: 'return' } as const;
      await assert.rejects(bootstrap(t, t.connect(), ddl, config), /locked/);
      assert.equal(runs, 2);
      const result = await bootstrap(t, t.connect(), ddl, { strategy: 'lease' });
      assert.deepEqual([result.outcome, runs], ['installed', 5]);
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a ddl that takes longer than its lease keeps it',
    each: 'live',
    async run(t) {
      const times = { leaseMs: 3_000, waitTimeoutMs: 20_000 };
      const inside = gate();
      const first = bootstrap(t, t.connect(), async (db) => {
        for (const table of TABLES) {
          await createTable(db, table);
          inside.open();
          await sleep(1_300);
        }
      }, times);
      await inside.opened;
      const db = t.connect();
      const second = bootstrap(t, db, () => assert.fail('run twice'), times);
      assert.equal((await first).outcome, 'installed');
      assert.equal((await within(20_000, second)).installed, false);
      await assertUsable(db);
    },
  },
  {
    name: 'one who pauses between two statements for longer than its lease keeps it',
    each: 'live',
    async run(t) {
      const db = t.connect();
      const result = await bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await sleep(3_600);
        await createTable(db, 'two');
      }, { leaseMs: 3_000, waitTimeoutMs: 20_000 });
      assert.equal(result.outcome, 'installed');
      await assertUsable(db, ['one', 'two']);
    },
  },
  {
    name: 'a statement that is issued while the claim is being renewed is sent after that',
    each: 'live',
    async run(t) {
      await assertRenewedInBetween(t, {});
    },
  },
  {
    name: 'so it is where begin silently does nothing, as it renews for the sake of others',
    async run(t) {
      await assertRenewedInBetween({ ...t, strategy: 'transaction' }, SILENT);
    },
  },
  {
    name: 'a stolen claim is noticed at the finish, and the thief’s row left alone',
    async run(t) {
      const other = t.connect();
      const failing = bootstrap(t, t.connect(), async (db) => {
        await install(db);
        await steal(other);
      }, { strategy: 'lease' });
      const error = await thrownAs(LeaseLostError, failing);
      assert.equal(error.code, 'LEASE_LOST');
      assert.match(error.message, /thief/);
      await assertStolen(other);
    },
  },
  {
    name: 'a stolen claim is noticed by the renewal, and no further statement is sent',
    async run(t) {
      const other = t.connect();
      const failing = bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        await steal(other);
        await sleep(600);
        await createTable(db, 'two');
      }, { strategy: 'lease', leaseMs: 600, waitTimeoutMs: 20_000 });
      await thrownAs(LeaseLostError, failing);
      assert.deepEqual(await present(other, ['one', 'two']), ['one']);
      await assertStolen(other);
    },
  },
  {
    name: 'so is one that is stolen where begin silently does nothing',
    async run(t) {
      const other = t.connect();
      const failing = bootstrap(t, faulty(t.connect(), SILENT), async (db) => {
        await createTable(db, 'one');
        await steal(other);
        await sleep(600);
        await createTable(db, 'two');
      }, { strategy: 'transaction', leaseMs: 600, waitTimeoutMs: 20_000 });
      await thrownAs(LeaseLostError, failing);
      assert.deepEqual(await present(other, ['one', 'two']), ['one']);
      await assertStolen(other);
    },
  },
  {
    name: 'a claim that the thief has finished stays finished',
    async run(t) {
      const other = t.connect();
      const failing = bootstrap(t, t.connect(), async (db) => {
        await install(db);
        await steal(other);
        await sql`update migrations set state = 'installed', lease = null`.execute(other);
      }, { strategy: 'lease' });
      await thrownAs(LeaseLostError, failing);
      const row = await rowOf(other);
      assert.equal(row?.owner, 'thief');
      assert.equal(row.state, 'installed');
      assert.equal((await bootstrap(t, other)).outcome, 'already-installed');
    },
  },
  {
    name: 'a claim that was deleted is not finished, nor written again',
    async run(t) {
      const other = t.connect();
      const failing = bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        await sql`delete from migrations`.execute(other);
      }, { strategy: 'lease' });
      await thrownAs(LeaseLostError, failing);
      assert.equal(await rowOf(other), undefined);
    },
  },
  {
    name: 'an owner that slept past its lease sends no further statement of its ddl',
    async run(t) {
      const logger = new Log();
      const { db, after } = unrenewed(t.connect());
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await sleep(900);
        after.length = 0;
        await createTable(db, 'two');
      }, { strategy: 'lease', leaseMs: 600, waitTimeoutMs: 20_000, logger });
      await thrownAs(LeaseLostError, failing);
      assert.deepEqual(after.filter((text) => text.includes('two')), []);
      assert.deepEqual(await present(t.connect(), ['one', 'two']), ['one']);
      assert.match(logger.errors.join('\n'), /cannot renew/);
    },
  },
  {
    name: 'so it is where its machine slept, during which one of the clocks stands still',
    alone: true,
    async run(t) {
      const now = Date.now;
      const failing = bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        Date.now = () => now() + 60_000;
        await createTable(db, 'two');
      }, { strategy: 'lease', leaseMs: 20_000 });
      await thrownAs(LeaseLostError, failing.finally(() => Date.now = now));
      assert.deepEqual(await present(t.connect(), ['one', 'two']), ['one']);
    },
  },
  {
    name: 'nor does one where begin silently does nothing, and its renewal is not answered',
    async run(t) {
      const { db } = unrenewed(t.connect(), SILENT);
      assert.match(String(await thrownBySleeper(t, db)), /cannot renew/);
    },
  },
  {
    name: 'nor if that takes longer than the lease',
    async run(t) {
      const db = slowToRenew(t.connect(), SILENT);
      assert.ok(await thrownBySleeper(t, db) instanceof LeaseLostError);
    },
  },
  {
    name: 'nor does one whose deadline passes while it renews its claim',
    needs: { dialect: 'sqlite', transactions: true },
    alone: true,
    async run(t) {
      const sent: string[] = [];
      const now = Date.now;
      const db = faulty(t.connect(), {
        async query(text, send) {
          sent.push(text);
          const answer = await send();
          if (RENEWAL.test(text)) await sleep(1_350);
          return answer;
        },
      });
      const waiting = bootstrap(t, db, async (db) => {
        await sleep(350);
        Date.now = () => now() + 60_000;
        await createTable(db, 'one');
      }, { strategy: 'transaction', leaseMs: 1_500, waitTimeoutMs: 1_600 });
      try {
        await thrownAs(WaitTimeoutError, waiting);
        await sleep(500);
      } finally {
        Date.now = now;
      }
      assert.deepEqual(sent.filter((text) => text.includes('"one"')), []);
    },
  },
  ...Object.entries(
    {
      'an owner that slept past its lease does not finish, whatever its ddl has caught': {
        strategy: 'lease',
        faults: {},
      },
      'nor does one where begin silently does nothing': { strategy: 'transaction', faults: SILENT },
    } as const,
  ).map(([name, { strategy, faults }]): Case => ({
    name,
    async run(t) {
      const db = slowToRenew(t.connect(), faults);
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await sleep(900);
        await createTable(db, 'two').catch(() => {});
      }, { strategy, leaseMs: 600, waitTimeoutMs: 20_000 });
      await thrownAs(LeaseLostError, failing);
      const other = t.connect();
      assert.equal(await rowOf(other), undefined);
      assert.deepEqual(await present(other, ['one', 'two']), ['one']);
    },
  })),
  {
    name: 'what a try has got of a line is claimed anew with what was in its way',
    async run(t) {
      const other = t.connect();
      await holdClaim(other, { version: '0000_before', owner: 'dead', leaseMs: -1_000 });
      await removeRow(other, '0000_nothing');
      const db = faulty(t.connect(), {
        async query(text, send) {
          if (/^delete .* lease/i.test(text)) await sleep(700);
          return await send();
        },
      });
      let expired: unknown[] = ['not looked at'];
      const result = await bootstrap(t, db, async (db) => {
        const rows = sql`select name from migrations where lease < ${Date.now()}`.execute(db);
        expired = (await rows).rows;
      }, {
        strategy: 'lease',
        leaseMs: 600,
        waitTimeoutMs: 20_000,
        upgrades: [{ from: '0000_before', ddl: (_) => assert.fail('not fresh') }],
      });
      assert.equal(result.outcome, 'installed');
      assert.deepEqual(expired, []);
    },
  },
  {
    name: 'after a renewal with which SQLite has ended the transaction, no statement is sent',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        // As it does by itself when the disk is full.
        await sql`create trigger full before update of lease on migrations
          begin select raise(rollback, 'database or disk is full'); end`.execute(db);
        // So long that the claim would have to be renewed before the next statement.
        await sleep(1_600);
        await createTable(db, 'two');
      }, { strategy: 'transaction', leaseMs: 1_500, waitTimeoutMs: 20_000 });
      const { cause } = await thrownAs(TransactionAbortedError, failing);
      assert.match(String(cause), /disk is full/);
      assert.deepEqual(await present(t.connect(), ['one', 'two', 'migrations']), []);
    },
  },
  {
    name: 'one renewal that fails does no harm',
    async run(t) {
      let failed = 0;
      const db = faulty(t.connect(), {
        query(text, send) {
          if (RENEWAL.test(text) && failed++ === 0) {
            throw new Error('cannot renew');
          }
          return send();
        },
      });
      const result = await bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await until(() => failed > 1);
        await createTable(db, 'two');
      }, { strategy: 'lease', leaseMs: 6_000, waitTimeoutMs: 20_000 });
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'a claim is renewed by its own clock: the row says so while the ddl runs',
    async run(t) {
      const other = t.connect();
      const leases: number[] = [];
      await bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        leases.push(Number((await rowOf(other))?.lease));
        await until(async () => {
          const lease = Number((await rowOf(other))?.lease);
          if (lease > leases.at(-1)!) leases.push(lease);
          return leases.length > 3;
        });
      }, { strategy: 'lease', leaseMs: 2_400, waitTimeoutMs: 20_000 });
      assert.ok(leases.length > 3);
    },
  },
];

async function assertRenewedInBetween(t: CaseContext, faults: Faults): Promise<void> {
  const renewing = gate();
  const db = faulty(t.connect(), {
    ...faults,
    async query(text, send) {
      const answer = await send();
      if (RENEWAL.test(text)) {
        renewing.open();
        await sleep(100);
      }
      return answer;
    },
  });
  const call = bootstrap(t, db, async (db) => {
    await createTable(db, 'one');
    await renewing.opened;
    await createTable(db, 'two');
  }, { leaseMs: 3_000, waitTimeoutMs: 20_000 });
  assert.equal((await within(10_000, call)).outcome, 'installed');
  await assertUsable(t.connect(), ['one', 'two']);
}

/** What comes of a DDL that sleeps past its lease and goes on: no statement of it may be sent. */
async function thrownBySleeper(t: CaseContext, db: Db): Promise<unknown> {
  const failing = bootstrap(t, db, async (db) => {
    await createTable(db, 'one');
    await sleep(900);
    await createTable(db, 'two').catch(() => {});
    await createTable(db, 'three');
  }, { strategy: 'transaction', leaseMs: 600, waitTimeoutMs: 20_000 });
  const error = await thrownBy(failing);
  assert.deepEqual(await present(t.connect(), ['one', 'two', 'three']), ['one']);
  return error;
}

async function steal(db: Db): Promise<void> {
  await patiently(() =>
    sql`update migrations set owner = 'thief', lease = ${Date.now() + 60_000}
      where name = ${VERSION}`.execute(db)
  );
}

async function assertStolen(db: Db): Promise<void> {
  const row = await rowOf(db);
  assert.equal(row?.owner, 'thief');
  assert.equal(row.state, 'installing');
  assert.ok(Number(row.lease) > Date.now() + 10_000);
}

/** An instance whose renewals are answered late. */
function slowToRenew(on: Db, faults: Faults): Db {
  return faulty(on, {
    ...faults,
    async query(text, send) {
      const answer = await send();
      if (RENEWAL.test(text)) await sleep(700);
      return answer;
    },
  });
}

/** An instance whose renewals fail, and what it sends. */
function unrenewed(on: Db, faults: Faults = {}): { db: Db; after: string[] } {
  const after: string[] = [];
  const db = faulty(on, {
    ...faults,
    query(text, send) {
      if (RENEWAL.test(text)) throw new Error('cannot renew');
      after.push(text);
      return send();
    },
  });
  return { db, after };
}
