/**
 * Drift: a ddl that was edited without a new version.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { DriftError, NotRecordableError, planSchema } from '../../../mod.ts';
import { type CaseDdl, createOldLedger, createTable, type Db, Log, thrownAs } from '../support.ts';
import {
  life,
  type LifeCase,
  type LifeConfig,
  type LifeContext,
  lineOf,
  listening,
  rows,
} from './support.ts';

/** The same schema with other white space, comments and parameters each time. */
function seeded(text: string, seed: string): CaseDdl {
  return async (db) => {
    await sql.raw(text).execute(db);
    await db.insertInto('seeds').values({ id: crypto.randomUUID(), at: seed }).execute();
  };
}

const TEXTS = [
  'create table seeds (id text primary key, at text)',
  'create table seeds (\n  id text primary key,\n  at text\n)',
  'create table seeds (\r\n\tid text primary key,\r\n\tat text\r\n)\r\n',
  'create table seeds (id text primary key, at text);',
  '-- the first table\ncreate table seeds (id text primary key, at text) -- of many',
  '/* a -- b */ create table seeds (id text/* ; */ primary key, at text)',
];

const EDITS = [
  'create table seeds (id text primary key, at text, more text)',
  'create table seeds (id text primary key, at varchar)',
  'create table "seeds" (id text primary key, at text)',
  'create table seeds (id text primary key, at text); create index one on seeds (at)',
];

