/**
 * Ledgers of older releases, tables of other tools, and names of every kind.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { CamelCasePlugin, sql } from 'kysely';

import { type Dialect, ForeignTableError } from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseContext,
  createOldLedger,
  createTable,
  type Db,
  install,
  installAgain,
  ledger,
  present,
  rowOf,
  sleep,
  thrownAs,
  VERSION,
  watched,
  within,
} from './support.ts';

/** A table as another tool makes it, with one row. */
interface ForeignTable {
  readonly tool: string;
  /** The columns that tell. */
  readonly telling: readonly string[];
  create(db: Db, t: CaseContext, firstName: string): Promise<unknown>;
}

const FOREIGN: readonly ForeignTable[] = [
  {
    tool: 'TypeORM',
    telling: ['id'],
    async create(db, t, name) {
      await db.schema.createTable('migrations')
        .addColumn('id', serial(t), (column) => column.primaryKey())
        .addColumn('timestamp', 'bigint', (column) => column.notNull())
        .addColumn('name', 'varchar(255)', (column) => column.notNull()).execute();
      await db.insertInto('migrations').values({ timestamp: 1690000000, name }).execute();
    },
  },
  {
    tool: 'Knex',
    telling: ['id'],
    async create(db, t, name) {
      await db.schema.createTable('migrations')
        .addColumn('id', serial(t), (column) => column.primaryKey())
        .addColumn('name', 'varchar(255)')
        .addColumn('batch', 'integer')
        .addColumn('migration_time', 'timestamp').execute();
      await db.insertInto('migrations').values({ name, batch: 1 }).execute();
    },
  },
  {
    tool: 'Laravel',
    telling: ['id'],
    async create(db, t, migration) {
      await db.schema.createTable('migrations')
        .addColumn('id', serial(t), (column) => column.primaryKey())
        .addColumn('migration', 'varchar(255)', (column) => column.notNull())
        .addColumn('batch', 'integer', (column) => column.notNull()).execute();
      await db.insertInto('migrations').values({ migration, batch: 1 }).execute();
    },
  },
  {
    tool: 'Kysely’s own Migrator',
    telling: ['timestamp'],
    async create(db, _, name) {
      await db.schema.createTable('migrations')
        .addColumn('name', 'varchar(255)', (column) => column.notNull().primaryKey())
        .addColumn('timestamp', 'varchar(255)', (column) => column.notNull()).execute();
      await db.insertInto('migrations').values({ name, timestamp: '2026-01-01' }).execute();
    },
  },
  {
    tool: 'nobody in particular, without a key,',
    telling: [],
    async create(db, _, name) {
      await db.schema.createTable('migrations').addColumn('name', 'text').execute();
      await db.insertInto('migrations').values({ name }).execute();
    },
  },
  {
    tool: 'somebody who has states, too,',
    telling: ['id'],
    async create(db, t, name) {
      await db.schema.createTable('migrations')
        .addColumn('id', serial(t), (column) => column.primaryKey())
        .addColumn('name', 'varchar(255)')
        .addColumn('state', 'varchar(255)').execute();
      await db.insertInto('migrations').values({ name, state: 'installed' }).execute();
    },
  },
  {
    tool: 'somebody with a key of two columns',
    telling: ['name', 'app'],
    async create(db, _, name) {
      await db.schema.createTable('migrations')
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('app', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('of_two', ['name', 'app']).execute();
      await db.insertInto('migrations').values({ name, app: 'a' }).execute();
    },
  },
];

const MARKERS = ['order', 'select', 'table', 'user', '_', 'Schema_Version', 'a'.repeat(63)];

const VERSIONS = [
  `it's "quoted" \`three\` ways`,
  `'); drop table migrations; --`,
  'a\\b%_?$1:name@p1',
  ' padded ',
  'line\nbreak\ttab',
  '🚀 initial 初期',
  'caf\u00e9',
  'cafe\u0301',
  'A',
  'a',
  '0',
  'null',
  'x'.repeat(255),
];

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a version in a ledger of release 1.0.0 is installed: one statement, nothing altered',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), VERSION);
      const { db, statements } = watched(t);
      const result = await bootstrap(t, db, () => assert.fail('run'));
      assert.equal(result.outcome, 'already-installed');
      assert.equal(statements.length, 1, statements.join('\n'));
      assert.deepEqual(await columnsOf(t.connect(), t.dialect), ['name']);
    },
  },
  {
    name: 'another version in such a ledger is installed, and what was there still counts',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), '0000_old');
      assert.equal((await bootstrap(t, t.connect())).outcome, 'installed');
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
      const { db, statements } = watched(t);
      const old = await bootstrap(t, db, () => assert.fail('run'), { version: '0000_old' });
      assert.equal(old.outcome, 'already-installed');
      assert.equal(statements.length, 1);
    },
  },
  {
    name: 'of many callers at once on such a ledger one installs',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), '0000_old');
      const results = await Promise.all(Array.from({ length: 8 }, async () => {
        const db = t.connect();
        const result = await bootstrap(t, db);
        await assertUsable(db);
        return result;
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
      assert.equal((await ledger(t.connect())).length, 2);
    },
  },
  {
    name: 'such a ledger gets its columns even where the database is busy meanwhile',
    each: true,
    async run(t) {
      for (let busy = 1; busy <= 5; busy++) {
        await createOldLedger(t.connect(), '0000_old');
        let sent = 0;
        const db = faulty(t.connect(), {
          query(text, send) {
            if (/alter table|pragma_table_info|pg_attribute/.test(text) && ++sent === busy) {
              throw new Error('database is locked');
            }
            return send();
          },
        });
        const result = await bootstrap(t, db, installAgain);
        assert.equal(result.outcome, 'installed');
        assert.ok(sent >= busy, `${sent} statements`);
        await t.connect().schema.dropTable('migrations').execute();
      }
    },
  },
  {
    name: 'such a ledger is known for one by a driver that returns booleans as text',
    needs: { dialect: 'postgres' },
    async run(t) {
      await createOldLedger(t.connect(), '0000_old');
      const asText = (value: unknown) => typeof value === 'boolean' ? `${value}`[0] : value;
      const db = faulty(t.connect(), {
        async query(_, send) {
          const rows = (await send()).rows.map((row) =>
            Object.fromEntries(
              Object.entries(row as object).map(([name, one]) => [name, asText(one)]),
            )
          );
          return { rows };
        },
      });
      assert.equal((await bootstrap(t, db)).outcome, 'installed');
      await assertUsable(t.connect());
    },
  },
  ...FOREIGN.map(untouched),
  // One without a key and without further columns cannot be told from a ledger by one read.
  ...FOREIGN.filter(({ telling }) => telling.length > 0).map(untouchedWithOurName),
  {
    name: 'any marker works: reserved words, capitals, 63 characters',
    each: true,
    async run(t) {
      for (const marker of MARKERS) {
        const first = await bootstrap(t, t.connect(), installAgain, { marker });
        assert.equal(first.outcome, 'installed', marker);
        const { db, statements } = watched(t);
        const second = await bootstrap(t, db, () => assert.fail('run'), { marker });
        assert.equal(second.outcome, 'already-installed', marker);
        assert.equal(statements.length, 1, marker);
      }
    },
  },
  {
    name: 'capitals in a marker make no difference',
    each: true,
    async run(t) {
      await bootstrap(t, t.connect(), undefined, { marker: 'AppLedger' });
      const again = await bootstrap(t, t.connect(), () => assert.fail('run'), {
        marker: 'appledger',
      });
      assert.equal(again.outcome, 'already-installed');
    },
  },
  {
    name: 'versions are text like any other, and compared as such',
    each: true,
    async run(t) {
      const db = t.connect();
      for (const version of VERSIONS) {
        const result = await bootstrap(t, db, installAgain, { version });
        assert.equal(result.outcome, 'installed', version);
        assert.equal(result.version, version);
      }
      assert.deepEqual((await ledger(db)).map(({ name }) => name).sort(), VERSIONS.toSorted());
      for (const version of VERSIONS) {
        const again = await bootstrap(t, t.connect(), () => assert.fail(version), { version });
        assert.equal(again.outcome, 'already-installed', version);
      }
    },
  },
  {
    name: 'a naming plugin on the instance holds for the ledger and for the ddl',
    each: true,
    async run(t) {
      const variants = [
        { marker: 'migrations', options: {} },
        { marker: 'schemaVersions', options: {} },
        { marker: 'AppSchema2Versions', options: { underscoreBeforeDigits: true } },
        { marker: 'nested_versions', options: { maintainNestedObjectKeys: true } },
      ];
      for (const [n, { marker, options }] of variants.entries()) {
        const plugin = new CamelCasePlugin(options);
        const table = `userAccounts${'ABCD'[n]}`;
        const ddl = (db: Db) =>
          db.schema.createTable(table).addColumn('firstName', 'text').execute();
        const first = await bootstrap(t, t.connect().withPlugin(plugin), ddl, { marker });
        assert.equal(first.outcome, 'installed', marker);
        const { db, statements } = watched(t);
        const second = await bootstrap(t, db.withPlugin(plugin), ddl, { marker });
        assert.equal(second.outcome, 'already-installed', marker);
        assert.equal(statements.length, 1, marker);
        await db.selectFrom(`user_accounts_${'abcd'[n]}`).select('first_name').execute();
      }
    },
  },
  {
    name: 'a table that has some of the columns already gets the others, in whatever order',
    each: true,
    async run(t) {
      const columns = ['state', 'owner', 'previous', 'checksum'];
      for (const present of [...columns.map((one) => [one]), ['state', 'checksum'], columns]) {
        await sql`drop table if exists migrations`.execute(t.connect());
        const further = present.map((column) => `, ${column} text`).join('');
        await sql.raw(`create table migrations (name text not null primary key${further})`)
          .execute(t.connect());
        const result = await within(10_000, bootstrap(t, t.connect(), installAgain));
        assert.equal(result.outcome, 'installed', present.join());
      }
    },
  },
  {
    name: 'whoever dies while it gives such a ledger its columns leaves no way to two branches',
    each: true,
    async run(t) {
      const alterations = /alter table|create unique index/i;
      for (let dies = 1, sent = Infinity; sent >= dies - 1; dies++) {
        const db = t.connect();
        await sql`drop table if exists migrations`.execute(db);
        await createOldLedger(db, VERSION);
        const lead = (db: Db, version: string) =>
          bootstrap(t, db, (db) => createTable(db, `whole_${version}`), {
            version,
            upgrades: [{ from: VERSION, ddl: (db) => createTable(db, `step_${version}`) }],
          });
        sent = 0;
        const dying = faulty(t.connect(), {
          query: (text, send) =>
            alterations.test(text) && ++sent >= dies ? Promise.reject(new Error('died')) : send(),
        });
        await lead(dying, `dying_${dies}`).catch(() => {});
        const ways = [lead(t.connect(), `left_${dies}`), lead(t.connect(), `right_${dies}`)];
        await Promise.allSettled(ways);
        assert.ok(dies > 6 || sent >= dies, `only ${sent} statements`);
        const { rows } = await sql<{ n: number }>`select count(*) as n from migrations
          where previous = ${VERSION}`.execute(db);
        assert.equal(Number(rows[0]!.n), 1, `${dies}`);
      }
    },
  },
  {
    name: 'such a ledger in a schema of SQLite gets its columns there',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const db = t.connect().withSchema('main');
      await createOldLedger(t.connect(), VERSION);
      const next = await bootstrap(t, db, (db) => createTable(db, 'next'), { version: '0002' });
      assert.equal(next.outcome, 'installed');
    },
  },
  {
    name: 'a naming plugin and a ledger of release 1.0.0, or another tool’s table',
    each: true,
    async run(t) {
      const plugged = () => t.connect().withPlugin(new CamelCasePlugin());
      await createOldLedger(t.connect(), '0000_old');
      assert.equal((await bootstrap(t, plugged())).outcome, 'installed');
      await t.connect().schema.dropTable('migrations').execute();
      await FOREIGN[1]!.create(t.connect(), t, 'first');
      await thrownAs(ForeignTableError, bootstrap(t, plugged(), install, { version: '0002' }));
    },
  },
  {
    name: 'an instance that has a schema already keeps it, for ledger and ddl',
    each: true,
    async run(t) {
      const schema = t.dialect === 'postgres' ? 'tenant' : 'main';
      if (t.dialect === 'postgres') await t.connect().schema.createSchema(schema).execute();
      const first = await bootstrap(t, t.connect().withSchema(schema));
      assert.equal(first.outcome, 'installed');
      const { db, statements } = watched(t);
      const second = await bootstrap(t, db.withSchema(schema), () => assert.fail('run'));
      assert.equal(second.outcome, 'already-installed');
      assert.equal(statements.length, 1);
      for (const table of ['migrations', 't001']) {
        await sql`select * from ${sql.table(`${schema}.${table}`)}`.execute(db);
      }
      if (t.dialect === 'postgres') assert.deepEqual(await present(db), []);
    },
  },
];

