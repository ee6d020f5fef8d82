/**
 * Once, whoever races.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import type { BootstrapConfig, BootstrapResult } from '../../mod.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseContext,
  type CaseDdl,
  createTable,
  type Db,
  gate,
  install,
  installAgain,
  ledger,
  looked,
  present,
  sleep,
  thrownBy,
  until,
  watched,
  within,
} from './support.ts';

const CALLERS = 12;

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'of many callers at once one installs, and all can use every table on return',
    each: true,
    async run(t) {
      assertOneInstall(await stampede(t, () => bootstrap));
      await assertRanOnce(t);
    },
  },
  {
    name: 'the same on a ledger that is there already',
    each: true,
    async run(t) {
      await bootstrap(t, t.connect(), (db) => createTable(db, 'before'), { version: '0000' });
      assertOneInstall(await stampede(t, () => bootstrap));
      await assertRanOnce(t);
    },
  },
  {
    name: 'the same with strategies mixed',
    needs: { transactions: true },
    async run(t) {
      // A lease has no transaction around it, so it asks for DDL that is harmless to repeat.
      const results = await stampede(t, (n) => (t, db) => {
        return bootstrap(t, db, installAgain, { strategy: n % 2 ? 'lease' : 'transaction' });
      });
      assertOneInstall(results);
    },
  },
  {
    name: 'the same on one instance that all share',
    each: true,
    async run(t) {
      const db = t.connect();
      assertOneInstall(await stampede(t, () => bootstrap, () => db));
      await assertRanOnce(t);
    },
  },
  {
    name: 'two versions at once on a fresh database are both installed, each once',
    each: true,
    async run(t) {
      const results = await Promise.all([1, 2, 3, 4, 5, 6].map(async (n) => {
        const version = `v${n % 2}`;
        const db = t.connect();
        const result = await bootstrap(t, db, (db) => createTable(db, `of_${version}`), {
          version,
        });
        await assertUsable(db, [`of_${version}`]);
        return result;
      }));
      for (const version of ['v0', 'v1']) {
        assertOneInstall(results.filter((result) => result.version === version));
      }
      assert.deepEqual((await ledger(t.connect())).map(({ name }) => name), ['v0', 'v1']);
    },
  },
  {
    name: 'nobody returns while the winner is inside its ddl',
    each: 'live',
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const { winner, letGo } = await insideItsDdl(t);
      let settled = 0;
      const callers = [1, 2, 3].map(() => watched(t));
      const others = callers.map(async ({ db }) => {
        const result = await bootstrap(t, db, () => assert.fail('run twice'))
          .finally(() => settled++);
        await assertUsable(db);
        return result;
      });
      await Promise.all(callers.map(({ statements }) => looked(statements)));
      await sleep(300);
      assert.equal(settled, 0);
      letGo();
      assert.equal((await winner).outcome, 'installed');
      for (const { outcome } of await within(20_000, Promise.all(others))) {
        assert.equal(outcome, 'waited');
      }
    },
  },
  {
    name: 'when the winner fails, one of those who wait installs',
    each: 'live',
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const broken = new Error('the winner fails');
      const { winner, letGo } = await insideItsDdl(t, (db) => createTable(db, 'half'), {}, broken);
      const failed = thrownBy(winner);
      const watchers = [1, 2, 3].map(() => watched(t));
      const others = watchers.map(async ({ db }) => {
        const result = await bootstrap(t, db, installAgain);
        await assertUsable(db);
        return result;
      });
      await Promise.all(watchers.map(({ statements }) => looked(statements)));
      letGo();
      assert.equal(await failed, broken);
      assertOneInstall(await within(20_000, Promise.all(others)));
      if (t.strategy === 'transaction') assert.deepEqual(await present(t.connect(), ['half']), []);
    },
  },
  {
    name: 'those who wait leave the other queries of their pool alone',
    each: 'live',
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const { winner, letGo } = await insideItsDdl(t);
      const shared = t.connect({ connections: 4 });
      const waiting = Array.from({ length: 8 }, () => bootstrap(t, shared));
      for (let n = 0; n < 5; n++) {
        await within(3_000, sql`select 1 as one`.execute(shared));
        await sleep(50);
      }
      letGo();
      await winner;
      const results = await within(20_000, Promise.all(waiting));
      assert.ok(results.every(({ outcome }) => outcome === 'waited'));
    },
  },
  {
    name: 'one who waits through a lease and one who waits through a transaction both end well',
    needs: { transactions: true, concurrent: true, lasting: true },
    async run(t) {
      for (
        const [strategy, other] of [['lease', 'transaction'], ['transaction', 'lease']] as const
      ) {
        const version = `held-by-${strategy}`;
        const ddl = (db: Db) => createTable(db, `by_${strategy}`);
        const { winner, letGo } = await insideItsDdl(t, ddl, { version, strategy });
        let isSettled = false;
        const { db, statements } = watched(t);
        const waiting = bootstrap(t, db, () => assert.fail('run twice'), {
          version,
          strategy: other,
        }).finally(() => isSettled = true);
        await looked(statements);
        await sleep(200);
        assert.equal(isSettled, false);
        letGo();
        assert.equal((await winner).outcome, 'installed');
        assert.equal((await within(20_000, waiting)).outcome, 'waited');
      }
    },
  },
  {
    name: 'where a server takes the lock from an owner that is slow, nobody is told of it',
    needs: { transactions: true, lasting: false },
    async run(t) {
      const inside = gate();
      let runs = 0;
      const ddl = async (db: Db) => {
        await createTable(db, 't001');
        inside.open();
        if (++runs === 1) await sleep(7_000);
        await createTable(db, 't002');
        await createTable(db, 't003');
      };
      const slow = bootstrap(t, t.connect(), ddl, { strategy: 'transaction' });
      await inside.opened;
      const other = bootstrap(t, t.connect(), ddl, { strategy: 'transaction' });
      assertOneInstall(await within(40_000, Promise.all([slow, other])));
      await assertUsable(t.connect());
      assert.ok(runs >= 2);
    },
  },
  {
    name: 'with onContention "return" nobody waits',
    each: 'live',
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const { winner, letGo } = await insideItsDdl(t);
      const loser = bootstrap(t, t.connect(), undefined, { onContention: 'return' });
      const { durationMs: _, ...result } = await within(5_000, loser);
      assert.deepEqual(result, {
        installed: false,
        wonClaim: false,
        version: '0001_initial',
        outcome: 'pending',
        strategy: t.strategy,
      });
      letGo();
      await winner;
      await until(async () => {
        const later = await bootstrap(t, t.connect(), undefined, { onContention: 'return' });
        return later.outcome === 'already-installed';
      });
    },
  },
];

/** A caller that has run its ddl, and stays inside until it is let go; then it may fail. */
async function insideItsDdl(
  t: CaseContext,
  ddl: CaseDdl = install,
  more: Partial<BootstrapConfig<Db>> = {},
  failure?: Error,
): Promise<{ winner: Promise<BootstrapResult>; letGo(): void }> {
  const held = gate();
  const inside = gate();
  const winner = bootstrap(t, t.connect(), async (db) => {
    await ddl(db);
    inside.open();
    await held.opened;
    if (failure) throw failure;
  }, more);
  await inside.opened;
  return { winner, letGo: held.open };
}

