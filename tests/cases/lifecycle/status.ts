/**
 * Looking at a ledger.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { CamelCasePlugin, sql } from 'kysely';

import {
  adoptMigrator,
  ForeignTableError,
  type LedgerEntry,
  schemaStatus,
  type StatusOptions,
} from '../../../mod.ts';
import {
  createOldLedger,
  createTable,
  type Db,
  gate,
  sleep,
  thrownAs,
  thrownBy,
  within,
} from '../support.ts';
import { type Caller, claim, life, type LifeCase, lineOf, listening, rows } from './support.ts';

/** How a session of an engine is made to refuse every write, on a single connection. */
const READ_ONLY: Readonly<Record<string, string>> = {
  'sqlite': 'pragma query_only = on',
  'better-sqlite3': 'pragma query_only = on',
  'libsql-file': 'pragma query_only = on',
  'postgres': 'set default_transaction_read_only = on',
  'postgres-js': 'set default_transaction_read_only = on',
  'pglite': 'set default_transaction_read_only = on',
};

/** The cases of this file. */
export const cases: readonly LifeCase[] = [
  {
    name: 'a field that is undefined is as one that is absent',
    async run(t) {
      await life(t, { version: '0001' });
      const [entry] = await schemaStatus(t.connect(), { marker: undefined, batch: undefined });
      assert.equal(entry?.version, '0001');
    },
  },
  {
    name: 'a database without a ledger has an empty list, at one statement',
    each: true,
    async run(t) {
      const { statements, ...caller } = listening(t);
      assert.deepEqual(await status(caller), []);
      assert.deepEqual(await status(caller, { marker: 'elsewhere' }), []);
      assert.equal(statements.length, 2, statements.join('\n'));
      assert.deepEqual(await t.tables(), []);
    },
  },
  {
    name: 'the entries of a line say what is known of each version',
    each: true,
    async run(t) {
      const before = Date.now();
      await life(t, lineOf('0001'));
      await sleep(5);
      await life(t, { ...lineOf('0001', '0002', '0003') });
      const { statements, ...caller } = listening(t);
      const entries = await status(caller);
      assert.equal(statements.length, 1, statements.join('\n'));
      assert.match(statements[0]!, /^select /);
      assert.deepEqual(
        entries.map((
          { version, state, previous, leaseLeftMs },
        ) => [version, state, previous, leaseLeftMs]),
        [
          ['0001', 'installed', undefined, undefined],
          ['0002', 'installed', '0001', undefined],
          ['0003', 'installed', '0002', undefined],
        ],
      );
      const stored = await rows(t.connect());
      for (const [n, { owner, since, checksum }] of entries.entries()) {
        assert.equal(owner, stored[n]!.owner);
        assert.ok(since instanceof Date);
        // By the database's clock, which is on this machine.
        assert.ok(since.getTime() > before - 5_000 && since.getTime() < Date.now() + 5_000);
        assert.equal(checksum, stored[n]!.checksum ?? undefined);
      }
      if (t.strategy !== 'lease') assert.match(entries[0]!.checksum!, /^[0-9a-f]{64}$/);
      const order = entries.map(({ since }) => since!.getTime());
      assert.deepEqual(order, order.toSorted((a, b) => a - b));
    },
  },
  {
    name: 'entries are in the order of their time, whatever that of their rows is',
    each: true,
    async run(t) {
      for (const version of ['0001', '0002', '0003']) await life(t, { version });
      const earlier = sql`update migrations set since = since - 86400000 where name = '0003'`;
      await earlier.execute(t.connect());
      const versions = (await status(t.caller())).map(({ version }) => version);
      assert.deepEqual(versions, ['0003', '0001', '0002']);
    },
  },
  {
    name: 'what a fresh install records of a line is in the order of the line',
    each: true,
    async run(t) {
      await life(t, lineOf('v8', 'v9', 'v10'));
      const versions = (await status(t.caller())).map(({ version }) => version);
      assert.deepEqual(versions, ['v8', 'v9', 'v10']);
    },
  },
  {
    name: 'a ledger of release 1.0.0 is read as it is',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), '0001', '0002');
      const { statements, ...caller } = listening(t);
      const entries = await status(caller);
      const unknown = {
        state: 'installed',
        since: undefined,
        owner: undefined,
        leaseLeftMs: undefined,
        previous: undefined,
        checksum: undefined,
      } as const;
      const sorted = entries.toSorted((a, b) => a.version < b.version ? -1 : 1);
      assert.deepEqual(sorted, [{ version: '0001', ...unknown }, { version: '0002', ...unknown }]);
      assert.equal(statements.length, 1, statements.join('\n'));
      // Of the two kinds of rows, the old ones come first.
      await life(t, { version: '0000' });
      const mixed = await status(t.caller());
      assert.equal(mixed.length, 3);
      assert.equal(mixed[2]!.version, '0000');
      assert.equal(mixed[0]!.since, undefined);
    },
  },
  {
    name: 'a claim says for how long it still holds',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const db = t.connect();
      await claim(db, '0002', '0001', 60_000);
      await claim(db, '0003', '0002', -60_000);
      await claim(db, '0004', '0003', 10 * 365 * 86_400_000);
      const entries = new Map((await status(t.caller())).map((entry) => [entry.version, entry]));
      const [live, dead] = [entries.get('0002')!, entries.get('0003')!];
      assert.deepEqual([live.state, dead.state], ['installing', 'installing']);
      assert.ok(live.leaseLeftMs! > 30_000 && live.leaseLeftMs! <= 65_000, `${live.leaseLeftMs}`);
      assert.equal(dead.leaseLeftMs, 0);
      // Of a clock that was wrong: it holds nobody up.
      assert.equal(entries.get('0004')!.leaseLeftMs, 0);
      assert.deepEqual([live.owner, dead.owner], ['somebody', 'somebody']);
      assert.equal(entries.get('0001')!.leaseLeftMs, undefined);
    },
  },
  {
    name: 'versions that lead to each other in a ring are listed all the same',
    async run(t) {
      await life(t, lineOf('0001', '0002', '0003'));
      const db = t.connect();
      await sql`update migrations set previous = '0003' where name = '0001'`.execute(db);
      const entries = await status(t.caller());
      assert.deepEqual(entries.map(({ version }) => version).sort(), ['0001', '0002', '0003']);
    },
  },
  {
    name: 'an install under a lease can be watched',
    async run(t) {
      const [inside, held] = [gate(), gate()];
      const installing = life(t, {
        version: '0001',
        strategy: 'lease',
        leaseMs: 5_000,
        ddl: async (db: Db) => {
          await createTable(db, 'one');
          inside.open();
          await held.opened;
        },
      });
      await inside.opened;
      const [entry] = await status(t.caller());
      assert.equal(entry!.state, 'installing');
      assert.ok(entry!.leaseLeftMs! > 0 && entry!.leaseLeftMs! <= 5_000, `${entry!.leaseLeftMs}`);
      held.open();
      await within(10_000, installing);
      const [after] = await status(t.caller());
      assert.deepEqual([after!.state, after!.leaseLeftMs], ['installed', undefined]);
      assert.equal(after!.owner, entry!.owner);
    },
  },
  {
    name: 'the right to read is enough',
    async run(t) {
      const enforce = READ_ONLY[t.engine];
      await life(t, lineOf('0001'));
      const statements: string[] = [];
      const db = t.connect({ connections: 1, onStatement: (text) => statements.push(text) });
      if (enforce) {
        await sql.raw(enforce).execute(db);
        await thrownBy(sql`create table never (id integer)`.execute(db));
      }
      statements.length = 0;
      const entries = await schemaStatus(db);
      assert.deepEqual(await schemaStatus(db, { marker: 'absent' }), []);
      // PGlite has one session for all.
      if (t.engine === 'pglite') await sql`set default_transaction_read_only = off`.execute(db);
      assert.deepEqual(entries.map(({ version }) => version), ['0001']);
      const reads = statements.slice(0, 2).map((text) => text.startsWith('select '));
      assert.deepEqual(reads, [true, true]);
    },
  },
  {
    name: 'a role of Postgres that may only select is enough',
    needs: { dialect: 'postgres' },
    async run(t) {
      await life(t, lineOf('0001'));
      const db = t.connect({ connections: 1 });
      const role = `reader_${crypto.randomUUID().slice(0, 8)}`;
      await sql.raw(`create role ${role}`).execute(db);
      try {
        await sql.raw(`grant select on migrations to ${role}`).execute(db);
        await sql.raw(`set role ${role}`).execute(db);
        await thrownBy(sql`delete from migrations`.execute(db));
        const entries = await schemaStatus(db);
        assert.deepEqual(entries.map(({ version }) => version), ['0001']);
      } finally {
        await sql`reset role`.execute(db);
        await sql.raw(`drop owned by ${role}`).execute(db);
        await sql.raw(`drop role ${role}`).execute(db);
      }
    },
  },
  {
    name: 'marker, schema and naming plugins are those of the install',
    each: true,
    async run(t) {
      const plug = (caller: Caller) => ({
        ...caller,
        db: caller.db.withPlugin(new CamelCasePlugin()),
      });
      await life(t, { ...lineOf('0001'), marker: 'migrations_A' }, plug(t.caller()));
      const entries = await status(plug(t.caller()), { marker: 'migrations_A' });
      assert.deepEqual(entries.map(({ version }) => version), ['0001']);
      assert.deepEqual(await status(t.caller()), []);
      if (t.dialect === 'postgres') {
        await life(t, { ...lineOf('0002'), schema: 'tenant' });
        const tenant = await status(t.caller(), { schema: 'tenant' });
        assert.deepEqual(tenant.map(({ version }) => version), ['0002']);
        assert.deepEqual(await status(t.caller(), { schema: 'nobody' }), []);
      }
    },
  },
  {
    name: 'the table of another tool is no ledger, to look at as little as to hand over',
    async run(t) {
      const { db } = t.caller();
      await db.schema.createTable('migrations')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('timestamp', 'bigint', (column) => column.notNull())
        .addColumn('name', 'varchar(255)', (column) => column.notNull()).execute();
      await db.insertInto('migrations').values({ id: 1, timestamp: 1, name: '0001' }).execute();
      const error = await thrownAs(ForeignTableError, schemaStatus(db));
      assert.match(error.message, /^Cannot read "migrations": the table belongs to another tool/);
      const options = { version: '0001', migrations: ['0001'] };
      await thrownAs(ForeignTableError, adoptMigrator(db, options));
    },
  },
  {
    name: 'the table of another tool is known by its rows, with a name or without',
    async run(t) {
      const { db } = t.caller();
      await db.schema.createTable('migrations')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('name', 'text').execute();
      await db.schema.createTable('others')
        .addColumn('id', 'integer', (column) => column.primaryKey()).execute();
      for (const marker of ['migrations', 'others']) {
        assert.deepEqual(await schemaStatus(db, { marker }), []);
        await db.insertInto(marker).values({ id: 1 }).execute();
        await thrownAs(ForeignTableError, schemaStatus(db, { marker }));
      }
    },
  },
  {
    name: 'options that are wrong are refused before any statement',
    async run(t) {
      const { statements, db } = listening(t);
      const wrong: readonly [unknown, typeof TypeError][] = [
        [{ marker: 'a b' }, RangeError],
        [{ marker: 1 }, TypeError],
        [{ dialect: 'mysql' }, RangeError],
        [{ batch: {} }, TypeError],
        [{ version: '0001' }, TypeError],
        [null, TypeError],
      ];
      for (const [options, type] of wrong) {
        await thrownAs(type, schemaStatus(db, options as StatusOptions));
      }
      if (t.dialect === 'sqlite') await thrownAs(RangeError, schemaStatus(db, { schema: 'main' }));
      await thrownAs(TypeError, schemaStatus({} as Db));
      assert.deepEqual(statements, []);
    },
  },
];

/** The status as a caller with the strategy of the case asks for it. */
function status({ db, batch }: Caller, options: StatusOptions = {}): Promise<LedgerEntry[]> {
  return schemaStatus(db, { ...options, ...(batch && { batch }) });
}
