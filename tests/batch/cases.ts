/**
 * What holds for every engine with a batch, the ones written by hand included.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import {
  bootstrapSchema,
  createBootstrap,
  NotRecordableError,
  type Strategy,
  WaitTimeoutError,
} from '../../mod.ts';
import {
  allTextOf,
  createOldLedger,
  type Db,
  gate,
  Log,
  looked,
  patiently,
  sleep,
  thrownAs,
  thrownBy,
  VERSION,
  within,
} from '../cases/support.ts';
import { schemaOf, tableName } from '../support/schema.ts';
import { around, isInstall, watched } from './batches.ts';
import { namesOf, schemaAgain } from './ddl.ts';
import {
  all,
  assertOneInstalled,
  assertTables,
  type BatchCase,
  claim,
  createMark,
  ledgerOf,
  operate,
  type Stage,
  TABLES,
} from './stage.ts';
import type { Caller } from './subjects.ts';

const LOST = 'Network connection lost.';

/** The cases. */
export const CASES: readonly BatchCase[] = [
  {
    name: 'installs in one call, and whoever comes later reads once',
    async run(stage) {
      const { db, batch } = stage.caller();
      const first = watched(batch);
      const result = await stage.bootstrap({}, { db, batch: first.batch });
      assert.equal(result.outcome, 'installed');
      assert.equal(result.strategy, 'batch');
      assert.equal(result.wonClaim, true);
      assert.equal(first.calls.length, 2);
      assert.equal(first.calls[0]!.length, 1);
      await assertTables(stage, namesOf(TABLES));
      assert.deepEqual((await ledgerOf(stage)).map(({ state }) => state), ['installed']);

      const later = watched(stage.caller().batch);
      const again = await stage.bootstrap(
        { ddl: () => assert.fail('run') },
        { db, batch: later.batch },
      );
      assert.equal(again.outcome, 'already-installed');
      assert.equal(again.installed, false);
      assert.equal(later.calls.length, 1);
    },
  },
  {
    name: 'seeds arrive with their parameters, those of nested transactions too',
    async run(stage) {
      await stage.bootstrap({
        ddl: async (db) => {
          await schemaOf(1)(db);
          await db.insertInto(tableName(1)).values({ id: 1, slug: "it's; -- $1 ?", title: null })
            .execute();
          await db.transaction().execute(async (trx) => {
            await trx.insertInto(tableName(1)).values({ id: 2, slug: 'ünïcode 🚀' }).execute();
          });
          await db.transaction().execute(async (trx) => {
            await trx.insertInto(tableName(1)).values({ id: 3, slug: 'never' }).execute();
            throw new Error('on purpose');
          }).catch((error) => assert.match(error.message, /on purpose/));
        },
      });
      const rows = await operate(stage, `select id, slug from ${tableName(1)} order by id`);
      assert.deepEqual(rows.map((row) => ({ ...row as object })), [
        { id: 1, slug: "it's; -- $1 ?" },
        { id: 2, slug: 'ünïcode 🚀' },
      ]);
    },
  },
  {
    name: 'a ddl that writes into its own ledger, or one like it, gets its own error at once',
    async run(stage) {
      for (const marker of ['migrations', 'Migrations']) {
        const { calls, caller } = watchedCaller(stage);
        const ddl = (db: Db) =>
          sql`insert into migrations (name, state) values (${VERSION}, 'installed')`.execute(db);
        const error = await thrownBy(stage.bootstrap({ ddl, marker }, caller));
        assert.match(allTextOf(error), /unique/i);
        assert.equal(calls.filter((call) => call.length > 1).length, 1);
      }
      assert.equal((await stage.bootstrap({})).outcome, 'installed');
    },
  },
  {
    name: 'the error of a batch that another caller has overtaken meanwhile is logged',
    needsConcurrency: true,
    async run(stage) {
      const loser = stage.caller();
      const overtaken = around(loser.batch, {
        async before(statements) {
          if (!isInstall(statements)) return;
          await stage.bootstrap({ ddl: (db) => createMark(db, 'of_the_winner') });
          throw new Error('near "oops": syntax error');
        },
      });
      const logger = new Log();
      const result = await stage.bootstrap({ logger }, { ...loser, batch: overtaken });
      assert.equal(result.outcome, 'waited');
      assert.equal(logger.errors.filter((line) => line.includes('oops')).length, 1);
      await assertTables(stage, ['of_the_winner']);
    },
  },
  {
    name: 'a loser that had seen nothing is rolled back whole, and waits for the winner',
    async run(stage) {
      const [arrived, winner] = [gate(), gate()];
      const loser = stage.caller();
      const held = around(loser.batch, {
        before(statements) {
          if (!isInstall(statements)) return;
          arrived.open();
          return winner.opened;
        },
      });
      const losing = stage.bootstrap(
        { ddl: (db) => createMark(db, 'of_the_loser') },
        { ...loser, batch: held },
      );
      await arrived.opened;
      const won = await stage.bootstrap({ ddl: (db) => createMark(db, 'of_the_winner') });
      winner.open();
      const lost = await losing;
      assert.deepEqual([won.outcome, lost.outcome], ['installed', 'waited']);
      assert.equal(lost.wonClaim, false);
      await assertTables(stage, ['of_the_winner']);
    },
  },
  {
    name: 'a loser whose next look fails waits, and looks again',
    needsConcurrency: true,
    async run(stage) {
      const loser = stage.caller();
      let looks: number | undefined;
      const shaken = around(loser.batch, {
        async before(statements) {
          if (looks !== undefined) looks++;
          if (looks === 1) throw new Error('read ECONNRESET');
          if (!isInstall(statements)) return;
          await stage.bootstrap({ ddl: (db) => createMark(db, 'of_the_winner') });
          looks = 0;
        },
      });
      const logger = new Log();
      const result = await stage.bootstrap({ logger }, { ...loser, batch: shaken });
      assert.equal(result.outcome, 'waited');
      assert.match(logger.errors.join('\n'), /could not be read afterwards.*ECONNRESET/);
      await assertTables(stage, ['of_the_winner']);
    },
  },
  {
    name: 'callers at once: one installs, all are ready, no table of a loser is ever seen',
    async run(stage) {
      const marks = Array.from({ length: 6 }, (_, n) => `of_${n}`);
      const seen = new Set<string>();
      let isOver = false;
      const watching = (async () => {
        for (; !isOver; await sleep(5)) {
          const tables = await stage.database.tables().catch(() => []);
          for (const name of tables) if (name.startsWith('of_')) seen.add(name);
        }
      })();
      const results = await all(marks.map(async (mark) => {
        const caller = stage.caller();
        const result = await stage.bootstrap({
          ddl: async (db) => {
            await createMark(db, mark);
            await schemaOf(TABLES)(db);
          },
        }, caller);
        const { rows } = await patiently(() =>
          sql`select * from ${sql.table(tableName(TABLES))}`.execute(caller.db)
        );
        assert.deepEqual(rows, []);
        return result;
      }));
      isOver = true;
      await watching;
      assertOneInstalled(results);
      const winner = marks[results.findIndex(({ installed }) => installed)]!;
      await assertTables(stage, [...namesOf(TABLES), winner]);
      for (const mark of seen) assert.equal(mark, winner);
    },
  },
  {
    name: 'a batch whose answer is lost is recognised: installed once, nothing twice',
    async run(stage) {
      for (const message of [LOST, 'socket hang up']) {
        const version = message;
        const caller = stage.caller();
        const lossy = around(caller.batch, {
          after: (statements) => {
            if (isInstall(statements)) throw new Error(message);
          },
        });
        const ddl = async (db: Db) => {
          await createMark(db, `of_${message.slice(0, 3).toLowerCase()}`);
        };
        const result = await stage.bootstrap({ version, ddl }, { ...caller, batch: lossy });
        assert.equal(result.outcome, 'installed', message);
        assert.equal(result.installed, true);
        const again = await stage.bootstrap({ version, ddl });
        assert.equal(again.outcome, 'already-installed');
      }
      await assertTables(stage, ['of_net', 'of_soc']);
    },
  },
  {
    name: 'a lost answer is recognised too where the ledger cannot be read for a while',
    async run(stage) {
      let failures = 0;
      let isDown = false;
      const caller = stage.caller();
      const lossy = around(caller.batch, {
        before: () => {
          if (isDown && ++failures <= 3) throw new Error(`D1_ERROR: ${LOST}`);
        },
        after: (statements) => {
          if (!isInstall(statements)) return;
          isDown = true;
          throw new Error(`D1_ERROR: ${LOST}`);
        },
      });
      const result = await stage.bootstrap({}, { ...caller, batch: lossy });
      assert.equal(result.outcome, 'installed');
      assert.ok(failures > 3, `${failures}`);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'the error of a batch is not hidden by that of the look which follows, which is logged',
    async run(stage) {
      const first = new Error('near "oops": syntax error');
      let hasFailed = false;
      const caller = stage.caller();
      const failing = around(caller.batch, {
        before(statements) {
          if (hasFailed) throw new Error('gone fishing');
          if (!isInstall(statements)) return;
          hasFailed = true;
          throw first;
        },
      });
      const logger = new Log();
      const call = stage.bootstrap({ logger }, { ...caller, batch: failing });
      assert.equal(await thrownBy(call), first);
      assert.match(logger.errors.join('\n'), /could not be read afterwards.*gone fishing/);
    },
  },
  {
    name: 'a batch that was lost before it arrived is sent again',
    async run(stage) {
      let failures = 0;
      const caller = stage.caller();
      const lossy = around(caller.batch, {
        before: (statements) => {
          if (isInstall(statements) && ++failures <= 2) throw new Error(LOST);
        },
      });
      const result = await stage.bootstrap({}, { ...caller, batch: lossy });
      assert.equal(result.outcome, 'installed');
      assert.equal(failures, 3);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'a claim that has run out is taken over',
    async run(stage) {
      await claim(stage, -1_000);
      const { calls, caller } = watchedCaller(stage);
      const result = await stage.bootstrap({}, caller);
      assert.equal(result.outcome, 'installed');
      assert.ok(calls.length <= 3, `${calls.length}`);
      await assertTables(stage, ['before', ...namesOf(TABLES)]);
      const [, row] = await ledgerOf(stage);
      assert.equal(row!.state, 'installed');
      assert.notEqual(row!.owner, 'somebody');
    },
  },
  {
    name: 'a claim that still holds is waited for, and taken over once it has run out',
    async run(stage) {
      const endsAt = await claim(stage, 700);
      const result = await stage.bootstrap();
      assert.equal(result.outcome, 'installed');
      assert.ok(Date.now() >= endsAt - 50, 'too early');
      await assertTables(stage, ['before', ...namesOf(TABLES)]);
    },
  },
  {
    name: 'a claim that its owner finishes ends the wait, and no ddl is sent',
    async run(stage) {
      await claim(stage, 20_000);
      const { calls, caller } = watchedCaller(stage);
      const waiting = stage.bootstrap({}, caller);
      await looked(calls);
      await operate(stage, `update migrations set state = 'installed' where name = '${VERSION}'`);
      assert.equal((await within(10_000, waiting)).outcome, 'waited');
      assert.ok(calls.every((call) => call.length === 1), 'more than reads');
      await assertTables(stage, ['before']);
    },
  },
  {
    name: 'a claim that still holds is pending, or a timeout that names the holder',
    async run(stage) {
      await claim(stage, 20_000);
      const pending = await stage.bootstrap({ onContention: 'return' });
      assert.equal(pending.outcome, 'pending');
      const late = await thrownAs(WaitTimeoutError, stage.bootstrap({ waitTimeoutMs: 150 }));
      assert.equal(late.holder?.owner, 'somebody');
      assert.equal((await ledgerOf(stage))[1]!.owner, 'somebody');
    },
  },
  {
    name: 'the lease of a caller that died in its ddl is taken over by a batch',
    needsConcurrency: true,
    async run(stage) {
      const resurrection = gate();
      let isDead = false;
      const owner = stage.database.connect({
        onStatement: async () => {
          if (!isDead) return;
          await resurrection.opened;
          throw new Error('dead');
        },
      });
      const inDdl = gate();
      const dying = bootstrapSchema(owner, {
        version: VERSION,
        strategy: 'lease',
        leaseMs: 600,
        ddl: async (db: Db) => {
          await createMark(db, 'half_of_it');
          isDead = true;
          inDdl.open();
          await createMark(db, 'the_rest');
        },
      });
      const died = thrownBy(dying);
      await inDdl.opened;
      assert.equal((await ledgerOf(stage))[0]!.state, 'installing');
      const result = await within(15_000, stage.bootstrap());
      assert.equal(result.outcome, 'installed');
      assert.equal((await ledgerOf(stage))[0]!.state, 'installed');
      await assertTables(stage, ['half_of_it', ...namesOf(TABLES)]);
      resurrection.open();
      await died;
      assert.equal((await ledgerOf(stage))[0]!.state, 'installed');
    },
  },
  {
    name: 'a ledger of release 1.0.0: its version costs one read, a new one is installed',
    async run(stage) {
      await createOldLedger(stage.database.connect(), '0000_old');
      const { calls, caller } = watchedCaller(stage);
      const old = await stage.bootstrap({
        version: '0000_old',
        ddl: () => assert.fail('run'),
      }, caller);
      assert.equal(old.outcome, 'already-installed');
      assert.equal(calls.length, 1);
      assert.equal((await stage.bootstrap()).outcome, 'installed');
      assert.deepEqual((await ledgerOf(stage)).map(({ name, state }) => [name, state]), [
        ['0000_old', null],
        [VERSION, 'installed'],
      ]);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'of callers at once on such a ledger one installs',
    async run(stage) {
      await createOldLedger(stage.database.connect(), '0000_old');
      const results = await all(
        Array.from({ length: 8 }, () => stage.bootstrap()),
      );
      assertOneInstalled(results);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'on such a ledger, whoever gets in the way of its new columns does no harm',
    async run(stage) {
      await createOldLedger(stage.database.connect(), '0000_old');
      const isPostgres = stage.subject.engine.dialect === 'postgres';
      const message = isPostgres
        ? 'duplicate key value violates unique constraint "pg_class_relname_nsp_index"'
        : 'SQLITE_BUSY: database is locked';
      const inTheWay = Object.assign(new Error(message), isPostgres && { code: '23505' });
      let met = 0;
      const { db, batch } = stage.caller();
      const racing = around(batch, {
        before: ([first, ...rest]) => {
          if (
            rest.length === 0 && /alter table|create unique/.test(first!.sql) && ++met % 2 === 1
          ) {
            throw inTheWay;
          }
        },
      });
      assert.equal((await stage.bootstrap({}, { db, batch: racing })).outcome, 'installed');
      assert.ok(met > 1, `${met}`);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'a busy database is asked again; after the deadline its error is the cause',
    async run(stage) {
      let left = 4;
      const { db, batch } = stage.caller();
      const busy = new Error('D1_ERROR: D1 DB is overloaded. Requests queued for too long.');
      const slow = around(batch, {
        before: () => {
          if (left-- > 0) throw busy;
        },
      });
      assert.equal((await stage.bootstrap({}, { db, batch: slow })).outcome, 'installed');

      const { calls, caller } = watchedCaller(stage);
      const never = around(caller.batch, {
        before: () => {
          throw busy;
        },
      });
      const error = await thrownAs(
        WaitTimeoutError,
        stage.bootstrap({ version: 'another', waitTimeoutMs: 200 }, { ...caller, batch: never }),
      );
      assert.equal(error.cause, busy);
      assert.equal(calls.length, 0);
    },
  },
  {
    name: 'a batch that fails at its 30th statement leaves nothing, and the engine says why',
    async run(stage) {
      const ddl = async (db: Db) => {
        await schemaOf(29)(db);
        await db.schema.createIndex('of_nothing').on('nothing_there').column('id').execute();
        await createMark(db, 'after_it');
      };
      let thrown: unknown;
      const { db, batch } = stage.caller();
      const listening = {
        ...batch,
        execute: (statements: Parameters<typeof batch.execute>[0]) =>
          batch.execute(statements).catch((error) => {
            if (isInstall(statements)) thrown = error;
            throw error;
          }),
      };
      const error = await thrownBy(stage.bootstrap({ ddl }, { db, batch: listening }));
      assert.ok(thrown instanceof Error);
      assert.equal(error, thrown);
      assert.match(thrown.message, /nothing_there/);
      assert.deepEqual(await stage.database.tables(), []);

      assert.equal((await stage.bootstrap({ ddl: schemaOf(30) })).outcome, 'installed');
    },
  },
  {
    name: 'a ddl that fails by itself sends nothing but reads, and its error is unchanged',
    async run(stage) {
      const mine = new TypeError('of my own');
      for (
        const [ddl, check] of [
          [async (db: Db) => {
            await createMark(db, 'before_it');
            throw mine;
          }, (error: unknown) => assert.equal(error, mine)],
          [
            async (db: Db) => {
              await createMark(db, 'before_it');
              await db.selectFrom('before_it').selectAll().execute();
            },
            (error: unknown) => assert.ok(error instanceof NotRecordableError, String(error)),
          ],
          [
            () => {},
            (error: unknown) => assert.ok(error instanceof NotRecordableError, String(error)),
          ],
        ] as const
      ) {
        const { calls, caller } = watchedCaller(stage);
        check(await thrownBy(stage.bootstrap({ ddl }, caller)));
        assert.equal(calls.length, 1);
        assert.deepEqual(await stage.database.tables(), []);
      }
    },
  },
  {
    name: 'a caller that gives up while its ddl is recorded sends none of it',
    async run(stage) {
      const controller = new AbortController();
      const ddl = async (db: Db) => {
        await createMark(db, 'recorded');
        controller.abort();
      };
      const aborted = stage.bootstrap({ ddl, signal: controller.signal });
      assert.equal(await thrownBy(aborted), controller.signal.reason);
      await assertTables(stage, []);
    },
  },
  {
    name: 'nor does one whose ddl has kept its process busy past the deadline',
    async run(stage) {
      const late = stage.bootstrap({
        ddl: async (db) => {
          await createMark(db, 'recorded');
          for (const until = performance.now() + 150; performance.now() < until;);
        },
        assumeFresh: true,
        waitTimeoutMs: 100,
      });
      await thrownAs(WaitTimeoutError, late);
      await assertTables(stage, []);
    },
  },
  {
    name: 'assumeFresh: one call less, and no look before',
    async run(stage) {
      const { calls, caller } = watchedCaller(stage);
      const result = await stage.bootstrap({ assumeFresh: true }, caller);
      assert.equal(result.outcome, 'installed');
      assert.equal(calls.length, 1);
      await assertTables(stage, namesOf(TABLES));
    },
  },
  {
    name: 'assumeFresh on a database that only was not fresh waits for nobody',
    async run(stage) {
      await stage.bootstrap({ version: '0001' });
      const upgraded = await stage.bootstrap({
        version: '0002',
        upgrades: [{ from: '0001', ddl: (db) => createMark(db, 'of_the_step') }],
        assumeFresh: true,
        onContention: 'return',
      });
      assert.deepEqual([upgraded.outcome, upgraded.from], ['upgraded', '0001']);
      await assertTables(stage, [...namesOf(TABLES), 'of_the_step']);
    },
  },
  {
    name: 'assumeFresh on a database that is installed, or being installed, changes nothing',
    async run(stage) {
      await stage.bootstrap();
      const before = await ledgerOf(stage);
      const result = await stage.bootstrap({
        assumeFresh: true,
        ddl: (db) => createMark(db, 'too_late'),
      });
      assert.equal(result.outcome, 'already-installed');
      assert.equal(result.installed, false);
      await assertTables(stage, namesOf(TABLES));
      assert.deepEqual(await ledgerOf(stage), before);

      const results = await all(
        [0, 1, 2, 3].map((n) =>
          stage.bootstrap({
            assumeFresh: true,
            version: 'next',
            ddl: (db) => createMark(db, `of_${n}`),
          })
        ),
      );
      assertOneInstalled(results);
      const winner = results.findIndex(({ installed }) => installed);
      await assertTables(stage, [...namesOf(TABLES), `of_${winner}`]);
    },
  },
  {
    name: 'a claim is met, not failed on, where the keys of the ledger are named otherwise',
    async run(stage) {
      await stage.bootstrap({ version: '0000_before', marker: 'ledger' });
      await operate(stage, 'alter table ledger rename to migrations');
      await operate(
        stage,
        `insert into migrations (name, state, owner, lease, since)
          values ('${VERSION}', 'installing', 'somebody', ${Date.now() + 60_000}, 1)`,
      );
      for (const marker of ['migrations', 'Migrations']) {
        const result = await stage.bootstrap({ marker, assumeFresh: true, onContention: 'return' });
        assert.equal(result.outcome, 'pending', marker);
      }
    },
  },
  {
    name:
      'assumeFresh on a ledger of 1.0.0, or with a claim that has run out, installs all the same',
    async run(stage) {
      await createOldLedger(stage.database.connect(), '0000_old');
      const first = await stage.bootstrap({ assumeFresh: true });
      assert.equal(first.outcome, 'installed');
      await operate(
        stage,
        `update migrations set state = 'installing', lease = 1 where name = '${VERSION}'`,
      );
      const second = await stage.bootstrap({
        assumeFresh: true,
        ddl: (db) => createMark(db, 'again'),
      });
      assert.equal(second.outcome, 'installed');
      await assertTables(stage, [...namesOf(TABLES), 'again']);
    },
  },
  {
    name: 'what is remembered is remembered for the handle: a new Kysely sends nothing',
    async run(stage) {
      const ensure = createBootstrap<Db>({ version: VERSION, ddl: schemaOf(TABLES) });
      const handle = stage.database.handle!() as never;
      const request = () => {
        const { batch, calls } = watched(stage.subject.batchOn(handle));
        return { batch: { ...batch, database: handle }, calls };
      };
      const cold = request();
      const first = await ensure(stage.database.connect(), { batch: cold.batch });
      assert.equal(first.outcome, 'installed');
      assert.equal(cold.calls.length, 2);
      for (let n = 0; n < 3; n++) {
        const statements: string[] = [];
        const db = stage.database.connect({ onStatement: (text) => statements.push(text) });
        const warm = request();
        const result = await ensure(db, { batch: warm.batch });
        assert.equal(result.outcome, 'already-installed');
        assert.deepEqual([...statements, ...warm.calls], []);
      }
      const other = { ...request().batch, database: {} };
      const elsewhere = watched(other);
      await ensure(stage.database.connect(), { batch: elsewhere.batch });
      assert.equal(elsewhere.calls.length, 1);
    },
  },
  {
    name: 'callers with a batch, a transaction and a lease at once: one installs, all are ready',
    needsBusy: true,
    async run(stage) {
      const { engine } = stage.subject;
      const kinds: Strategy[] = engine.transactions
        ? ['batch', 'transaction', 'lease']
        : ['batch', 'lease'];
      for (let round = 0; round < 3; round++) {
        const version = `round-${round}`;
        const table = (n: number) => `r${round}_${n}`;
        const ddl = async (db: Db) => {
          for (let n = 0; n < 3; n++) {
            await db.schema.createTable(table(n)).ifNotExists().addColumn('id', 'integer')
              .execute();
          }
        };
        const callers = [...kinds, ...kinds].map(async (strategy, n) => {
          const { db, batch } = stage.caller();
          await sleep(n % 2);
          const result = await bootstrapSchema(db, { version, ddl, strategy, batch });
          assert.equal(result.strategy, strategy);
          await patiently(() => sql`select * from ${sql.table(table(2))}`.execute(db));
          return result;
        });
        assertOneInstalled(await all(callers));
      }
      const states = (await ledgerOf(stage)).map(({ state }) => state);
      assert.deepEqual(states, ['installed', 'installed', 'installed']);
    },
  },
  {
    name: 'a batch that never answers ends at the deadline or with the signal',
    async run(stage) {
      const { db, batch } = stage.caller();
      const silent = around(batch, { before: () => new Promise(() => {}) });
      const late = stage.bootstrap({ waitTimeoutMs: 150, leaseMs: 50 }, { db, batch: silent });
      await thrownAs(WaitTimeoutError, within(5_000, late));

      const reason = new Error('the request is over');
      const aborting = AbortSignal.abort(reason);
      const none = watched(batch);
      const aborted = stage.bootstrap({ signal: aborting }, { db, batch: none.batch });
      assert.equal(await thrownBy(aborted), reason);
      assert.equal(none.calls.length, 0);

      const controller = new AbortController();
      const mute = around(batch, {
        before: (statements) => isInstall(statements) ? new Promise(() => {}) : undefined,
      });
      const cut = stage.bootstrap(
        { signal: controller.signal, leaseMs: 50 },
        { db, batch: mute },
      );
      await sleep(100);
      controller.abort(reason);
      assert.equal(await thrownBy(within(5_000, cut)), reason);
      assert.deepEqual(await stage.database.tables(), []);
    },
  },
  {
    name: 'lease callers at once with batch callers on idempotent ddl leave no claim behind',
    needsBusy: true,
    async run(stage) {
      const caller = stage.caller();
      await all([
        bootstrapSchema(caller.db, {
          version: VERSION,
          strategy: 'lease',
          ddl: schemaAgain(TABLES),
        }),
        stage.bootstrap({ ddl: schemaAgain(TABLES) }),
      ]);
      assert.deepEqual((await ledgerOf(stage)).map(({ state }) => state), ['installed']);
      await assertTables(stage, namesOf(TABLES));
    },
  },
];

function watchedCaller(stage: Stage): { caller: Caller; calls: string[][] } {
  const { db, batch } = stage.caller();
  const { batch: heard, calls } = watched(batch);
  return { caller: { db, batch: heard }, calls };
}
