/**
 * Handing over to Kysely's own Migrator, proved by the real one of two versions.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { CamelCasePlugin, sql } from 'kysely';
import { Migrator, type MigratorProps } from 'kysely/migration';

import { adoptMigrator, type AdoptOptions, NotAdoptableError } from '../../../mod.ts';
import { faulty } from '../faults.ts';
import { createOldLedger, createTable, type Db, thrownAs, thrownBy } from '../support.ts';
import {
  assertTables,
  claim,
  life,
  type LifeCase,
  type LifeContext,
  lineOf,
  listening,
} from './support.ts';

/** What Migrator of any version says. */
interface Outcome {
  readonly error?: unknown;
  readonly results?: readonly { readonly migrationName: string; readonly status: string }[];
}

/** The part of Migrator of any version that is used here. */
interface AnyMigrator {
  migrateToLatest(): Promise<Outcome>;
  getMigrations(): Promise<readonly { readonly name: string; readonly executedAt?: Date }[]>;
}

type Migrations = Record<string, { up(db: never): Promise<void> }>;

const MIGRATOR_TABLES = ['kysely_migration', 'kysely_migration_lock'];

/** The cases of this file. */
export const cases: readonly LifeCase[] = [
  {
    name: 'after it, Migrator of this Kysely has nothing to do, and runs what comes next',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001_initial'));
      const db = t.connect();
      const options = { version: '0001_initial', migrations: ['0001_initial'] };
      assert.deepEqual(await adoptMigrator(db, options), { adopted: ['0001_initial'] });
      await assertHandedOver(t, (migrations) => migrator(t.connect(), migrations));
    },
  },
  {
    name: 'the same with Kysely 0.28, its Migrator and its instance',
    needs: { transactions: true, older: true },
    async run(t) {
      await life(t, lineOf('0001_initial'));
      const { db, Migrator: Older } = await t.older();
      try {
        const options = { version: '0001_initial', migrations: ['0001_initial'] };
        assert.deepEqual(await adoptMigrator(db, options), { adopted: ['0001_initial'] });
        await assertHandedOver(t, (migrations) =>
          new Older({
            db,
            provider: { getMigrations: () => Promise.resolve(migrations as never) },
          }));
      } finally {
        await db.destroy();
      }
    },
  },
  {
    name: 'a database that is busy for a moment is asked again, wherever that is',
    // The moment is half a second, in which nothing else may hold the process up.
    alone: true,
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const busy = new Error('database is locked');
      const tries = new Map<string, number>();
      // Once: whether it is asked a third time depends on how fast this process is.
      const once = async <T>(what: string, run: () => Promise<T>) => {
        const times = tries.get(what) ?? 0;
        tries.set(what, times + 1);
        if (times === 0) throw busy;
        return await run();
      };
      const db = faulty(t.connect(), { query: once, tables: (run) => once('tables', run) });
      const options = { version: '0001', migrations: ['0001'] };
      assert.deepEqual(await adoptMigrator(db, options), { adopted: ['0001'] });
      assert.ok(tries.size > 4, [...tries.keys()].join('\n'));
      assert.ok([...tries.values()].every((times) => times === 2), [...tries.values()].join());
      // For longer it is told as what it is.
      const locked = faulty(t.connect(), { tables: () => Promise.reject(busy) });
      assert.equal(await thrownBy(adoptMigrator(locked, options)), busy);
    },
  },
  {
    name: 'several migrations are recorded in the order that Migrator demands',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const names = ['0003_c', '0001_a', '0002_b', '0010_d', '0000_z'];
      const { adopted } = await adoptMigrator(t.connect(), { version: '0001', migrations: names });
      assert.deepEqual(adopted, names.toSorted());
      const one = migrator(t.connect(), {
        ...Object.fromEntries(names.map((name) => [name, never(name)])),
        '0011_next': creating('next'),
      });
      const found = await one.getMigrations();
      assert.ok(found.slice(0, 5).every(({ executedAt }) => executedAt instanceof Date));
      const { error, results } = await one.migrateToLatest();
      assert.equal(error, undefined);
      assert.deepEqual(results?.map(({ migrationName }) => migrationName), ['0011_next']);
    },
  },
  {
    name: 'that order is by code units, in any Kysely, whatever a language makes of the names',
    needs: { transactions: true, older: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const names = [
        '1_init',
        '10_orders',
        'AddUsers',
        'addPosts',
        '2024_01_init',
        '20240201_more',
      ];
      await adoptMigrator(t.connect(), { version: '0001', migrations: names.slice(2) });
      await adoptMigrator(t.connect(), { version: '0001', migrations: names });
      const all = {
        ...Object.fromEntries(names.map((name) => [name, never(name)])),
        next: creating('next'),
      };
      const own = await migrator(t.connect(), all).migrateToLatest();
      assert.equal(own.error, undefined, String(own.error));
      assert.deepEqual(own.results?.map(({ migrationName }) => migrationName), ['next']);
      const { db, Migrator: Older } = await t.older();
      const provider = { getMigrations: () => Promise.resolve(all as never) };
      try {
        const older = await new Older({ db, provider }).migrateToLatest();
        assert.deepEqual([older.error, older.results], [undefined, []]);
      } finally {
        await db.destroy();
      }
    },
  },
  {
    name: 'none is executed in the future, or later than one that comes after it',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const names = Array.from({ length: 12 }, (_, n) => `00${10 + n}`);
      const adopt = (...migrations: string[]) =>
        adoptMigrator(t.connect(), { version: '0001', migrations });
      const before = await migrator(t.connect(), { '0015': creating('before') }).migrateToLatest();
      assert.equal(before.error, undefined);
      await adopt(...names);
      const times = Object.entries(await executed(t.connect()));
      const inOrder = times.toSorted(([a, one], [b, two]) =>
        one === two ? a.localeCompare(b) : Date.parse(one) - Date.parse(two)
      );
      assert.deepEqual(inOrder.map(([name]) => name), names);
      assert.ok(Date.parse(inOrder.at(-1)![1]) <= Date.now());
    },
  },
  {
    name: 'with Kysely 0.28 what comes right after many stays behind them',
    needs: { transactions: true, older: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const names = Array.from({ length: 30 }, (_, n) => `00${10 + n}`);
      const { db, Migrator: Older } = await t.older();
      const all = {
        ...Object.fromEntries(names.map((name) => [name, never(name)])),
        '0099': creating('next'),
      };
      const provider = { getMigrations: () => Promise.resolve(all as never) };
      try {
        await adoptMigrator(db, { version: '0001', migrations: names });
        for (const expected of [['0099'], []]) {
          const { error, results } = await new Older({ db, provider }).migrateToLatest();
          assert.equal(error, undefined);
          assert.deepEqual(results?.map(({ migrationName }) => migrationName), expected);
        }
      } finally {
        await db.destroy();
      }
    },
  },
  {
    name: 'callers whose clocks differ, and whose lists do, leave what Migrator takes',
    needs: { transactions: true, older: true },
    alone: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const adopt = (...migrations: string[]) =>
        adoptMigrator(t.connect(), { version: '0001', migrations });
      await ahead(60_000, () => adopt('0001'));
      await ahead(-60_000, () => adopt('0001', '0002'));
      const all = { '0001': never('0001'), '0002': never('0002'), '0003': creating('next') };
      const { db, Migrator: Older } = await t.older();
      const provider = { getMigrations: () => Promise.resolve(all as never) };
      try {
        await ahead(-120_000, async () => {
          const { error } = await new Older({ db, provider }).migrateToLatest();
          assert.equal(error, undefined);
        });
        const older = await new Older({ db, provider }).migrateToLatest();
        assert.deepEqual([older.error, older.results], [undefined, []]);
      } finally {
        await db.destroy();
      }
      const own = await migrator(t.connect(), all).migrateToLatest();
      assert.deepEqual([own.error, own.results], [undefined, []]);
    },
  },
  {
    name: 'a version that was led on is refused, and the one that it was led to is not',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001', '0002'));
      const adopt = (version: string) =>
        adoptMigrator(t.connect(), { version, migrations: ['0001', '0002'] });
      const error = await thrownAs(NotAdoptableError, adopt('0001'));
      assert.match(error.message, /holds version "0002", which comes after it/);
      assert.ok((await t.tables()).every((name) => !MIGRATOR_TABLES.includes(name)));
      assert.deepEqual((await adopt('0002')).adopted, ['0001', '0002']);
    },
  },
  {
    name: 'the tables are as Migrator makes them',
    needs: { transactions: true },
    async run(t) {
      const theirs = new Migrator({
        db: t.connect(),
        migrationTableName: 'their_migration',
        migrationLockTableName: 'their_lock',
        provider: { getMigrations: () => Promise.resolve({}) },
      });
      assert.equal((await theirs.migrateToLatest()).error, undefined);
      await life(t, lineOf('0001'));
      await adoptMigrator(t.connect(), { version: '0001', migrations: ['0001'] });
      const db = t.connect();
      assert.deepEqual(
        await columnsOf(db, 'kysely_migration'),
        await columnsOf(db, 'their_migration'),
      );
      assert.deepEqual(
        await columnsOf(db, 'kysely_migration_lock'),
        await columnsOf(db, 'their_lock'),
      );
      const lock = (table: string) => db.selectFrom(table).selectAll().execute();
      assert.deepEqual(await lock('kysely_migration_lock'), await lock('their_lock'));
      const [row] = await db.selectFrom('kysely_migration').selectAll().execute();
      assert.match(String(row!.timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    },
  },
  {
    name: 'it is harmless to repeat, before Migrator and after it',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const options = { version: '0001', migrations: ['0001_a', '0002_b'] };
      const adopt = () => adoptMigrator(t.connect(), options);
      assert.deepEqual((await adopt()).adopted, ['0001_a', '0002_b']);
      const before = await executed(t.connect());
      assert.deepEqual((await adopt()).adopted, []);
      assert.deepEqual(await executed(t.connect()), before);
      const migrations = {
        '0001_a': never('0001_a'),
        '0002_b': never('0002_b'),
        '0003_c': creating('c'),
      };
      assert.equal((await migrator(t.connect(), migrations).migrateToLatest()).error, undefined);
      assert.deepEqual((await adopt()).adopted, []);
      const again = await migrator(t.connect(), migrations).migrateToLatest();
      assert.deepEqual([again.error, again.results], [undefined, []]);
    },
  },
  {
    name: 'what is missing of the list is recorded, and only that is reported',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const adopt = (...migrations: string[]) =>
        adoptMigrator(t.connect(), { version: '0001', migrations });
      await adopt('0001_a');
      assert.deepEqual((await adopt('0002_b', '0001_a')).adopted, ['0002_b']);
      assert.deepEqual(Object.keys(await executed(t.connect())), ['0001_a', '0002_b']);
    },
  },
  {
    name: 'callers at once record each migration once, and none of them fails',
    needs: { transactions: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const migrations = ['0001_a', '0002_b', '0003_c'];
      const results = await Promise.all(
        Array.from(
          { length: 8 },
          () => adoptMigrator(t.connect(), { version: '0001', migrations }),
        ),
      );
      assert.deepEqual(results.flatMap(({ adopted }) => adopted).sort(), migrations);
      const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`
        .execute(t.connect());
      assert.deepEqual(rows.map(({ name }) => name), migrations);
      const locks = await t.connect().selectFrom('kysely_migration_lock').selectAll().execute();
      assert.equal(locks.length, 1);
      const all = Object.fromEntries(migrations.map((name) => [name, never(name)]));
      const after = await migrator(t.connect(), all).migrateToLatest();
      assert.deepEqual([after.error, after.results], [undefined, []]);
    },
  },
  {
    name: 'a whole install, hand-over included, may be raced',
    needs: { transactions: true },
    async run(t) {
      await Promise.all(Array.from({ length: 6 }, async () => {
        const caller = t.caller();
        await life(t, lineOf('0001'), caller);
        await adoptMigrator(caller.db, { version: '0001', migrations: ['0001'] });
      }));
      const after = await migrator(t.connect(), { '0001': never('0001') }).migrateToLatest();
      assert.deepEqual([after.error, after.results], [undefined, []]);
    },
  },
  {
    name: 'a version that is not installed is refused, and nothing is changed',
    async run(t) {
      const adopt = (version: string) =>
        adoptMigrator(t.connect(), { version, migrations: ['0001'] });
      const assertRefused = async (version: string) => {
        const before = await t.tables();
        const error = await thrownAs(NotAdoptableError, adopt(version));
        assert.equal(error.code, 'NOT_ADOPTABLE');
        assert.equal(error.version, version);
        assert.match(error.message, /not installed/);
        assert.deepEqual(await t.tables(), before);
      };
      await assertRefused('0001');
      await life(t, lineOf('0001'));
      await assertRefused('0002');
      await claim(t.connect(), '0002', '0001', 60_000);
      await assertRefused('0002');
      assert.ok((await t.tables()).every((name) => !MIGRATOR_TABLES.includes(name)));
    },
  },
  {
    name: 'where Migrator cannot run, as on D1, it says so',
    needs: { transactions: false },
    async run(t) {
      await life(t, lineOf('0001'));
      const plain = { disableTransactions: true };
      const real = await migrator(t.connect(), { '0001': creating('one') }, plain)
        .migrateToLatest().then(({ error }) => error, (error) => error);
      // Without transactions it runs in a Durable Object, whose tables can be listed.
      assert.equal(real instanceof Error, t.engine === 'd1', String(real));
      if (t.engine !== 'd1') return;
      const failing = adoptMigrator(t.connect(), { version: '0001', migrations: ['0001'] });
      const error = await thrownAs(NotAdoptableError, failing);
      assert.equal(error.code, 'NOT_ADOPTABLE');
      assert.match(error.message, /'upgrades'/);
      assert.ok(error.cause instanceof Error);
      await assertTables(t, ['made_0001']);
    },
  },
  {
    name: 'in a Durable Object it hands over to a Migrator without transactions',
    needs: { engine: 'durable-object' },
    async run(t) {
      await life(t, lineOf('0001_initial'));
      const options = { version: '0001_initial', migrations: ['0001_initial'] };
      assert.deepEqual((await adoptMigrator(t.connect(), options)).adopted, ['0001_initial']);
      const plain = { disableTransactions: true };
      await assertHandedOver(t, (migrations) => migrator(t.connect(), migrations, plain));
    },
  },
  {
    name: 'a version of a ledger of release 1.0.0 can be handed over',
    needs: { transactions: true },
    async run(t) {
      await createOldLedger(t.connect(), '0001_initial');
      const options = { version: '0001_initial', migrations: ['0001_initial'] };
      assert.deepEqual((await adoptMigrator(t.connect(), options)).adopted, ['0001_initial']);
      await assertHandedOver(t, (migrations) => migrator(t.connect(), migrations));
    },
  },
  {
    name: 'marker, schema and naming plugins are those of the install',
    needs: { transactions: true },
    async run(t) {
      const plugged = t.connect().withPlugin(new CamelCasePlugin());
      await life(t, { ...lineOf('0001_initial'), marker: 'migrations_A' }, { db: plugged });
      const options = { version: '0001_initial', migrations: ['0001_initial'] };
      await adoptMigrator(plugged, { ...options, marker: 'migrations_A' });
      await assertHandedOver(t, (migrations) => migrator(plugged, migrations));
    },
  },
  {
    name: 'with a plugin that makes names of another case, what was adopted is said',
    needs: { transactions: true },
    async run(t) {
      const plugged = t.connect().withPlugin(new CamelCasePlugin({ upperCase: true }));
      await life(t, lineOf('0001'), { db: plugged });
      for (const [names, adopted] of [[['0001'], ['0001']], [['0001', '0002'], ['0002']]]) {
        const result = await adoptMigrator(plugged, { version: '0001', migrations: names! });
        assert.deepEqual(result, { adopted });
      }
    },
  },
  {
    name: 'on Postgres the tables lie in the schema of the ledger',
    needs: { dialect: 'postgres' },
    async run(t) {
      await life(t, { ...lineOf('0001_initial'), schema: 'tenant' });
      const options = { version: '0001_initial', migrations: ['0001_initial'], schema: 'tenant' };
      await adoptMigrator(t.connect(), options);
      assert.ok((await t.tables()).includes('tenant.kysely_migration'));
      await assertHandedOver(
        t,
        (migrations) => migrator(t.connect(), migrations, { migrationTableSchema: 'tenant' }),
      );
    },
  },
  {
    name: 'and in that of a plugin, as Migrator’s do',
    needs: { dialect: 'postgres' },
    async run(t) {
      await t.connect().schema.createSchema('tenant').execute();
      const db = t.connect().withSchema('tenant');
      await life(t, lineOf('0001_initial'), { db });
      await adoptMigrator(db, { version: '0001_initial', migrations: ['0001_initial'] });
      assert.ok((await t.tables()).includes('tenant.kysely_migration'));
      await assertHandedOver(t, (migrations) => migrator(db, migrations), db);
    },
  },
  {
    name: 'options that are wrong are refused before any statement',
    async run(t) {
      const { statements, db } = listening(t);
      const right = { version: '0001', migrations: ['0001'] };
      const wrong: readonly [unknown, typeof TypeError][] = [
        [{ migrations: ['0001'] }, TypeError],
        [{ ...right, version: '' }, RangeError],
        [{ ...right, migrations: [] }, TypeError],
        [{ ...right, migrations: ['a', 'a'] }, TypeError],
        [{ ...right, migrations: [''] }, TypeError],
        [{ ...right, migrations: 'a' }, TypeError],
        [{ ...right, migrations: undefined }, TypeError],
        [{ ...right, marker: 'a b' }, RangeError],
        [{ ...right, unknown: 1 }, TypeError],
      ];
      for (const [options, type] of wrong) {
        await thrownAs(type, adoptMigrator(db, options as AdoptOptions));
      }
      await thrownAs(TypeError, adoptMigrator(db, undefined as unknown as AdoptOptions));
      const misspelt = { ...right, markr: 'x' } as AdoptOptions;
      const error = await thrownAs(TypeError, adoptMigrator(db, misspelt));
      assert.match(error.message, /'markr': its fields are marker, .*version, migrations/);
      assert.deepEqual(statements, []);
    },
  },
];

function migrator(
  db: Db,
  migrations: Migrations,
  more: Partial<MigratorProps> = {},
): AnyMigrator {
  return new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve(migrations as never) },
    ...more,
  });
}

function never(name: string): Migrations[string] {
  return { up: () => assert.fail(`migration ${name} was run again`) };
}

function creating(table: string): Migrations[string] {
  return { up: (db) => createTable(db, table) };
}

/** Migrator has nothing to do for the first migration, then runs the second, once. */
async function assertHandedOver(
  t: LifeContext,
  open: (migrations: Migrations) => AnyMigrator,
  db: Db = t.connect(),
): Promise<void> {
  const first = { '0001_initial': never('0001_initial') };
  const nothing = await open(first).migrateToLatest();
  assert.deepEqual([nothing.error, nothing.results], [undefined, []]);
  const [initial] = await open(first).getMigrations();
  assert.ok(initial!.executedAt instanceof Date);
  const both = { ...first, '0002_next': creating('made_next') };
  for (const expected of [['0002_next'], []]) {
    const { error, results } = await open(both).migrateToLatest();
    assert.equal(error, undefined);
    assert.deepEqual(results?.map(({ migrationName }) => migrationName), expected);
    assert.ok(results?.every(({ status }) => status === 'Success'));
  }
  await db.selectFrom('made_next').selectAll().execute();
}

/** The executed migrations with their times. */
async function executed(db: Db): Promise<Record<string, string>> {
  const rows = await db.selectFrom('kysely_migration').selectAll().orderBy('name').execute();
  return Object.fromEntries(rows.map(({ name, timestamp }) => [name, timestamp]));
}

/** All that Kysely can see of a table, but for its name. */
async function columnsOf(db: Db, table: string): Promise<unknown> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  const found = tables.find(({ name }) => name === table);
  assert.ok(found, table);
  return found.columns.map((column) => ({ ...column }));
}

/** Runs `act` in a process whose clock is that much ahead. */
async function ahead(byMs: number, act: () => Promise<unknown>): Promise<void> {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args: []) {
      super(...(args.length > 0 ? args : [Real.now() + byMs]) as []);
    }
    static override now(): number {
      return Real.now() + byMs;
    }
  } as DateConstructor;
  try {
    await act();
  } finally {
    globalThis.Date = Real;
  }
}
