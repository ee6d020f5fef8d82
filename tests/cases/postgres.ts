/**
 * What only Postgres has: schemas, session settings, roles, and statements outside transactions.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { CamelCasePlugin, sql } from 'kysely';

import {
  type BootstrapResult,
  ForeignTableError,
  NoUpgradePathError,
  StatementRefusedError,
  WaitTimeoutError,
} from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  type CaseContext,
  createOldLedger,
  createTable,
  type Db,
  gate,
  holdClaim,
  install,
  installAgain,
  LOCK_LEDGER,
  Log,
  looked,
  present,
  rowOf,
  sleep,
  TABLES,
  thrownAs,
  thrownBy,
  until,
  VERSION,
  watched,
  within,
} from './support.ts';

const needs = { dialect: 'postgres', transactions: true } as const;

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a schema that is missing is created, and holds ledger and tables',
    each: true,
    needs,
    async run(t) {
      for (const schema of ['tenant_1', 'We"ird, schéma']) {
        const first = await bootstrap(t, t.connect(), undefined, { schema });
        assert.equal(first.outcome, 'installed');
        assert.deepEqual(await tablesIn(t, schema), ['migrations', ...TABLES]);
        const { db, statements } = watched(t);
        const second = await bootstrap(t, db, () => assert.fail('run'), { schema });
        assert.equal(second.outcome, 'already-installed');
        assert.equal(statements.length, 1);
      }
      assert.deepEqual(await present(t.connect(), ['migrations', ...TABLES]), []);
    },
  },
  {
    name: 'raw SQL of the ddl finds the schema, and the path ends with the transaction',
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      const before = await setting(db, 'search_path');
      await bootstrap(t, db, async (db) => {
        await sql`create table bare (id integer)`.execute(db);
        await sql`create view of_bare as select id from bare`.execute(db);
        await db.insertInto('bare').values({ id: 1 }).execute();
      }, { schema: 'tenant_1', strategy: 'transaction' });
      assert.deepEqual(await tablesIn(t, 'tenant_1'), ['bare', 'migrations', 'of_bare']);
      assert.equal(await setting(db, 'search_path'), before);
    },
  },
  {
    name: 'no operator or function that another role has made is taken for one of the server',
    each: true,
    needs,
    async run(t) {
      const db = t.connect();
      const trap = `language plpgsql as 'begin raise ''trapped''; end'`;
      // Each fits the types of its operands better than those that the server has.
      const operators = [
        ...['*', '+', '-', '||'].map((name) => [name, 'float8', 'int4', 'float8']),
        ...['*', '+', '-', '||'].map((name) => [name, 'float8', 'int8', 'float8']),
        ...['<', '<=', '>', '>='].map((name) => [name, 'int8', 'float8', 'bool']),
        ...['<', '<=', '>', '>='].map((name) => [name, 'float8', 'int8', 'bool']),
        ['=', 'oid', 'regclass', 'bool'],
        ['||', 'name', 'text', 'text'],
      ];
      for (const [at, [name, left, right, result]] of operators.entries()) {
        await sql.raw(`create function trap_${at}(${left}, ${right}) returns ${result} ${trap}`)
          .execute(db);
        await sql.raw(
          `create operator ${name} (leftarg = ${left}, rightarg = ${right}, function = trap_${at})`,
        ).execute(db);
      }
      for (
        const name of [
          'concat(name, text, text)',
          'concat(text, text, text)',
          'concat_ws(text, text, text)',
        ]
      ) {
        await sql.raw(`create function ${name} returns text ${trap}`).execute(db);
      }
      assert.match(String(await thrownBy(sql`select 1::float8 * 2`.execute(db))), /trapped/);
      await createOldLedger(db, 'old');
      await holdClaim(db, { leaseMs: -1_000 });
      assert.equal((await bootstrap(t, t.connect())).outcome, 'installed');
      const tenant = await bootstrap(t, t.connect(), undefined, { schema: 'tenant_1' });
      assert.equal(tenant.outcome, 'installed');
    },
  },
  {
    name: 'errors and log lines name the schema, as each tenant has one',
    each: true,
    needs,
    async run(t) {
      const db = t.connect();
      const logger = new Log();
      await bootstrap(t, db, undefined, { schema: 'tenant_1', logger });
      const about = `db-migrate: version "${VERSION}" in "tenant_1"."migrations": `;
      assert.ok(logger.logged.length > 0);
      for (const line of logger.logged) assert.ok(line.startsWith(about), line);
      await sql`create schema tenant_2`.execute(db);
      await sql`create table tenant_2.migrations (id integer primary key)`.execute(db);
      const failing = bootstrap(t, db, undefined, { schema: 'tenant_2' });
      const { message } = await thrownAs(ForeignTableError, failing);
      assert.match(
        message,
        /^Cannot bootstrap version "0001_initial" in "tenant_2"\."migrations": /,
      );
    },
  },
  {
    name: 'an install that fails leaves no schema',
    needs,
    async run(t) {
      const broken = new Error('half-way');
      const failing = bootstrap(t, t.connect(), async (db) => {
        await install(db);
        throw broken;
      }, { schema: 'tenant_1', strategy: 'transaction' });
      assert.equal(await thrownBy(failing), broken);
      const { rows } = await sql`select 1 from pg_namespace where nspname = 'tenant_1'`
        .execute(t.connect());
      assert.deepEqual(rows, []);
    },
  },
  {
    name: 'tenants at once are each installed once',
    each: true,
    needs: { ...needs, concurrent: true },
    async run(t) {
      const tenants = Array.from({ length: 5 }, (_, n) => `tenant_${n}`);
      const shared = t.connect({ connections: 8 });
      for (const schema of tenants) {
        const calls = [1, 2, 3].map(() => bootstrap(t, shared, installAgain, { schema }));
        const results = await within(30_000, Promise.all(calls));
        assert.equal(results.filter(({ installed }) => installed).length, 1, schema);
      }
      const calls = tenants.flatMap((schema) =>
        [1, 2, 3].map(() =>
          bootstrap(t, shared, (db) => createTable(db, 'more'), { schema, version: '0002' })
        )
      );
      const results = await within(30_000, Promise.all(calls));
      assert.equal(results.filter(({ installed }) => installed).length, tenants.length);
      for (const schema of tenants) {
        assert.deepEqual(await tablesIn(t, schema), ['migrations', 'more', ...TABLES]);
      }
    },
  },
  {
    name: 'tenants whose schemas are missing are installed at once, each once',
    each: true,
    needs: { ...needs, concurrent: true },
    async run(t) {
      const shared = t.connect({ connections: 8 });
      const tenants = Array.from({ length: 6 }, (_, n) => `tenant_${n}`);
      const results = await within(
        30_000,
        Promise.all(tenants.flatMap((schema) =>
          [1, 2, 3, 4].map(async () => {
            const result = await bootstrap(t, shared, installAgain, { schema });
            await assertUsable(
              shared.withSchema(schema),
              TABLES.map((name) => `${schema}.${name}`),
            );
            return result;
          })
        )),
      );
      assert.equal(results.filter(({ installed }) => installed).length, tenants.length);
    },
  },
  {
    name: 'tenants do not wait for each other',
    needs: { ...needs, concurrent: true },
    run: (t) =>
      assertApart(t, [t.connect(), { schema: 'acme' }], [t.connect(), { schema: 'globex' }]),
  },
  {
    name: 'a schema that is there is taken, also where the database was to be fresh',
    each: 'atomic',
    needs,
    async run(t) {
      await t.connect().schema.createSchema('tenant').execute();
      const assumeFresh = t.strategy === 'batch';
      const options = { schema: 'tenant', assumeFresh };
      const result = await bootstrap(t, t.connect(), undefined, options);
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'tenants whose search_path tells them apart do not wait for each other',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const [one, other] = ['acme', 'globex'].map(() => t.connect({ connections: 1 }));
      for (const [db, name] of [[one!, 'acme'], [other!, 'globex']] as const) {
        await db.schema.createSchema(name).execute();
        await sql.raw(`set search_path to ${name}`).execute(db);
      }
      await assertApart(t, [one!, {}], [other!, {}]);
    },
  },
  {
    name: 'PGlite, which has no clients that vanish, is not told to wait for them: it would hang',
    needs: { ...needs, concurrent: false },
    alone: true,
    async run(t) {
      const result = await bootstrap(t, t.connect(), async (db) => {
        await createTable(db, 'one');
        const end = performance.now() + 700;
        while (performance.now() < end);
        await createTable(db, 'two');
      }, { strategy: 'transaction', leaseMs: 600, waitTimeoutMs: 20_000 });
      assert.equal(result.outcome, 'installed');
    },
  },
  {
    name: 'the ddl runs under the caller’s own lock_timeout, and no setting outlives the install',
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      await sql`set lock_timeout = '7s'`.execute(db);
      await sql`set idle_in_transaction_session_timeout = '77s'`.execute(db);
      // A claim of one row, and one of three.
      for (const [marker, earlier] of [['alone', []], ['line', ['0001', '0002']]] as const) {
        let inDdl = '';
        const result = await bootstrap(t, db, async (db) => {
          inDdl = await setting(db, 'lock_timeout');
          await createTable(db, `of_${marker}`);
        }, {
          marker,
          version: '0003',
          upgrades: earlier.map((from) => ({ from, ddl: (_) => assert.fail('a step') })),
        });
        assert.deepEqual([result.outcome, result.strategy], ['installed', 'transaction']);
        assert.equal(inDdl, '7s', marker);
      }
      assert.equal(await setting(db, 'lock_timeout'), '7s');
      assert.equal(await setting(db, 'idle_in_transaction_session_timeout'), '77s');
      const { rows } = await sql`select 1 from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())`
        .execute(db);
      assert.deepEqual(rows, []);
    },
  },
  {
    name: 'the same holds where an expired claim is taken over',
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      await bootstrap(t, db, () => {}, { version: '0000', strategy: 'lease' });
      await sql`insert into migrations (name, state, owner, lease, since)
        values ('0001_initial', 'installing', 'dead', 1, 1)`.execute(db);
      let inDdl = '';
      await bootstrap(t, db, async (db) => {
        inDdl = await setting(db, 'lock_timeout');
      }, { strategy: 'transaction' });
      assert.equal(inDdl, '0');
    },
  },
  {
    name: '"create index concurrently" is refused in a transaction, with the advice to use a lease',
    needs,
    async run(t) {
      const failing = bootstrap(t, t.connect(), indexConcurrently, { strategy: 'transaction' });
      const error = await thrownAs(StatementRefusedError, failing);
      assert.match(error.message, /concurrently/);
      assert.match(error.message, /'lease'/);
      assert.deepEqual(await present(t.connect(), ['migrations', ...TABLES]), []);
    },
  },
  {
    name: '"create index concurrently" works under a lease',
    needs,
    async run(t) {
      const result = await bootstrap(t, t.connect(), indexConcurrently, { strategy: 'lease' });
      assert.equal(result.outcome, 'installed');
      const { rows } = await sql`select 1 from pg_indexes where indexname = 'by_title'`
        .execute(t.connect());
      assert.equal(rows.length, 1);
    },
  },
  {
    name: 'a role that may only read: fine when installed, else the server’s own error',
    each: 'live',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const admin = t.connect();
      const role = `reader_${crypto.randomUUID().replaceAll('-', '')}`;
      await sql`create role ${sql.id(role)}`.execute(admin);
      try {
        const db = t.connect({ connections: 1 });
        await sql`revoke create on schema public from public`.execute(admin);
        await sql`set role ${sql.id(role)}`.execute(db);
        const denied = await thrownBy(bootstrap(t, db));
        assert.equal((denied as { code?: string }).code, '42501', String(denied));
        await bootstrap(t, admin);
        await sql`grant select on all tables in schema public to ${sql.id(role)}`.execute(admin);
        assert.equal((await bootstrap(t, db)).outcome, 'already-installed');
        const later = await thrownBy(bootstrap(t, db, install, { version: '0002' }));
        assert.equal((later as { code?: string }).code, '42501', String(later));
        await sql`reset role`.execute(db);
      } finally {
        await sql`drop owned by ${sql.id(role)}`.execute(admin);
        await sql`drop role ${sql.id(role)}`.execute(admin);
      }
    },
  },
  {
    name: 'two apps whose ddl creates the same things if they are missing both end installed',
    needs: { ...needs, concurrent: true },
    async run(t) {
      for (let round = 0; round < 5; round++) {
        const name = `shared_${round}`;
        const apps = ['one', 'two'].flatMap((app) => [1, 2].map(() => app));
        const results = await within(
          30_000,
          Promise.all(
            apps.map((app) =>
              bootstrap(
                t,
                t.connect({ connections: 1 }),
                (db) => shared(db, name, `${app}_${round}`),
                {
                  marker: `app_${app}`,
                  version: `${round}`,
                },
              )
            ),
          ),
        );
        assert.equal(results.filter(({ installed }) => installed).length, 2);
      }
    },
  },
  {
    name: 'where transactions are serializable, still one of many installs and nobody throws',
    each: 'live',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const callers = await Promise.all(Array.from({ length: 6 }, async () => {
        const db = t.connect({ connections: 1 });
        await sql`set default_transaction_isolation = 'serializable'`.execute(db);
        return db;
      }));
      for (const version of ['0001', '0002']) {
        const ddl = (db: Db) => createTable(db, `of_${version}`);
        const results = await within(
          30_000,
          Promise.all(callers.map((db) => bootstrap(t, db, ddl, { version }))),
        );
        assert.equal(results.filter(({ installed }) => installed).length, 1);
      }
    },
  },
  {
    name: 'a server without advisory locks is used without them, which is logged once',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const logger = new Log();
      const results = await Promise.all([1, 2, 3, 4].map(async () => {
        const db = faulty(t.connect(), {
          query(text, send) {
            if (text.includes('advisory')) throw new Error('advisory locks are not supported');
            return send();
          },
        });
        const result = await bootstrap(t, db, undefined, { logger });
        await assertUsable(db);
        return result;
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
      const told = logger.logged.filter((line) => line.includes('advisory'));
      assert.ok(told.length >= 1 && told.length <= 4, told.join('\n'));
    },
  },
  {
    name: 'a ledger that is locked by somebody holds nobody past the deadline',
    each: true,
    needs: { ...needs, concurrent: true },
    async run(t) {
      const holder = t.connect({ connections: 1 });
      await bootstrap(t, holder, (db) => createTable(db, 'before'), { version: '0000' });
      let patient: Promise<BootstrapResult> | undefined;
      await holder.transaction().execute(async (trx) => {
        await sql`lock table migrations in share mode`.execute(trx);
        const waiting = bootstrap(t, t.connect(), install, { waitTimeoutMs: 700 });
        await thrownAs(WaitTimeoutError, within(5_000, waiting));
        patient = bootstrap(t, t.connect(), installAgain);
        await sleep(100);
      });
      assert.equal((await within(20_000, patient!)).outcome, 'installed');
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
    },
  },
  {
    name: 'what a transaction has taken along as it ended is not released',
    needs,
    async run(t) {
      const { db, statements } = watched(t);
      const broken = new Error('a broken schema');
      const failing = bootstrap(t, db, async (db) => {
        await install(db);
        throw broken;
      });
      assert.equal(await thrownBy(failing), broken);
      assert.deepEqual(statements.filter((text) => /^delete/i.test(text)), []);
      assert.deepEqual(await present(t.connect()), []);
    },
  },
  {
    name:
      'who waits for an install in a transaction opens one only once, and looks in one statement',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const other = t.connect({ connections: 1 });
      for (const there of ['nothing', 'a ledger', 'a claim that has run out']) {
        if (there === 'a ledger') {
          await bootstrap(t, other, (db) => createTable(db, 'before'), { version: '0' });
        }
        if (there === 'a claim that has run out') {
          await sql`insert into migrations (name, state, owner, lease)
            values (${there}, 'installing', 'dead', 5)`.execute(other);
        }
        const { db, statements } = watched(t);
        const isLook = (text: string) => text.includes('pg_locks');
        let waiting: Promise<BootstrapResult> | undefined;
        let sent: string[] = [];
        await whileInstalling(t, async () => {
          waiting = bootstrap(t, db, (db) => createTable(db, `on ${there}`), { version: there });
          await until(() => statements.filter(isLook).length >= 3);
          sent = statements.slice(0, statements.findLastIndex(isLook));
        });
        assert.equal((await within(20_000, waiting!)).outcome, 'installed');
        assert.equal(sent.filter((text) => text.includes('begin')).length, 1);
        assert.deepEqual(sent.slice(sent.findIndex(isLook)).filter((text) => !isLook(text)), []);
        // Else a cache on the way, as Hyperdrive's, might answer what it has answered before.
        for (const text of sent.filter(isLook)) assert.match(text, /clock_timestamp\(\)/);
      }
    },
  },
  {
    name: 'who waits for an install finds that its own has no way any more, and waits no longer',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const other = t.connect({ connections: 1 });
      await bootstrap(t, other, (db) => createTable(db, 'before'), { version: '0001' });
      const { db, statements } = watched(t);
      await whileInstalling(t, async () => {
        const upgrades = [{ from: '0001', ddl: install }];
        const waiting = bootstrap(t, db, undefined, { version: '0002', upgrades });
        const refused = thrownAs(NoUpgradePathError, within(20_000, waiting));
        await until(() => statements.some((text) => text.includes('pg_locks')));
        await sql`insert into migrations (name, state) values ('elsewhere', 'installed')`
          .execute(other);
        await refused;
      });
    },
  },
  {
    name: 'a look at the advisory lock that fails is nobody’s error',
    needs: { ...needs, concurrent: true },
    async run(t) {
      let looks = 0;
      const db = faulty(t.connect(), {
        query(text, send) {
          if (!text.includes('pg_locks')) return send();
          looks++;
          throw Object.assign(new Error('permission denied for view pg_locks'), { code: '42501' });
        },
      });
      let waiting: Promise<BootstrapResult> | undefined;
      await whileInstalling(t, async () => {
        waiting = bootstrap(t, db);
        await until(() => looks >= 2);
      });
      assert.equal((await within(20_000, waiting!)).outcome, 'installed');
    },
  },
  {
    name: 'a lease whose ddl has met a lock goes on beside the install of another version',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const busy = Object.assign(new Error('canceling statement due to lock timeout'), {
        code: '55P03',
      });
      let runs = 0;
      const ddl = async (db: Db) => {
        if (++runs === 1) throw busy;
        await install(db);
      };
      await whileInstalling(t, async () => {
        const call = bootstrap(t, t.connect(), ddl, { strategy: 'lease' });
        assert.equal((await within(20_000, call)).outcome, 'installed');
      });
      assert.equal(runs, 2);
    },
  },
  {
    name: 'who waits for a later version of its line keeps no connection either',
    each: 'live',
    needs: { ...needs, concurrent: true },
    async run(t) {
      const holder = t.connect({ connections: 1 });
      await bootstrap(t, holder, undefined, { version: 'of another line', onContention: 'return' });
      await sql`delete from migrations`.execute(holder);
      await holder.transaction().execute(async (trx) => {
        await sql`insert into migrations (name, state) values (${VERSION}, 'installed')`.execute(
          trx,
        );
        const app = t.connect({ connections: 1 });
        const config = { upgrades: [{ from: '0000', ddl: install }], waitTimeoutMs: 2_000 };
        const waiting = thrownAs(WaitTimeoutError, bootstrap(t, app, install, config));
        await assertInTheMeantime([waiting], async () => void await sql`select 1`.execute(app));
      });
    },
  },
  {
    name: 'a ledger of release 1.0.0 that somebody reads gets its columns once it can be locked',
    each: true,
    needs: { ...needs, concurrent: true },
    async run(t) {
      await createOldLedger(t.connect(), '0000_old');
      const reader = t.connect({ connections: 1 });
      let patient: Promise<BootstrapResult> | undefined;
      await reader.transaction().execute(async (trx) => {
        await sql`select * from migrations`.execute(trx);
        const app = t.connect({ connections: 2 });
        const other = t.connect({ connections: 1 });
        const waiting = [1, 2, 3].map(() =>
          thrownAs(WaitTimeoutError, bootstrap(t, app, install, { waitTimeoutMs: 2_000 }))
        );
        await assertInTheMeantime(waiting, async () => {
          await sql`select 1`.execute(app);
          // For whom the version is there, nobody is in the way.
          const known = () => assert.fail('run');
          const found = await bootstrap(t, other, known, { version: '0000_old' });
          assert.equal(found.outcome, 'already-installed');
        });
        await until(async () => await waitingForLocks(other) === 0);
        patient = bootstrap(t, t.connect(), installAgain);
        await sleep(100);
      });
      assert.equal((await within(20_000, patient!)).outcome, 'installed');
    },
  },
  {
    name: 'a ledger of release 1.0.0 that there is always somebody to read gets its columns, too',
    each: true,
    needs: { ...needs, concurrent: true },
    async run(t) {
      await createOldLedger(t.connect(), '0000_old');
      let isOver = false;
      const read = async (forMs: number) => {
        const reader = t.connect({ connections: 1 });
        while (!isOver) {
          await reader.transaction().execute(async (trx) => {
            await sql`select 1 from migrations`.execute(trx);
            await sleep(forMs);
          });
        }
      };
      const reading = Promise.all([50, 65, 80, 95, 110, 125].map(read));
      const call = bootstrap(t, t.connect(), installAgain).finally(() => isOver = true);
      await within(40_000, Promise.all([call, reading]));
      assert.equal((await call).outcome, 'installed');
    },
  },
  ...[true, false].map((isFresh): Case => ({
    name: `a lease that meets a transaction waits outside, ${isFresh ? 'fresh' : 'with a ledger'}`,
    needs: { ...needs, concurrent: true },
    async run(t) {
      if (!isFresh) await bootstrap(t, t.connect(), installAgain, { version: '0000' });
      const [inside, held] = [gate(), gate()];
      const winner = bootstrap(t, t.connect(), async (db) => {
        await installAgain(db);
        inside.open();
        await held.opened;
      }, { strategy: 'transaction' });
      await inside.opened;
      const app = t.connect({ connections: 2 });
      const other = t.connect({ connections: 1 });
      const lease = { strategy: 'lease', waitTimeoutMs: 2_000 } as const;
      const fails = () => assert.fail('run twice');
      const waiting = [1, 2, 3].map(() =>
        thrownAs(WaitTimeoutError, bootstrap(t, app, fails, lease))
      );
      await assertInTheMeantime(waiting, async () => {
        await sql`select 1`.execute(app);
        const hasty = { ...lease, onContention: 'return' } as const;
        assert.equal((await bootstrap(t, other, fails, hasty)).outcome, 'pending');
      });
      await until(async () => await waitingForLocks(other) === 0);
      const { db, statements } = watched(t);
      const patient = bootstrap(t, db, fails, { strategy: 'lease' });
      await looked(statements);
      held.open();
      const results = await within(20_000, Promise.all([winner, patient]));
      assert.deepEqual(results.map(({ outcome }) => outcome), ['installed', 'waited']);
      assert.equal(await setting(app, 'lock_timeout'), '0');
    },
  })),
  {
    name: 'a ddl that sets another search_path is finished, and renewed, where it was claimed',
    needs,
    async run(t) {
      for (const [n, strategy] of (['transaction', 'lease'] as const).entries()) {
        const result = await bootstrap(t, t.connect({ connections: 2 }), async (db) => {
          await sql`select pg_catalog.set_config('search_path', '', ${strategy !== 'lease'})`
            .execute(db);
          await sql`create table public.${sql.raw(`of_${n}`)} (id integer)`.execute(db);
          await sleep(700);
          await sql`create table public.${sql.raw(`after_${n}`)} (id integer)`.execute(db);
        }, { version: strategy, strategy, leaseMs: 900, waitTimeoutMs: 20_000 });
        assert.equal(result.outcome, 'installed', strategy);
      }
    },
  },
  {
    name: 'a session whose search_path the ddl has set gets it back',
    each: 'atomic',
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      await sql`set search_path to public, pg_temp`.execute(db);
      // A dump sets an empty one.
      const paths = [
        ['app', undefined],
        [`''`, undefined],
        [`''`, 'T-1'],
        ['"T-1", public, pg_temp', 'T-1'],
      ] as const;
      for (const [at, [path, schema]] of paths.entries()) {
        const ddl = async (db: Db) => {
          await sql`create schema if not exists app`.execute(db);
          await sql.raw(`set search_path to ${path}`).execute(db);
          await sql.raw(`create table app.of_${at} (id integer)`).execute(db);
        };
        for (const outcome of ['installed', 'already-installed']) {
          const result = await bootstrap(t, db, ddl, { version: `path ${at}`, schema });
          assert.equal(result.outcome, outcome);
          assert.equal(await setting(db, 'search_path'), 'public, pg_temp');
        }
      }
    },
  },
  {
    name: 'a schema is found whatever its name holds, also where a backslash escapes',
    each: 'atomic',
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      for (const setting of ['on', 'off']) {
        await sql.raw(`set standard_conforming_strings to ${setting}`).execute(db);
        for (const schema of ['a\\b', `a\\'b`, `it's "it"`]) {
          const name = `${schema} ${setting}`;
          const result = await bootstrap(t, db, async (db) => {
            await sql`create table raw (id integer)`.execute(db);
          }, { schema: name });
          assert.equal(result.outcome, 'installed');
          assert.deepEqual(await tablesIn(t, name), ['migrations', 'raw']);
        }
      }
    },
  },
  {
    name: 'a schema whose name a plugin makes another of is that one everywhere',
    each: true,
    needs,
    async run(t) {
      const db = t.connect().withPlugin(new CamelCasePlugin());
      const result = await bootstrap(t, db, async (db) => {
        await createTable(db, 'built');
        if (t.strategy !== 'lease') await sql`create table raw (id integer)`.execute(db);
      }, { schema: 'orgTwo' });
      assert.equal(result.outcome, 'installed');
      const expected = ['built', 'migrations', ...(t.strategy === 'lease' ? [] : ['raw'])];
      assert.deepEqual(await tablesIn(t, 'org_two'), expected);
    },
  },
  {
    name: 'under a lease a schema that is missing is not waited for',
    needs,
    async run(t) {
      const failing = bootstrap(t, t.connect().withSchema('nowhere'), install, {
        strategy: 'lease',
      });
      assert.match(String(await within(10_000, thrownBy(failing))), /"nowhere" does not exist/);
    },
  },
  {
    name: 'a schema is found even where the search_path is empty',
    each: true,
    needs,
    async run(t) {
      const db = t.connect({ connections: 1 });
      await sql`select set_config('search_path', '', false)`.execute(db);
      const result = await bootstrap(t, db, async (db) => {
        await createTable(db, 'of_tenant');
      }, { schema: 'tenant_1' });
      assert.equal(result.outcome, 'installed');
      assert.deepEqual(await tablesIn(t, 'tenant_1'), ['migrations', 'of_tenant']);
    },
  },
  {
    name: 'statements that end a transaction inside a "do" block cannot split the unit',
    needs,
    async run(t) {
      const failing = bootstrap(t, t.connect(), async (db) => {
        await install(db);
        await sql.raw('do $$ begin commit; end $$').execute(db);
      }, { strategy: 'transaction' });
      await thrownBy(failing);
      assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), []);
    },
  },
];

/** Fails unless the second installs while the first is in the middle of its install. */
async function assertApart(
  t: CaseContext,
  [one, first]: readonly [Db, { schema?: string }],
  [other, second]: readonly [Db, { schema?: string }],
): Promise<void> {
  const inside = gate();
  const over = gate();
  const slow = bootstrap(t, one, async (db) => {
    await createTable(db, 'one');
    inside.open();
    await over.opened;
  }, first);
  await inside.opened;
  const quick = bootstrap(t, other, undefined, { ...second, onContention: 'return' });
  assert.equal((await quick.finally(over.open)).outcome, 'installed');
  assert.equal((await slow).outcome, 'installed');
}

