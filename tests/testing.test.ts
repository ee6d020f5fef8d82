/**
 * The kit for users' own test suites.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CamelCasePlugin, sql } from 'kysely';

import { type BootstrapConfig, planSchema, type Strategy } from '../mod.ts';
import { type FreshDatabase, type SchemaReport, testSchema } from '../src/testing.ts';
import { strategiesOf } from './cases/lifecycle/all.ts';
import { capabilitiesOf, caseDatabaseOf } from './cases/on_engine.ts';
import { type CaseDdl, createTable, type Db, thrownAs } from './cases/support.ts';
import type { Engine, TestDatabase } from './engines/engine.ts';
import { engineNamed, engines } from './engines/list.ts';

// Bun ends a test after 5 s unless told otherwise.
const timeout = 120_000;

/** Safe under every strategy. */
const repeatable: CaseDdl = async (db) => {
  await db.schema.createTable('users').ifNotExists()
    .addColumn('id', 'integer', (column) => column.primaryKey()).execute();
  await db.schema.createTable('posts').ifNotExists()
    .addColumn('id', 'integer', (column) => column.primaryKey()).execute();
  await db.insertInto('users').values({ id: 1 })
    .onConflict((conflict) => conflict.doNothing()).execute();
};

/** Safe where it is rolled back, and half-installed where it is not. */
const once: CaseDdl = async (db) => {
  await db.schema.createTable('settings').ifNotExists().addColumn('id', 'integer').execute();
  await createTable(db, 'users');
  await createTable(db, 'posts');
};

/** Fresh databases of an engine, as a user of it would give them. */
function databasesOf(engine: Engine, strategy?: Strategy): () => Promise<FreshDatabase<Db>> {
  return async () => {
    const database = await (await engine.start()).create();
    const { connect, batch } = caseDatabaseOf(engine, database);
    return {
      connect: () => connect(),
      ...(strategy === 'batch' && { batch: () => batch!() }),
      close: () => database.drop(),
    };
  };
}

const sqlite = engineNamed('sqlite');

function onSqlite(
  config: Partial<BootstrapConfig<Db>>,
  more: { callers?: number; first?: CaseDdl; database?: () => Promise<FreshDatabase<Db>> } = {},
): Promise<SchemaReport> {
  const database = databasesOf(sqlite);
  return testSchema({ database, config: { version: '0001', ddl: once, ...config }, ...more });
}

for (const engine of engines) {
  for (const strategy of strategiesOf(capabilitiesOf(engine))) {
    test(`${engine.name}: finds safe what is safe [${strategy}]`, { timeout }, async () => {
      const report = await testSchema({
        database: databasesOf(engine, strategy),
        config: { version: '0001', ddl: repeatable, strategy },
      });
      report.assert();
      assert.equal(report.passed, true);
      assert.equal(report.strategy, strategy);
      const checks = report.findings.map(({ check }) => check);
      // After each statement, and at the end.
      const cuts = strategy === 'batch' ? [] : Array.from({ length: 4 }, () => 'interruption');
      assert.deepEqual(checks, ['race', 'repeat', ...cuts]);
      assert.match(report.toString(), /^Version "0001" is safe under strategy '\w+':\n/);
      if (strategy === 'batch') assert.match(report.toString(), /one batch/);
    });
    test(
      `${engine.name}: knows what a crash leaves behind [${strategy}]`,
      { timeout },
      async () => {
        const report = await testSchema({
          database: databasesOf(engine, strategy),
          config: { version: '0001', ddl: once, strategy },
          callers: 3,
        });
        assert.equal(report.passed, strategy !== 'lease', report.toString());
        const failed = report.findings.filter(({ passed }) => !passed);
        assert.equal(failed.length, strategy === 'lease' ? 3 : 0, report.toString());
      },
    );
  }
  test(`${engine.name}: stops`, { timeout }, async () => {
    await (await engine.start()).stop();
  });
}