function untouched(table: ForeignTable): Case {
  return {
    name: `a table of ${table.tool} is refused and stays as it is`,
    each: true,
    async run(t) {
      await assertRefused(t, table, 'Init1690000000000');
    },
  };
}

function untouchedWithOurName(table: ForeignTable): Case {
  return {
    name: `a table of ${table.tool} is refused even if a row of it has the version’s name`,
    each: true,
    async run(t) {
      await assertRefused(t, table, VERSION);
    },
  };
}

async function assertRefused(t: CaseContext, table: ForeignTable, name: string): Promise<void> {
  const db = t.connect();
  await table.create(db, t, name);
  const columns = await columnsOf(db, t.dialect);
  const rows = await db.selectFrom('migrations').selectAll().execute();
  // That of a batch is recorded before it is found out that it cannot be sent.
  const ddl = t.strategy === 'batch' ? install : () => assert.fail('run');
  for (const assumeFresh of [false, t.strategy === 'batch']) {
    const call = bootstrap(t, t.connect(), ddl, { assumeFresh });
    const error = await thrownAs(ForeignTableError, call);
    assert.equal(error.code, 'FOREIGN_TABLE');
    for (const part of ['migrations', ...table.telling]) {
      assert.ok(error.message.includes(part), part);
    }
  }
  await sleep(0);
  assert.deepEqual(await present(db), []);
  assert.deepEqual(await columnsOf(db, t.dialect), columns);
  assert.deepEqual(await db.selectFrom('migrations').selectAll().execute(), rows);
}

/** The columns of the table, by a road that every engine has: D1 forbids Kysely's introspection. */
async function columnsOf(db: Db, dialect: Dialect): Promise<string[]> {
  const { rows } = dialect === 'sqlite'
    ? await sql<{ name: string }>`select name from pragma_table_info('migrations')`.execute(db)
    : await sql<{ name: string }>`select column_name as name from information_schema.columns
      where table_name = 'migrations' order by ordinal_position`.execute(db);
  return rows.map(({ name }) => name);
}

function serial(t: CaseContext): 'serial' | 'integer' {
  return t.dialect === 'postgres' ? 'serial' : 'integer';
}