async function indexConcurrently(db: Db): Promise<void> {
  await installAgain(db);
  await sql`alter table t001 add column if not exists title text`.execute(db);
  await sql`create index concurrently if not exists by_title on t001 (title)`.execute(db);
}

/** What two apps may both want, written as carefully as it can be, and a table of their own. */
async function shared(db: Db, name: string, own: string): Promise<void> {
  await db.schema.createSchema(name).ifNotExists().execute();
  await db.schema.createTable(`${name}.common`).ifNotExists().addColumn('id', 'integer').execute();
  await sql.raw(`create or replace function ${name}.one() returns int language sql as 'select 1'`)
    .execute(db);
  const { rows } = await sql`select 1 from pg_type where typname = ${`${name}_kind`}`.execute(db);
  if (rows.length === 0) await sql.raw(`create type ${name}_kind as enum ('a', 'b')`).execute(db);
  await createTable(db, `own_${own}`);
}

/** Fails unless something can be done again and again while others wait, for all of their time. */
async function assertInTheMeantime(
  waiting: readonly Promise<unknown>[],
  run: () => Promise<void>,
): Promise<void> {
  let isOver = false;
  const over = Promise.all(waiting).finally(() => isOver = true);
  let times = 0;
  let last: Promise<void> | undefined;
  while (!isOver) {
    await sleep(50);
    last = run();
    await Promise.race([last, over]);
    if (!isOver) times++;
  }
  await over;
  assert.ok(times > 1, `${times} times`);
  // Its connection must not be in the middle of something when the database is dropped.
  await last;
}

/** How many sessions wait for a lock, and so for another session. */
async function waitingForLocks(db: Db): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*) as n from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
  return Number(rows[0]!.n);
}

async function setting(db: Db, name: string): Promise<string> {
  const { rows } = await sql<{ value: string }>`select current_setting(${name}) as value`
    .execute(db);
  return rows[0]!.value;
}

async function tablesIn(t: CaseContext, schema: string): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select c.relname as name from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relkind in ('r', 'v') order by 1`.execute(t.connect());
  return rows.map(({ name }) => name);
}

/** Does something while a session has the lock that those have who install into the ledger. */
async function whileInstalling(t: CaseContext, act: () => Promise<void>): Promise<void> {
  await t.connect({ connections: 1 }).transaction().execute(async (trx) => {
    await sql.raw(LOCK_LEDGER).execute(trx);
    await act();
  });
}