test('the report says at which statement a lease is not safe, and why', { timeout }, async () => {
  const report = await onSqlite({ strategy: 'lease' });
  assert.equal(report.passed, false);
  assert.equal(report.strategy, 'lease');
  const [race, repeat, first, second, third, end, ...rest] = report.findings;
  assert.deepEqual(rest, []);
  assert.deepEqual([race!.check, race!.passed], ['race', true]);
  assert.equal(race!.message, 'on a fresh database, of 8 callers at once 1 installed, 0 failed');
  assert.deepEqual([repeat!.check, repeat!.passed], ['repeat', true]);
  assert.deepEqual([first!.check, first!.passed], ['interruption', true]);
  assert.equal(
    first!.message,
    'on a fresh database, interrupted after statement 1 of 3, create table if not exists ' +
      '"settings" ("id" integer); a second run completed it',
  );
  assert.equal(second!.passed, false);
  assert.equal(
    second!.message,
    'on a fresh database, interrupted after statement 2 of 3, create table "users" ("id" ' +
      `integer); a second run failed: table "users" already exists. Under strategy 'lease' a ` +
      'crash there leaves the schema half-installed: make the DDL idempotent',
  );
  assert.match(third!.message, /after statement 3 of 3, create table "posts"/);
  assert.equal(third!.passed, false);
  assert.match(end!.message, /interrupted after the end of the ddl, behind statement 3 of 3; a/);
  assert.equal(end!.passed, false);
  const text = report.toString();
  assert.match(text, /^Version "0001" is not safe under strategy 'lease':\n {2}passed race: /);
  assert.equal(text.split('\n').length, 7);
  assert.equal(text.match(/^ {2}FAILED interruption: /gm)?.length, 3);
  assert.throws(() => report.assert(), { name: 'Error', message: text });
});

test('under auto it tests the strategy that the config gets', { timeout }, async () => {
  const onSqlite = await testSchema({
    database: databasesOf(sqlite),
    config: { version: '0001', ddl: once },
  });
  assert.equal(onSqlite.strategy, 'transaction');
  assert.ok(onSqlite.passed, onSqlite.toString());
  const onD1 = await testSchema({
    database: databasesOf(engineNamed('d1')),
    config: { version: '0001', ddl: once },
  });
  assert.equal(onD1.strategy, 'lease');
  assert.ok(!onD1.passed);
  await (await engineNamed('d1').start()).stop();
});

test('a ddl that fails fails every check that needs it', { timeout }, async () => {
  const report = await onSqlite({
    ddl: async (db) => {
      await createTable(db, 'one');
      throw new Error('a mistake of mine');
    },
  });
  assert.equal(report.passed, false);
  assert.equal(report.findings.length, 1);
  assert.match(report.findings[0]!.message, /0 installed, 8 failed: a mistake of mine$/);
  assert.equal(report.strategy, undefined);
  assert.match(report.toString(), /^Version "0001" is not safe:\n/);
});

test('an instance that leads elsewhere each time is noticed', { timeout }, async () => {
  const made: TestDatabase[] = [];
  const running = await sqlite.start();
  const report = await testSchema({
    database: () => ({
      connect: async () => {
        made.push(await running.create());
        return made.at(-1)!.connect({ busyTimeoutMs: 0 }) as Db;
      },
    }),
    config: { version: '0001', ddl: once },
    callers: 3,
  });
  assert.equal(report.passed, false);
  assert.match(report.findings[0]!.message, /3 installed, 0 failed\. Every database\(\) must be/);
  for (const database of made) await database.drop();
});

test(
  'a ddl on an instance of its own cannot be tested, and that is said',
  { timeout },
  async () => {
    const database = await (await sqlite.start()).create();
    const own = database.connect({ busyTimeoutMs: 5_000 }) as Db;
    const report = await onSqlite({ ddl: () => repeatable(own) }, { callers: 2 });
    assert.equal(report.passed, false);
    assert.match(report.findings.at(-1)!.message, /no statement through the instance it was given/);
    await database.drop();
  },
);

test('a ddl that does something outside of its transaction is found out', { timeout }, async () => {
  const done = new Set<string>();
  const report = await onSqlite({
    ddl: async (db) => {
      await createTable(db, 'one');
      // As a cache of the app would have it, which is not rolled back.
      const { rows } = await sql<{ file: string }>`select file from pragma_database_list`
        .execute(db);
      if (done.has(rows[0]!.file)) throw new Error('done already');
      done.add(rows[0]!.file);
      await createTable(db, 'two');
    },
  }, { callers: 1 });
  const failed = report.findings.filter(({ passed }) => !passed);
  assert.deepEqual(failed.map(({ check }) => check), ['interruption', 'interruption']);
  assert.match(failed[0]!.message, /after statement 3 of 3, .*second run failed: done already/);
  assert.match(failed[0]!.message, /outside of it$/);
});

test('a ddl that catches errors does not escape an interruption', { timeout }, async () => {
  const report = await onSqlite({
    strategy: 'lease',
    ddl: async (db) => {
      for (const name of ['one', 'two', 'three']) await createTable(db, name).catch(() => {});
    },
  });
  assert.ok(report.passed, report.toString());
  assert.equal(report.findings.filter(({ check }) => check === 'interruption').length, 4);
});