/** The cases of this file. */
export const cases: readonly LifeCase[] = [
  {
    name: 'a ddl that is the same but for white space, comments and parameters is no drift',
    each: true,
    async run(t) {
      await life(t, drifting(seeded(TEXTS[0]!, 'first')));
      for (const [n, text] of TEXTS.entries()) {
        for (const onDrift of ['ignore', 'warn', 'error'] as const) {
          const log = new Log();
          const { statements, ...caller } = listening(t);
          const config = { ...drifting(seeded(text, `${n}`)), onDrift, logger: log };
          assert.equal((await life(t, config, caller)).outcome, 'already-installed', text);
          assert.equal(statements.length, 1, statements.join('\n'));
          assert.deepEqual(log.errors, []);
        }
      }
    },
  },
  {
    name: 'a ddl that was edited is ignored, warned of or refused, at no further statement',
    each: true,
    async run(t) {
      await life(t, drifting(seeded(TEXTS[0]!, 'first')));
      const [stored] = await rows(t.connect());
      for (const text of EDITS) {
        for (const onDrift of ['ignore', 'warn', 'error'] as const) {
          const log = new Log();
          const { statements, ...caller } = listening(t);
          const config = { ...drifting(seeded(text, 'first')), onDrift, logger: log };
          const call = life(t, config, caller);
          if (onDrift === 'ignore') assert.equal((await call).outcome, 'already-installed');
          else if (onDrift === 'warn') {
            assert.equal((await call).outcome, 'already-installed');
            assert.match(
              log.errors.join(),
              /version "0001" in "migrations": warning: it is installed, but .*checksum/,
            );
          } else {
            const error = await thrownAs(DriftError, call);
            assert.equal(error.code, 'DRIFT');
            assert.equal(error.installed, stored!.checksum);
            assert.equal(error.current, (await planSchema(caller.db, seeded(text, 'x'))).checksum);
            assert.deepEqual([error.version, error.marker], ['0001', 'migrations']);
            const checksums = [error.installed, error.current].map((one) => one.slice(0, 12));
            for (const part of [...checksums, '0001', "'version'"]) {
              assert.ok(error.message.includes(part), error.message);
            }
          }
          assert.equal(log.errors.length, onDrift === 'warn' ? 1 : 0);
          assert.equal(statements.length, 1, statements.join('\n'));
        }
      }
    },
  },
  {
    name: 'without onDrift an edited ddl is not even recorded',
    each: true,
    async run(t) {
      await life(t, drifting(seeded(TEXTS[0]!, 'first')));
      const ddl: CaseDdl = (_) => assert.fail('the ddl was run');
      assert.equal((await life(t, { version: '0001', ddl })).outcome, 'already-installed');
    },
  },
  {
    name: 'rows from before the checksum never count as drift',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), '0001');
      const strict = drifting((db) => createTable(db, 'edited'));
      assert.equal((await life(t, strict)).outcome, 'already-installed');
      // The same in a ledger that has the column, with nothing in it.
      await life(t, { version: '0002' });
      await t.connect().updateTable('migrations').set({ checksum: null }).execute();
      assert.equal((await life(t, strict)).outcome, 'already-installed');
      assert.equal((await life(t, { ...strict, version: '0002' })).outcome, 'already-installed');
    },
  },
  {
    name: 'the checksum that is stored is that of the plan, whatever the strategy',
    each: true,
    async run(t) {
      const db = t.connect();
      const ddl: CaseDdl = async (db) => {
        await db.schema.createTable('parents')
          .addColumn('id', 'integer', (column) => column.primaryKey()).execute();
        await sql.raw(`create table "odd; name" (id integer, note text default '-- no; comment')`)
          .execute(db);
        await db.insertInto('parents').values({ id: 1 }).execute();
        await db.updateTable('parents').set({ id: Math.floor(Math.random() * 1e6) }).execute();
      };
      const { checksum } = await planSchema(db, ddl);
      assert.match(checksum, /^[0-9a-f]{64}$/);
      await life(t, { version: '0001', ddl, onDrift: 'error' });
      // Without onDrift it is known where the ddl was seen: a lease lets it run unseen.
      const { version } = await life(t, { version: '0002', ddl: renamed(ddl) });
      const plan = await planSchema(db, renamed(ddl));
      const stored = await rows(t.connect());
      assert.equal(stored[0]!.checksum, checksum);
      assert.equal(stored[1]!.name, version);
      assert.equal(stored[1]!.checksum, t.strategy === 'lease' ? null : plan.checksum);
    },
  },
  {
    name: 'an upgrade stores the checksum of the canonical ddl, as a fresh install does',
    each: true,
    async run(t) {
      const target = { ...lineOf('0001', '0002'), onDrift: 'error' as const };
      await life(t, { ...target, marker: 'migrations_fresh' });
      await life(t, { ...lineOf('0001'), onDrift: 'error' });
      assert.equal((await life(t, target)).outcome, 'upgraded');
      const fresh = await rows(t.connect(), 'migrations_fresh');
      const upgraded = await rows(t.connect());
      assert.ok(upgraded[1]!.checksum);
      assert.equal(upgraded[1]!.checksum, fresh[1]!.checksum);
      assert.equal(fresh[0]!.checksum, null);
      assert.equal((await life(t, target)).outcome, 'already-installed');
      const ddl: CaseDdl = (db) => createTable(db, 'edited');
      await thrownAs(DriftError, life(t, { ...target, ddl }));
      // A version that a fresh install includes was never installed by its own ddl.
      const old = { ...lineOf('0001'), onDrift: 'error' as const, marker: 'migrations_fresh' };
      assert.equal((await life(t, { ...old, ddl })).outcome, 'already-installed');
    },
  },
  {
    name: 'an upgrade without onDrift stores no checksum, so that nothing is taken for drift',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await life(t, lineOf('0001', '0002'));
      assert.equal((await rows(t.connect()))[1]!.checksum, null);
      const strict = { ...lineOf('0001', '0002'), onDrift: 'error' as const };
      assert.equal((await life(t, strict)).outcome, 'already-installed');
    },
  },
  {
    name: 'a ddl that cannot be recorded is refused with onDrift, and nothing is sent',
    each: true,
    async run(t) {
      for (const onDrift of ['warn', 'error'] as const) {
        const { statements, ...caller } = listening(t);
        const reading: CaseDdl = async (db) => {
          await createTable(db, 'one');
          await db.selectFrom('one').selectAll().execute();
        };
        const config = { ...drifting(reading), onDrift };
        const error = await thrownAs(NotRecordableError, life(t, config, caller));
        assert.match(error.sql ?? '', /^select /);
        assert.deepEqual(statements, []);
        const silent: CaseDdl = (_) => {};
        await thrownAs(NotRecordableError, life(t, { ...config, ddl: silent }, caller));
        assert.deepEqual(statements, []);
      }
    },
  },
  {
    name: 'what a ddl reads as it goes is no part of its checksum',
    needs: { transactions: true },
    async run(t) {
      // Installed live, then shipped as the plan that a shadow makes of it: what it wrote, no reads.
      const ddl: CaseDdl = async (db) => {
        await createTable(db, 'one');
        const { rows } = await sql`select * from one`.execute(db);
        if (rows.length === 0) await createTable(db, 'two');
      };
      await life(t, { version: '0001', ddl, strategy: 'transaction' });
      const config = { version: '0001', onDrift: 'error' as const };
      const plan = await planSchema(t.connect(), async (db: Db) => {
        await createTable(db, 'one');
        await createTable(db, 'two');
      });
      assert.equal((await life(t, { ...config, ddl: plan })).outcome, 'already-installed');
    },
  },
  {
    name: 'plans are compared like functions',
    each: true,
    async run(t) {
      const db = t.connect();
      const ddl: CaseDdl = (db) => createTable(db, 'one');
      const plan = await planSchema(db, ddl);
      await life(t, { version: '0001', ddl: plan });
      await assertStored(t, plan.checksum);
      assert.equal((await life(t, drifting(ddl))).outcome, 'already-installed');
      const other = await planSchema(db, (db: Db) => createTable(db, 'other'));
      if (t.strategy === 'lease') return;
      await thrownAs(DriftError, life(t, { ...drifting(ddl), ddl: other }));
    },
  },
];

/** A configuration that does not put up with drift. */
function drifting(ddl: CaseDdl): LifeConfig {
  return { version: '0001', ddl, onDrift: 'error' };
}

/** The same statements for other tables. */
function renamed(ddl: CaseDdl): CaseDdl {
  return async (db) => {
    await sql`drop table ${sql.table('odd; name')}`.execute(db);
    await sql`drop table parents`.execute(db);
    await ddl(db);
  };
}

async function assertStored(t: LifeContext, checksum: string): Promise<void> {
  const [stored] = await rows(t.connect());
  assert.equal(stored!.checksum, t.strategy === 'lease' ? null : checksum);
}