/** DDL whose second run would fail, and whose effect can be counted. */
async function countable(db: Db): Promise<void> {
  await install(db);
  await createTable(db, 'runs');
  await db.insertInto('runs').values({ id: 1 }).execute();
}

type Call = (t: CaseContext, db: Db, ddl: typeof countable) => Promise<BootstrapResult>;

async function stampede(
  t: CaseContext,
  callOf: (n: number) => Call,
  connect: () => Db = () => t.connect(),
): Promise<BootstrapResult[]> {
  const callers = Array.from({ length: CALLERS }, connect);
  return await Promise.all(callers.map(async (db, n) => {
    const result = await callOf(n)(t, db, countable);
    await assertUsable(db);
    return result;
  }));
}

function assertOneInstall(results: readonly BootstrapResult[]): void {
  const winners = results.filter(({ installed }) => installed);
  assert.equal(winners.length, 1, JSON.stringify(results));
  assert.equal(winners[0]!.outcome, 'installed');
  assert.equal(winners[0]!.wonClaim, true);
  for (const result of results) {
    if (result === winners[0]) continue;
    assert.equal(result.wonClaim, false);
    assert.ok(['waited', 'already-installed'].includes(result.outcome), result.outcome);
  }
}

async function assertRanOnce(t: CaseContext): Promise<void> {
  const db = t.connect();
  assert.equal((await db.selectFrom('runs').select('id').execute()).length, 1);
  assert.ok((await ledger(db)).every(({ state }) => state === 'installed'));
}