test('a transaction inside the ddl is interrupted like anything else', { timeout }, async () => {
  const report = await onSqlite({
    strategy: 'lease',
    ddl: async (db) => {
      await db.schema.createTable('one').ifNotExists().addColumn('id', 'integer').execute();
      await db.transaction().execute(async (trx) => {
        await createTable(trx, 'two');
        await createTable(trx, 'three');
      });
    },
  });
  // After the last statement of it the transaction is rolled back all the same, but not at the end.
  const failed = report.findings.filter(({ passed }) => !passed);
  assert.equal(failed.length, 1, report.toString());
  assert.match(failed[0]!.message, /after the end of the ddl, .*table "two" already exists/);
  assert.equal(report.findings.length, 2 + 4);
});

for (const engine of [sqlite, engineNamed('pglite')]) {
  test(
    `${engine.name}: a repetition that leaves a table or a column out is found out`,
    { timeout },
    async () => {
      const left: [string, CaseDdl][] = [
        ['posts (id)', async (db) => {
          if ((await db.introspection.getTables()).some(({ name }) => name === 'users')) return;
          await createTable(db, 'users');
          await createTable(db, 'posts');
        }],
        ['users (email, id)', async (db) => {
          const made = await createTable(db, 'users').then(() => true, () => false);
          if (made) await sql`alter table users add column email text`.execute(db);
        }],
      ];
      for (const [what, ddl] of left) {
        const report = await testSchema({
          database: databasesOf(engine),
          config: { version: '0001', ddl, strategy: 'lease' },
        });
        const failed = report.findings.filter(({ passed }) => !passed);
        assert.ok(failed.length > 0, report.toString());
        const last = failed.at(-1)!.message;
        assert.ok(last.includes('a second run did not make '), last);
        assert.ok(last.includes(what), last);
        assert.match(last, /make the DDL idempotent$/);
      }
      await (await engine.start()).stop();
    },
  );
}

test('a plan is interrupted like a function', { timeout }, async () => {
  const database = await (await sqlite.start()).create();
  const plan = await planSchema(database.connect() as Db, once);
  await database.drop();
  const report = await onSqlite({ ddl: plan, strategy: 'lease' });
  const failed = report.findings.filter(({ passed }) => !passed);
  assert.equal(failed.length, 3, report.toString());
  assert.match(failed[0]!.message, /after statement 2 of 3, create table "users"/);
});

test('statements that were compiled elsewhere are interrupted, too', { timeout }, async () => {
  const report = await onSqlite({
    strategy: 'lease',
    ddl: async (db) => {
      await db.executeQuery(sql`create table one (id integer)`.compile(db));
    },
  });
  assert.match(report.findings.at(-2)!.message, /after statement 1 of 1, /);
  assert.equal(report.passed, false);
});

test(
  'upgrades are tested from every version, if it is told the first ddl',
  { timeout },
  async () => {
    const upgrades = [
      { from: '0001', ddl: (db: Db) => createTable(db, 'invoices') },
      {
        from: '0002',
        ddl: async (db: Db) => {
          await db.schema.createTable('tax').ifNotExists().addColumn('id', 'integer').execute();
          await db.schema.createTable('vat').ifNotExists().addColumn('id', 'integer').execute();
        },
      },
    ];
    const ddl: CaseDdl = async (db) => {
      for (const table of ['settings', 'users', 'posts', 'invoices', 'tax', 'vat']) {
        await db.schema.createTable(table).ifNotExists().addColumn('id', 'integer').execute();
      }
    };
    const config = { version: '0003', ddl, upgrades };
    const untold = await onSqlite(config);
    assert.ok(untold.passed);
    const [one, two] = untold.findings.filter(({ check }) => check === 'upgrade');
    assert.match(one!.message, /at version "0001", nothing was tested, since there is no 'first'/);
    assert.match(two!.message, /at version "0002", nothing was tested/);

    const told = await onSqlite(config, { first: once });
    assert.ok(told.passed, told.toString());
    const words = [
      'a fresh database',
      'a database at version "0001"',
      'a database at version "0002"',
    ];
    const counts = words.map((start) =>
      told.findings.filter(({ message }) => message.startsWith(`on ${start}, `)).length
    );
    assert.deepEqual(counts, [2 + 6 + 1, 2 + 3 + 2, 2 + 2 + 1]);

    const leased = await onSqlite({ ...config, strategy: 'lease' }, { first: once });
    const failed = leased.findings.filter(({ passed }) => !passed);
    assert.equal(failed.length, 5, leased.toString());
    for (const { message } of failed) {
      assert.match(message, /^on a database at version "0001", .*"invoices" already exists/);
    }
  },
);

