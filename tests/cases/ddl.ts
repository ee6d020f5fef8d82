/**
 * What a ddl may do, and what it is kept from doing.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { CompiledQuery, sql } from 'kysely';

import { DdlStalledError, StatementRefusedError } from '../../mod.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  createTable,
  type Db,
  gate,
  install,
  Log,
  present,
  rowOf,
  sleep,
  TABLES,
  thrownAs,
  thrownBy,
  watched,
  within,
} from './support.ts';

const CONTROL = [
  'begin',
  'BEGIN IMMEDIATE',
  'commit',
  'Commit;',
  'end',
  'rollback',
  'rollback to savepoint one',
  'savepoint one',
  'release one',
  '-- all of it\ncommit',
  '/* ; */ commit /* */',
  '  ;; commit',
  'create table hidden (id integer); commit',
  'create table hidden (id integer); /* x */ rollback; begin',
];

/** The ways in which a text reaches the driver. */
const ROADS: readonly ((db: Db, text: string) => Promise<unknown>)[] = [
  (db, text) => sql.raw(text).execute(db),
  (db, text) => db.executeQuery(CompiledQuery.raw(text)),
  (db, text) => sql.raw(text).execute(db.withoutPlugins()),
  (db, text) => sql.raw(text).execute(db.withSchema('main')),
  (db, text) => db.getExecutor().executeQuery(CompiledQuery.raw(text)),
  (db, text) =>
    db.getExecutor().provideConnection((one) => one.executeQuery(CompiledQuery.raw(text))),
];

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'transaction control in the ddl is refused before it is sent, and all is rolled back',
    needs: { transactions: true },
    async run(t) {
      for (const [n, text] of CONTROL.entries()) {
        const { db, statements } = watched(t);
        const send = ROADS[n % ROADS.length]!;
        const failing = bootstrap(t, db, async (db) => {
          await install(db);
          await send(db, text);
        }, { strategy: 'transaction' });
        const error = await thrownAs(StatementRefusedError, failing);
        assert.equal(error.code, 'STATEMENT_REFUSED');
        assert.equal(error.sql, text);
        // The transaction's own are those of the driver, one each.
        const own = /^(begin|rollback)$/.test(text) ? 1 : 0;
        assert.ok(statements.filter((sent) => sent === text).length <= own, text);
        assert.deepEqual(await present(db, [...TABLES, 'hidden', 'migrations']), [], text);
      }
      assert.equal((await bootstrap(t, t.connect())).outcome, 'installed');
    },
  },
  {
    name: 'transaction control is refused on every road to the driver',
    needs: { transactions: true },
    async run(t) {
      for (const [n, send] of ROADS.entries()) {
        const failing = bootstrap(t, t.connect(), async (db) => {
          await install(db);
          await send(db, 'commit');
        }, { strategy: 'transaction' });
        const error = await thrownAs(StatementRefusedError, failing);
        assert.match(error.message, /commit/, `${n}`);
        assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), [], `${n}`);
      }
    },
  },
  {
    name: 'a refusal that the ddl has caught is told all the same, and nothing is installed',
    needs: { transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await sql`vacuum`.execute(db).catch(() => {});
        await install(db);
      }, { strategy: 'transaction' });
      assert.match((await thrownAs(StatementRefusedError, failing)).message, /vacuum/);
      assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), []);
    },
  },
  {
    name: 'words of transaction control inside names, strings and triggers are harmless',
    each: true,
    async run(t) {
      const db = t.connect();
      await bootstrap(t, db, async (db) => {
        await sql.raw(`create table "commit" (id integer, "end" text default 'commit; begin')`)
          .execute(db);
        await sql.raw(`insert into "commit" (id) values (1) -- ; rollback`).execute(db);
        if (t.dialect !== 'sqlite') return;
        await sql.raw(
          `create trigger after_it after insert on "commit" when new.id > 1 begin
            update "commit" set "end" = case when id = 1 then 'one' else 'more' end;
            delete from "commit" where id = 3;
          end`,
        ).execute(db);
      });
      await sql`insert into "commit" (id) values (2)`.execute(db);
      const { rows } = await sql<{ end: string }>`select "end" from "commit" order by id`
        .execute(db);
      const changed = t.dialect === 'sqlite';
      assert.deepEqual(
        rows.map((row) => row.end),
        changed ? ['one', 'more'] : ['commit; begin', 'commit; begin'],
      );
    },
  },
  {
    name: 'what cannot run in a transaction is refused with the advice to use a lease',
    needs: { transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await install(db);
        await sql`vacuum`.execute(db);
      }, { strategy: 'transaction' });
      const error = await thrownAs(StatementRefusedError, failing);
      assert.match(error.message, /vacuum/);
      assert.match(error.message, /'lease'/);
      assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), []);
    },
  },
  {
    name: 'a ddl that takes no parameter runs under a lease, unless a strategy is asked for',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect();
      const logger = new Log();
      const unasked = { strategy: 'auto', logger } as const;
      const auto = await bootstrap(t, db, () => createTable(db, 'outer_one'), unasked);
      assert.equal(auto.strategy, 'lease');
      assert.equal(auto.outcome, 'installed');
      await assertUsable(t.connect(), ['outer_one']);
      const step = await bootstrap(t, db, (db) => createTable(db, 'inner_one'), {
        ...unasked,
        version: '0003',
        upgrades: [{ from: '0001_initial', ddl: () => createTable(db, 'outer_two') }],
      });
      assert.deepEqual([step.strategy, step.from], ['lease', '0001_initial']);
      const [why, ...others] = logger.logged.filter((line) => line.includes('a lease is used'));
      assert.match(why!, /no parameter \(its length is 0\).*strategy: 'transaction'/);
      assert.equal(others.length, 1, 'each of the two installs says why, once');
      for (const strategy of ['transaction', 'lease'] as const) {
        const quiet = new Log();
        const config = { strategy, logger: quiet, version: `0002_${strategy}` };
        assert.equal((await bootstrap(t, db, () => {}, config)).strategy, strategy);
        assert.doesNotMatch(quiet.logged.join(), /a lease is used/);
      }
    },
  },
  {
    name: 'a ddl that takes no parameter works on a pool of one connection',
    async run(t) {
      const db = t.connect({ connections: 1 });
      const result = await within(10_000, bootstrap(t, db, () => install(db)));
      assert.equal(result.outcome, 'installed');
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a ddl that has issued nothing by the deadline ends in an error of its own',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect({ connections: 1 });
      const late = gate();
      const lateStatement = Promise.withResolvers<unknown>();
      const failing = bootstrap(t, db, async (db) => {
        await late.opened;
        lateStatement.resolve(thrownBy(createTable(db, 'late')));
        await lateStatement.promise;
      }, { strategy: 'transaction', waitTimeoutMs: 1_500 });
      const error = await thrownAs(DdlStalledError, within(5_000, failing));
      assert.equal(error.code, 'DDL_STALLED');
      assert.match(error.message, /instance/);
      // Its connection is free again, and what it issues from now on goes nowhere.
      assert.equal((await within(5_000, bootstrap(t, db))).outcome, 'installed');
      late.open();
      assert.ok(await lateStatement.promise instanceof Error);
      assert.deepEqual(await present(db, ['late']), []);
    },
  },
  {
    name: 'one that issues no statement is cut by its signal, with the reason of that',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect({ connections: 1 });
      const controller = new AbortController();
      const failing = bootstrap(t, db, async (_) => {
        controller.abort(new Error('enough'));
        await new Promise(() => {});
      }, { strategy: 'transaction', signal: controller.signal });
      assert.equal(await thrownBy(within(5_000, failing)), controller.signal.reason);
      assert.equal((await within(5_000, bootstrap(t, db))).outcome, 'installed');
    },
  },
  {
    name: 'one that begins by introspecting has issued a statement, and is not cut',
    needs: { transactions: true },
    async run(t) {
      const result = await bootstrap(t, t.connect(), async (db) => {
        await db.introspection.getTables();
        await sleep(1_200);
        await install(db);
      }, { strategy: 'transaction', waitTimeoutMs: 1_000 });
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'a ddl that waits for the connection that its own transaction holds ends likewise',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect({ connections: 1 });
      const failing = bootstrap(t, db, (_) => install(db), {
        strategy: 'transaction',
        waitTimeoutMs: 1_500,
      });
      await thrownAs(DdlStalledError, within(5_000, failing));
      await within(5_000, sql`select 1 as one`.execute(db));
      assert.equal(await rowOf(db), undefined);
      // What it had in the queue is sent now, as the error says: so the tables may be there.
      await sleep(200);
      const next = bootstrap(t, db, (db) => createTable(db, 'next'), { version: '0002' });
      assert.equal((await within(5_000, next)).outcome, 'installed');
    },
  },
  {
    name: 'a statement that is issued after the ddl has returned is refused',
    needs: { transactions: true },
    async run(t) {
      let kept: Db | undefined;
      await bootstrap(t, t.connect(), async (db) => {
        kept = db;
        await install(db);
      }, { strategy: 'transaction' });
      await thrownBy(createTable(kept!, 'late'));
      assert.deepEqual(await present(t.connect(), ['late']), []);
    },
  },
  {
    name: 'the instance in the ddl is a transaction, with everything that one has',
    needs: { transactions: true },
    async run(t) {
      const db = t.connect();
      await bootstrap(t, db, async (trx) => {
        assert.equal(trx.isTransaction, true);
        assert.equal(trx.constructor.name, 'Transaction');
        assert.notEqual(trx, db);
        await createTable(trx.withSchema(t.dialect === 'postgres' ? 'public' : 'main'), 'placed');
        await trx.schema.alterTable('placed').addColumn('more', 'text').execute();
        await trx.schema.createIndex('placed_more').on('placed').column('more').execute();
        await trx.insertInto('placed').values({ id: 1, more: 'x' }).execute();
        const { total } = await trx.selectFrom('placed')
          .select(({ fn }) => fn.countAll().as('total')).executeTakeFirstOrThrow();
        assert.equal(Number(total), 1);
        const tables = await trx.introspection.getTables();
        assert.ok(tables.some(({ name }) => name === 'placed'));
        await thrownBy(Promise.resolve().then(() => trx.transaction().execute(async () => {})));
      }, { strategy: 'transaction' });
      await assertUsable(db, ['placed']);
    },
  },
];
