/**
 * All or nothing, and nothing hidden.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { TransactionAbortedError } from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  createTable,
  type Db,
  gate,
  install,
  installAgain,
  ledger,
  Log,
  present,
  rowOf,
  TABLES,
  thrownAs,
  thrownBy,
} from './support.ts';

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'an error of the ddl that speaks of advisory locks is its own all the same',
    each: 'live',
    async run(t) {
      const broken = new Error('relation "advisory_board" does not exist');
      let runs = 0;
      const failing = bootstrap(t, t.connect(), async (db) => {
        runs++;
        await createTable(db, TABLES[0]!);
        throw broken;
      });
      assert.equal(await thrownBy(failing), broken);
      assert.equal(runs, 1);
    },
  },
  {
    name: 'what keeps the look at a doubtful transaction from its answer is told as it is',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const lost = new Error('the connection is lost');
      let isDoubtful = false;
      const db = faulty(t.connect(), {
        query(text, send) {
          if (isDoubtful && /^select ledger/.test(text)) throw lost;
          return send();
        },
      });
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await createTable(db, 'one').catch(() => {});
        isDoubtful = true;
        await createTable(db, 'two');
      }, { strategy: 'transaction' });
      assert.equal(await thrownBy(failing), lost);
    },
  },
  {
    name: 'a ddl that fails half-way: its own error, no claim left, and the next call installs',
    each: true,
    async run(t) {
      const db = t.connect();
      const broken = new Error('half-way');
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, TABLES[0]!);
        throw broken;
      });
      assert.equal(await thrownBy(failing), broken);
      assert.equal(await rowOf(t.connect()), undefined);
      assert.equal((await bootstrap(t, t.connect(), installAgain)).outcome, 'installed');
      await assertUsable(db);
    },
  },
  {
    name: 'in a transaction a ddl that fails leaves neither tables nor a ledger',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect();
      const broken = new Error('half-way');
      await assert.rejects(
        bootstrap(t, db, async (db) => {
          await install(db);
          throw broken;
        }),
        broken,
      );
      assert.deepEqual(await present(db, [...TABLES, 'migrations']), []);
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
    },
  },
  {
    name: 'the error of a failing statement is the one that the ddl itself saw',
    each: 'live',
    async run(t) {
      const db = t.connect();
      let seen: unknown;
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        try {
          await sql`insert into not_there values (1)`.execute(db);
        } catch (error) {
          seen = error;
          throw error;
        }
      });
      const error = await thrownBy(failing);
      assert.ok(seen);
      assert.equal(error, seen);
      assert.deepEqual(await ledger(db), []);
    },
  },
  {
    name: 'whatever the ddl throws comes out as it is',
    each: 'live',
    async run(t) {
      const db = t.connect();
      for (const thrown of [undefined, null, 'text', 0, Object.freeze({ code: 'X' })]) {
        const failing = bootstrap(t, db, async (db) => {
          await sql`select 1 as one`.execute(db);
          throw thrown;
        });
        assert.equal(await thrownBy(failing), thrown);
        assert.equal(await rowOf(db), undefined);
      }
      // One that throws before its first await.
      const early = new Error('early');
      const failing = bootstrap(t, db, (_) => {
        throw early;
      });
      assert.equal(await thrownBy(failing), early);
    },
  },
  {
    name: 'a table that is in the way is reported, not retried until the deadline',
    each: true,
    async run(t) {
      const db = t.connect();
      await createTable(db, TABLES[1]!);
      let runs = 0;
      const failing = bootstrap(t, db, async (db) => {
        runs++;
        await install(db);
      });
      // Not the one that a second run under a lease finds in the way, as the first had made it.
      assert.match(String(await thrownBy(failing)), new RegExp(`"?${TABLES[1]}"? already exists`));
      assert.ok(runs <= 2, `${runs} runs`);
      assert.equal(await rowOf(db), undefined);
    },
  },
  {
    name: 'an error of a first run that was passing does not hide that of the second',
    each: 'live',
    async run(t) {
      // In a transaction nothing is left of a first run, whatever had ended it.
      for (const code of t.strategy === 'lease' ? ['55P03'] : ['55P03', '42710']) {
        const db = t.connect();
        await createTable(db, TABLES[1]!);
        let runs = 0;
        const failing = bootstrap(t, db, async (db) => {
          runs++;
          if (runs === 1) throw Object.assign(new Error('passing'), { code });
          await install(db);
        });
        assert.match(String(await thrownBy(failing)), new RegExp(`${TABLES[1]}"? already exists`));
        await db.schema.dropTable(TABLES[1]!).execute();
      }
    },
  },
  {
    name: 'on Postgres an error that the ddl swallows ends in an error of its own',
    needs: { transactions: true, dialect: 'postgres' },
    async run(t) {
      const db = t.connect();
      let swallowed: unknown;
      const failing = bootstrap(t, db, async (db) => {
        await install(db);
        await sql`select * from not_there`.execute(db).catch((error) => swallowed = error);
        // What Postgres says from there on is not what went wrong.
        assert.match(String(await thrownBy(sql`select 1`.execute(db))), /transaction is aborted/);
      });
      const error = await thrownAs(TransactionAbortedError, failing);
      assert.equal(error.code, 'TRANSACTION_ABORTED');
      assert.ok(swallowed);
      assert.equal(error.cause, swallowed);
      assert.deepEqual(await present(db, [...TABLES, 'migrations']), []);
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
    },
  },
  {
    name: 'where a failed statement leaves the rest standing, the ddl may swallow its error',
    needs: { dialect: 'sqlite' },
    async run(t) {
      const db = t.connect();
      const result = await bootstrap(t, db, async (db) => {
        await sql`select * from not_there`.execute(db).catch(() => {});
        await install(db);
      });
      assert.equal(result.outcome, 'installed');
      await assertUsable(t.connect());
    },
  },
  {
    name: 'an error while rolling back is logged, and not thrown in place of the first',
    needs: { transactions: true },
    async run(t) {
      const logger = new Log();
      const broken = new Error('the first');
      const db = faulty(t.connect(), {
        async rollback(run) {
          await run();
          throw new Error('the second');
        },
      });
      const failing = bootstrap(t, db, async (db) => {
        await install(db);
        throw broken;
      }, { logger });
      assert.equal(await thrownBy(failing), broken);
      assert.match(logger.errors.join('\n'), /the second/);
      assert.deepEqual(await present(t.connect()), []);
    },
  },
  {
    name: 'an error while releasing a claim is logged, and not thrown in place of the first',
    async run(t) {
      const logger = new Log();
      const broken = new Error('the first');
      const db = faulty(t.connect(), {
        query(text, send) {
          if (/^delete /i.test(text)) throw new Error('the second');
          return send();
        },
      });
      const failing = bootstrap(t, db, (_) => Promise.reject(broken), {
        logger,
        strategy: 'lease',
      });
      assert.equal(await thrownBy(failing), broken);
      assert.match(logger.errors.join('\n'), /the second/);
    },
  },
  {
    name: 'the error of the ddl is not kept back by an end of its unit that is not answered',
    each: 'live',
    async run(t) {
      const broken = new Error('the first');
      const over = gate();
      const released = gate();
      const db = faulty(t.connect(), {
        async query(text, send) {
          if (!/^delete /i.test(text)) return await send();
          await over.opened;
          return await send().finally(released.open);
        },
        async rollback(run) {
          await run();
          await over.opened;
        },
      });
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        throw broken;
      }, { leaseMs: 2_000, waitTimeoutMs: 3_000 });
      try {
        assert.equal(await thrownBy(failing), broken);
      } finally {
        over.open();
        // There a transaction has taken it along.
        const isGone = t.dialect === 'postgres' && t.strategy === 'transaction';
        if (!isGone) await released.opened;
      }
    },
  },
  {
    name: 'a ddl that fails before it has begun to run leaves no claim behind, ten times over',
    each: true,
    async run(t) {
      const db = t.connect();
      for (let n = 0; n < 10; n++) {
        await assert.rejects(bootstrap(t, db, (_) => Promise.reject(new Error(`${n}`))), {
          message: `${n}`,
        });
      }
      assert.deepEqual(await ledger(db), []);
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
    },
  },
  {
    name: 'the error of a statement that may be tried again is tried again until it passes',
    each: 'live',
    async run(t) {
      const db = t.connect();
      let runs = 0;
      const result = await bootstrap(t, db, async (db: Db) => {
        await installAgain(db);
        if (++runs < 4) throw Object.assign(new Error('could not serialize'), { code: '40001' });
      });
      assert.equal(result.outcome, 'installed');
      assert.equal(runs, 4);
      await assertUsable(db);
    },
  },
];