test('steps that lead elsewhere than the ddl are found out', { timeout }, async () => {
  const line = (names: string[]) => ({
    version: '0002',
    ddl: async (db: Db) => {
      for (const name of names) await createTable(db, name);
    },
    upgrades: [{ from: '0001', ddl: (db: Db) => createTable(db, 'invoices') }],
  });
  const first: CaseDdl = (db) => createTable(db, 'users');
  for (
    const [names, words] of [
      [['users', 'invoices'], undefined],
      [['users', 'invoices', 'tax'], /"0001", the steps did not lead to tax \(id\)/],
      [['users'], /"0001", the steps led to invoices \(id\)/],
    ] as const
  ) {
    const { findings } = await onSqlite(line([...names]), { first });
    const failed = findings.filter(({ passed }) => !passed).map(({ message }) => message);
    assert.equal(failed.length, words ? 1 : 0, failed.join('\n'));
    if (words) assert.match(failed[0]!, words);
  }
});

test('a database that is not fresh is told so, and the field of createBootstrap taken', {
  timeout,
}, async () => {
  const one = await (await sqlite.start()).create();
  const connect = () => one.connect({ busyTimeoutMs: 0 }) as Db;
  const report = await testSchema({
    database: () => ({ connect, batch: undefined, close: undefined }),
    config: { version: '0001', ddl: once, failureCooldownMs: 5 },
  });
  const failed = report.findings.filter(({ passed }) => !passed).map(({ message }) => message);
  assert.equal(failed.length, 1, report.toString());
  assert.match(failed[0]!, /installed already\. Every database\(\) must be a fresh one/);
  await one.drop();
});

test('drift, contention and naming plugins in the config do no harm', { timeout }, async () => {
  const database = async () => {
    const plain = await databasesOf(sqlite)();
    const connect = async () => (await plain.connect()).withPlugin(new CamelCasePlugin());
    return { ...plain, connect };
  };
  const ddl: CaseDdl = (db) => createTable(db, 'userSettings');
  const config = { ddl, onDrift: 'error', onContention: 'return', onNewer: 'error' } as const;
  const report = await onSqlite(config, { database });
  assert.ok(report.passed, report.toString());
  assert.match(report.toString(), /create table "user_settings"/);
});

test('what is wrong with the config is thrown before a database is made', { timeout }, async () => {
  const database = () => assert.fail('made');
  const test = (config: unknown) => testSchema({ database, config: config as BootstrapConfig });
  await thrownAs(TypeError, test({ ddl: once }));
  await thrownAs(RangeError, test({ version: '', ddl: once }));
  const batch = { database: {}, execute: () => Promise.resolve([]) };
  const error = await thrownAs(TypeError, test({ version: '0001', ddl: once, batch }));
  assert.match(error.message, /give it in 'database'/);
});

test('so is what is wrong with the other options', { timeout }, async () => {
  const right = { database: () => assert.fail('made'), config: { version: '0001', ddl: once } };
  const rows: readonly [object, typeof TypeError, RegExp][] = [
    [{ caller: 3 }, TypeError, /'caller': its fields are database, config, callers, first/],
    [{ callers: 0 }, RangeError, /'callers' as it must be a whole number from 1 on/],
    [{ callers: 1.5 }, RangeError, /'callers'/],
    [{ database: undefined }, TypeError, /'database' as it must be a function/],
    [{ config: undefined }, TypeError, /'config' as it must be an object/],
    [{ first: 'create table' }, TypeError, /'first' as it must be a function or a plan/],
  ];
  for (const [wrong, type, words] of rows) {
    const error = await thrownAs(type, testSchema({ ...right, ...wrong } as never));
    assert.match(error.message, words);
  }
});

test('every database is closed, and every instance destroyed before', { timeout }, async () => {
  const open = new Set<number>();
  let made = 0;
  const report = await testSchema({
    database: async () => {
      const database = await (await sqlite.start()).create();
      const number = made++;
      open.add(number);
      let instances = 0;
      return {
        connect: () => {
          const db = database.connect({ busyTimeoutMs: 0 }) as Db;
          const destroy = db.destroy.bind(db);
          instances++;
          db.destroy = () => {
            instances--;
            return destroy();
          };
          return db;
        },
        close: async () => {
          assert.equal(instances, 0);
          open.delete(number);
          await database.drop();
        },
      };
    },
    config: { version: '0001', ddl: once, strategy: 'lease' },
  });
  assert.equal(report.findings.length, 6);
  assert.equal(made, 6);
  assert.equal(open.size, 0);
});

test('sqlite stops', { timeout }, async () => {
  await (await sqlite.start()).stop();
});
