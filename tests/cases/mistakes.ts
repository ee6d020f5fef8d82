/**
 * What is wrong in the DDL is told as that, and leaves nothing behind.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { ParseJSONResultsPlugin, sql } from 'kysely';

import {
  type BootstrapConfig,
  DdlStalledError,
  planSchema,
  StatementRefusedError,
  TransactionAbortedError,
} from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseDdl,
  createTable,
  type Db,
  gate,
  install,
  ledger,
  Log,
  present,
  rowOf,
  sleep,
  thrownAs,
  thrownBy,
  within,
} from './support.ts';

/** Writes into a column that its table does not have. */
async function misspelt(db: Db): Promise<void> {
  await createTable(db, 'spelt');
  await sql`insert into spelt (misspelt) values (1)`.execute(db);
}

function tableOf(db: Db) {
  return db.schema.createTable('forgotten').addColumn('id', 'integer');
}

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a column that the ddl has misspelt is the ddl’s, with a ledger and without',
    each: true,
    async run(t) {
      for (const version of ['0001', '0002']) {
        const log = new Log();
        const failing = bootstrap(t, t.connect(), misspelt, { version, logger: log });
        const error = await thrownBy(failing) as Error;
        assert.match(`${error.message} ${error.cause}`, /misspelt/);
        assert.doesNotMatch(log.logged.join('\n'), /older release/);
        await sql`drop table if exists spelt`.execute(t.connect());
        const right = await bootstrap(t, t.connect(), (db) => createTable(db, `of_${version}`), {
          version,
        });
        assert.equal(right.outcome, 'installed');
      }
    },
  },
  {
    name: 'such an error that the ddl has caught is not taken for one of the ledger’s',
    needs: { dialect: 'postgres', transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await misspelt(db).catch(() => {});
      }, { strategy: 'transaction' });
      const error = await thrownAs(TransactionAbortedError, failing);
      assert.match(String((error.cause as Error).message), /misspelt/);
      assert.deepEqual(await present(t.connect(), ['spelt', 'migrations']), []);
    },
  },
  {
    name: 'whoever does not wait is told of a ddl that fails, not that another caller is at it',
    each: true,
    async run(t) {
      await createTable(t.connect(), 'there');
      for (let call = 0; call < 2; call++) {
        const failing = bootstrap(t, t.connect(), (db) => createTable(db, 'there'), {
          onContention: 'return',
        });
        assert.match(String(await thrownBy(failing)), /already exists/);
      }
      assert.equal(await rowOf(t.connect()), undefined);
    },
  },
  {
    name: 'a query that the ddl returns without executing it is told, and nothing is installed',
    each: true,
    async run(t) {
      const forgotten: Record<string, (db: Db) => unknown> = {
        'a builder': (db) => tableOf(db),
        'raw SQL': () => sql`create table forgotten (id integer)`,
        'a list of builders': (db) => [undefined, tableOf(db)],
      };
      for (const [what, ddl] of Object.entries(forgotten)) {
        const failing = bootstrap(t, t.connect(), (db) => ddl(db) as Promise<void>);
        // Kysely 0.27 has a message of its own for a builder that is awaited.
        assert.match(
          String(await thrownBy(failing)),
          /forgotten.*execute\(\)|call `execute`/,
          what,
        );
        assert.equal(await rowOf(t.connect()), undefined, what);
      }
      assert.equal((await bootstrap(t, t.connect(), install)).outcome, 'installed');
    },
  },
  {
    name: 'what else a ddl may return is nobody’s business',
    each: true,
    async run(t) {
      const result = await bootstrap(t, t.connect(), async (db) => {
        await install(db);
        const row = { sql: 'select 1', parameters: [] };
        return [null, 'sql', row, db, [() => db.schema]] as unknown as void;
      });
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'statements that the ddl has not awaited are refused, and nothing is installed',
    each: 'atomic',
    async run(t) {
      const tables = [
        'one_1',
        'one_2',
        'one_3',
        'two_1',
        'two_2',
        'two_3',
        'awaited',
        'migrations',
      ];
      const lost: Promise<unknown>[] = [];
      const failing = bootstrap(t, t.connect(), async (db) => {
        for (const name of ['one', 'two']) {
          lost.push((async () => {
            for (const n of [1, 2, 3]) await createTable(db, `${name}_${n}`);
          })());
        }
        // They are handled here only so that no runtime ends for it.
        for (const promise of lost) promise.catch(() => {});
        await createTable(db, 'awaited');
      });
      const error = await thrownAs(StatementRefusedError, failing);
      assert.match(error.message, /Await each statement/);
      await Promise.allSettled(lost);
      assert.deepEqual(await present(t.connect(), tables), []);
      assert.equal((await bootstrap(t, t.connect(), install)).outcome, 'installed');
    },
  },
  {
    name: 'and so is one that is still under way when the ddl returns',
    needs: { transactions: true },
    async run(t) {
      const underWay = gate();
      const returned = gate();
      const db = faulty(t.connect(), {
        async query(text, send) {
          if (!/late/.test(text)) return await send();
          underWay.open();
          await returned.opened;
          throw new Error('it fails when nobody looks any more');
        },
      });
      let late: Promise<void> | undefined;
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'awaited');
        late = createTable(db, 'late').catch(() => {});
        await underWay.opened;
      }, { strategy: 'transaction' });
      try {
        const error = await thrownAs(StatementRefusedError, within(10_000, failing));
        assert.match(error.message, /still under way.*Await each statement/);
      } finally {
        returned.open();
        await late;
      }
      assert.deepEqual(await present(t.connect(), ['awaited', 'late', 'migrations']), []);
    },
  },
  {
    name: 'raw SQL inside of what Kysely builds is read like any other',
    needs: { transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await db.schema.createTable('one').addColumn('id', 'integer')
          .modifyEnd(sql`; commit`).execute();
      }, { strategy: 'transaction' });
      await thrownAs(StatementRefusedError, failing);
      assert.deepEqual(await present(t.connect(), ['one', 'migrations']), []);
    },
  },
  {
    name: 'several statements in one text are refused where a driver may run the first only',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'before');
        await sql`create table one (id integer); create table two (id integer)`.execute(db);
      }, { strategy: 'transaction' });
      const error = await thrownAs(StatementRefusedError, failing);
      assert.match(error.message, /several statements.*one by one/);
      assert.deepEqual(await present(t.connect(), ['before', 'one', 'two', 'migrations']), []);
    },
  },
  {
    name: 'a ddl without any statement counts as installed, and the log tells of both',
    needs: { transactions: true },
    async run(t) {
      const logger = new Log();
      await bootstrap(t, t.connect(), (_) => {}, { strategy: 'transaction', logger });
      const told = (words: RegExp) => logger.logged.filter((line) => words.test(line)).length;
      assert.deepEqual([told(/issued no statement/), told(/: installed$/)], [1, 1]);
    },
  },
  {
    name: 'after a statement that has rolled the transaction back none is sent',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const rollingBack = async (db: Db) => {
        await createTable(db, 'one');
        await sql`create unique index of_one on one (id)`.execute(db);
        await sql`insert into one (id) values (1)`.execute(db);
        return sql`insert or rollback into one (id) values (1)`;
      };
      const parallel = bootstrap(t, t.connect(), async (db) => {
        const last = await rollingBack(db);
        await Promise.all([last.execute(db), createTable(db, 'two'), createTable(db, 'three')]);
      }, { strategy: 'transaction' });
      assert.match(String(await thrownBy(parallel)), /UNIQUE constraint failed/);
      await sleep(50);
      assert.deepEqual(await present(t.connect(), ['one', 'two', 'three', 'migrations']), []);

      for (const isLast of [false, true]) {
        const caught = bootstrap(t, t.connect(), async (db) => {
          await (await rollingBack(db)).execute(db).catch(() => {});
          if (!isLast) await createTable(db, 'two');
        }, { strategy: 'transaction' });
        const { message } = await thrownAs(TransactionAbortedError, caught);
        assert.match(message, isLast ? /was caught/ : /rolled the transaction back/);
      }
      assert.deepEqual(await present(t.connect(), ['one', 'two', 'three', 'migrations']), []);
      assert.equal((await bootstrap(t, t.connect(), install)).outcome, 'installed');
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a statement that fails and is caught does not end a transaction that goes on',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const result = await bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        await createTable(db, 'one').catch(() => {});
        await createTable(db, 'two');
      }, { strategy: 'transaction' });
      assert.equal(result.outcome, 'installed');
      assert.deepEqual(await present(t.connect(), ['one', 'two']), ['one', 'two']);
    },
  },
  {
    name: 'a ddl that hangs while it is recorded ends with the deadline, or with the signal',
    each: true,
    async run(t) {
      const onDrift = 'error';
      const hanging = (more: Partial<BootstrapConfig<Db>>) =>
        bootstrap(t, t.connect(), (_) => new Promise(() => {}), { onDrift, ...more });
      const stalled = await thrownAs(
        DdlStalledError,
        within(5_000, hanging({ waitTimeoutMs: 300 })),
      );
      assert.match(stalled.message, /did not return while it was recorded/);
      const controller = new AbortController();
      const aborted = thrownBy(hanging({ signal: controller.signal }));
      controller.abort();
      assert.equal(await within(5_000, aborted), controller.signal.reason);
    },
  },
  {
    name: 'under a lease a plan, too, stops where its claim was lost',
    needs: { concurrent: true },
    async run(t) {
      const db = t.connect();
      const tables = ['one', 'two', 'three'];
      const plan = await planSchema(db, async (db) => {
        for (const table of tables) await createTable(db, table);
      });
      let stolen = false;
      const slow = faulty(db, {
        async query(text, send) {
          const answer = await send();
          if (text.includes('"one"') && !stolen) {
            stolen = true;
            await sql`update migrations set owner = 'a thief'`.execute(t.connect());
            await sleep(1_000);
          }
          return answer;
        },
      });
      const config = { strategy: 'lease', leaseMs: 600, waitTimeoutMs: 20_000 } as const;
      assert.ok(await thrownBy(bootstrap(t, slow, undefined, { ...config, ddl: plan })));
      assert.ok(stolen);
      assert.deepEqual(await present(t.connect(), tables), ['one']);
    },
  },
  {
    name: 'a plugin that makes other things of answers does not see those of the ledger',
    each: true,
    async run(t) {
      for (const version of ['[1]', '{"v":1}']) {
        const table = version === '[1]' ? 'one' : 'two';
        const ddl: CaseDdl = (db) => createTable(db, table);
        const db = faulty(t.connect(), {}).withPlugin(new ParseJSONResultsPlugin());
        const times = { waitTimeoutMs: 5_000 };
        assert.equal((await bootstrap(t, db, ddl, { version, ...times })).outcome, 'installed');
        assert.equal((await bootstrap(t, db, ddl, { version })).outcome, 'already-installed');
      }
      assert.deepEqual((await ledger(t.connect())).map(({ name }) => name), ['[1]', '{"v":1}']);
    },
  },
];
