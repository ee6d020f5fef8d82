/**
 * Resolved means ready, and cheap once it is.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import {
  assertUsable,
  bootstrap,
  type Case,
  createTable,
  type Db,
  installAgain,
  ledger,
  Log,
  present,
  rowOf,
  thrownBy,
  VERSION,
  watched,
} from './support.ts';

const SEED_SECRET = 'hunter2-seed';

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a fresh install says what it did, and another instance can use every table',
    each: true,
    async run(t) {
      const { durationMs, ...result } = await bootstrap(t, t.connect());
      assert.deepEqual(result, {
        installed: true,
        wonClaim: true,
        version: VERSION,
        outcome: 'installed',
        strategy: t.strategy,
      });
      assert.ok(durationMs >= 0 && durationMs < 60_000, `${durationMs}`);
      await assertUsable(t.connect());
    },
  },
  {
    name: 'an install leaves one finished row in the ledger',
    each: true,
    async run(t) {
      const before = Date.now();
      await bootstrap(t, t.connect());
      const [row, ...others] = await ledger(t.connect());
      assert.deepEqual(others, []);
      assert.equal(row?.name, VERSION);
      assert.equal(row.state, 'installed');
      assert.equal(row.lease, null);
      assert.match(String(row.owner), /^\S{16,}$/);
      const since = Number(row.since);
      assert.ok(since > before - 60_000 && since < Date.now() + 60_000, `${since}`);
    },
  },
  {
    name: 'installed and cold costs one statement, a read',
    each: true,
    async run(t) {
      await bootstrap(t, t.connect());
      const { db, statements } = watched(t);
      const { durationMs: _, ...result } = await bootstrap(t, db, () => assert.fail('run again'));
      assert.deepEqual(result, {
        installed: false,
        wonClaim: false,
        version: VERSION,
        outcome: 'already-installed',
        strategy: t.strategy,
      });
      assert.equal(statements.length, 1, statements.join('\n'));
      assert.match(statements[0]!, /^select /i);
    },
  },
  {
    name: 'an install sends a look, a claim and a finish beside its ddl',
    each: 'live',
    async run(t) {
      const { db, statements } = watched(t);
      await bootstrap(t, db, (db) => createTable(db, 'first'));
      statements.length = 0;
      await bootstrap(t, db, (db) => createTable(db, 'second'), { version: '0002' });
      // Not every driver shows its observer where a transaction begins and ends.
      const words = statements.map((text) => /^\w+/.exec(text.toLowerCase())?.[0])
        .filter((word) => word !== 'begin' && word !== 'commit');
      // On Postgres one more, by which callers who would have to wait leave.
      const isPolite = t.dialect === 'postgres' && t.strategy === 'transaction';
      const before = isPolite ? ['select', 'select'] : ['select'];
      assert.deepEqual(words, [...before, 'insert', 'create', 'update'], statements.join('\n'));
    },
  },
  {
    name: 'without a strategy, transactions are used where there are any',
    async run(t) {
      const result = await bootstrap(t, t.connect());
      assert.equal(result.strategy, t.transactions ? 'transaction' : 'lease');
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'each version of a ledger is installed for itself',
    each: true,
    async run(t) {
      const db = t.connect();
      const first = await bootstrap(t, db);
      const second = await bootstrap(t, db, (db) => createTable(db, 'later'), { version: '0002' });
      assert.equal(first.outcome, 'installed');
      assert.equal(second.outcome, 'installed');
      assert.deepEqual((await ledger(db)).map(({ name }) => name), [VERSION, '0002']);
      await assertUsable(db, ['later']);
    },
  },
  {
    name: 'two markers are two ledgers',
    each: true,
    async run(t) {
      const db = t.connect();
      await bootstrap(t, db, undefined, { marker: 'app_one' });
      const other = (db: Db) => createTable(db, 'of_app_two');
      const second = await bootstrap(t, db, other, { marker: 'app_two' });
      assert.equal(second.outcome, 'installed');
      assert.equal((await ledger(db, 'app_one')).length, 1);
      assert.equal((await ledger(db, 'app_two')).length, 1);
      assert.deepEqual(await present(db, ['migrations']), []);
    },
  },
  {
    name: 'a ddl without any statement is installed all the same',
    each: 'live',
    async run(t) {
      const db = t.connect();
      assert.equal((await bootstrap(t, db, (_) => undefined)).outcome, 'installed');
      assert.equal((await rowOf(db))?.state, 'installed');
    },
  },
  {
    name: 'the ddl may read what it wrote, and write what it read',
    each: 'live',
    async run(t) {
      const db = t.connect();
      await bootstrap(t, db, async (db) => {
        await createTable(db, 'numbers');
        await db.insertInto('numbers').values([{ id: 1 }, { id: 2 }]).execute();
        const rows = await db.selectFrom('numbers').select('id').orderBy('id').execute();
        const { id } = await db.insertInto('numbers').values({ id: rows.length + 1 })
          .returning('id').executeTakeFirstOrThrow();
        await sql`update numbers set id = ${Number(id) * 10} where id = ${id}`.execute(db);
      });
      const rows = await db.selectFrom('numbers').select('id').orderBy('id').execute();
      assert.deepEqual(rows.map(({ id }) => Number(id)), [1, 2, 30]);
    },
  },
  {
    name: 'a pool of one connection is enough',
    each: true,
    async run(t) {
      const db = t.connect({ connections: 1 });
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
      await assertUsable(db);
    },
  },
  {
    name: 'leases are reckoned by the clock of the database, never by the caller’s',
    each: true,
    async run(t) {
      const sent: unknown[] = [];
      const db = t.connect({
        onStatement: (sql, parameters = []) => sent.push(...sql.match(/\d+/g) ?? [], ...parameters),
      });
      await bootstrap(t, db);
      assert.ok(sent.includes(VERSION), 'what is bound is seen');
      const times = sent.filter((value) =>
        value instanceof Date || (Math.abs(Number(value) - Date.now()) < 1e9)
      );
      assert.deepEqual(times, []);
    },
  },
  {
    name: 'the log is told no value that the ddl binds',
    each: true,
    async run(t) {
      const logger = new Log();
      const db = t.connect();
      const ddl = async (db: Db) => {
        await db.schema.createTable('secrets').ifNotExists()
          .addColumn('id', 'integer', (column) => column.primaryKey())
          .addColumn('word', 'text').execute();
        await db.insertInto('secrets').values({ id: 1, word: SEED_SECRET }).execute();
        await db.insertInto('secrets').values({ id: 1, word: SEED_SECRET }).execute();
      };
      await assert.rejects(bootstrap(t, db, ddl, { logger }));
      await bootstrap(t, db, installAgain, { logger });
      assert.ok(logger.logged.length > 0, 'something is logged');
      assert.doesNotMatch([...logger.logged, ...logger.errors].join('\n'), /hunter2/);
    },
  },
  {
    name: 'a part of a logger is enough',
    each: true,
    async run(t) {
      await bootstrap(t, t.connect(), undefined, { logger: { error: () => {} } });
      const text: string[] = [];
      const only = { log: (message: string) => text.push(message) };
      await bootstrap(t, t.connect(), installAgain, { version: '0002', logger: only });
      assert.ok(text.some((line) => line.includes('0002')), text.join('\n'));
    },
  },
  {
    name: 'a logger that throws or rejects changes nothing, whoever tells it something',
    each: true,
    async run(t) {
      const closed = new Error('the logger was closed');
      const throws = () => {
        throw closed;
      };
      for (
        const [name, broken] of Object.entries({
          throws,
          rejects: () => Promise.reject(closed),
        })
      ) {
        const logger = { log: broken, error: broken };
        const controller = new AbortController();
        const ddl = async (db: Db) => {
          await createTable(db, `one_${name}`);
          // A listener has something to log, as a timer has past the deadline.
          if (t.strategy !== 'batch') controller.abort();
          await createTable(db, `two_${name}`);
        };
        const { outcome } = await bootstrap(t, t.connect(), ddl, {
          version: `0001_${name}`,
          logger,
          signal: controller.signal,
        });
        assert.equal(outcome, 'installed');
        const mine = new Error('mine');
        const failing = async (db: Db) => {
          await createTable(db, `three_${name}`);
          throw mine;
        };
        const more = { version: `0002_${name}`, logger };
        assert.equal(await thrownBy(bootstrap(t, t.connect(), failing, more)), mine);
      }
    },
  },
];
