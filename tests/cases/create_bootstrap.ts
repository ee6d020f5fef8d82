/**
 * Remembering success, and nothing else.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { Kysely, type KyselyPlugin, OperationNodeTransformer, sql } from 'kysely';

import {
  createBootstrap,
  type CreateBootstrapConfig,
  type EnsureSchema,
  ForeignTableError,
  LeaseLostError,
  TransactionAbortedError,
  WaitTimeoutError,
} from '../../mod.ts';
import { batchOf } from './batches.ts';
import { faulty } from './faults.ts';
import {
  assertUsable,
  type Case,
  type CaseContext,
  type CaseDdl,
  configOf,
  createTable,
  type Db,
  gate,
  holdClaim,
  install,
  installAgain,
  Log,
  looked,
  present,
  removeRow,
  sleep,
  TABLES,
  thrownAs,
  thrownBy,
  VERSION,
  watched,
  within,
} from './support.ts';

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'once installed, the same instance costs no statement',
    each: true,
    async run(t) {
      const ensure = ensureOf(t);
      const { db, statements } = watched(t);
      assert.equal((await ensure(db)).outcome, 'installed');
      await assertUsable(db);
      statements.length = 0;
      for (let n = 0; n < 3; n++) {
        assert.deepEqual(await ensure(db), {
          installed: false,
          wonClaim: false,
          version: VERSION,
          outcome: 'already-installed',
          strategy: t.strategy,
          durationMs: 0,
        });
      }
      assert.deepEqual(statements, []);
    },
  },
  {
    name: 'another instance looks for itself, unless both are said to be one database',
    async run(t) {
      const ensure = ensureOf(t);
      await ensure(t.connect());
      const other = watched(t);
      assert.equal((await ensure(other.db)).outcome, 'already-installed');
      assert.equal(other.statements.length, 1);
      for (const key of [{}, 'a-name', 7, () => {}]) {
        await ensure(t.connect(), { key });
        const sharing = watched(t);
        assert.equal((await ensure(sharing.db, { key })).outcome, 'already-installed');
        assert.deepEqual(sharing.statements, []);
      }
    },
  },
  {
    name: 'two that remember do not share what they remember',
    async run(t) {
      const { db, statements } = watched(t);
      await ensureOf(t)(db);
      statements.length = 0;
      await ensureOf(t)(db);
      assert.equal(statements.length, 1);
    },
  },
  {
    name: 'what is forgotten is looked up again',
    async run(t) {
      const ensure = ensureOf(t);
      const one = watched(t);
      const two = watched(t);
      await ensure(one.db, { key: 'one' });
      await ensure(two.db);
      one.statements.length = two.statements.length = 0;

      ensure.forget('one');
      await ensure(one.db, { key: 'one' });
      await ensure(two.db);
      assert.deepEqual([one.statements.length, two.statements.length], [1, 0]);

      ensure.forget(two.db);
      await ensure(two.db);
      assert.equal(two.statements.length, 1);

      ensure.forget();
      await ensure(one.db, { key: 'one' });
      await ensure(two.db);
      assert.deepEqual([one.statements.length, two.statements.length], [2, 2]);

      ensure.forget(null);
      await ensure(one.db, { key: 'one' });
      assert.equal(one.statements.length, 3);
    },
  },
  {
    name: 'a database that was dropped and is forgotten is installed anew',
    each: true,
    async run(t) {
      const ensure = ensureOf(t);
      const db = t.connect();
      await ensure(db);
      for (const table of [...TABLES, 'migrations']) await db.schema.dropTable(table).execute();
      ensure.forget(db);
      assert.equal((await ensure(db)).outcome, 'installed');
      await assertUsable(db);
    },
  },
  {
    name: '"pending" is not success',
    each: true,
    async run(t) {
      const ensure = ensureOf(t, { onContention: 'return' });
      const db = t.connect();
      await holdClaim(t.connect(), { leaseMs: 60_000 });
      assert.equal((await ensure(db)).outcome, 'pending');
      assert.equal((await ensure(db)).outcome, 'pending');
      await removeRow(t.connect());
      assert.equal((await ensure(db)).outcome, 'installed');
      assert.equal((await ensure(db)).outcome, 'already-installed');
    },
  },
  {
    name: 'after a failed ddl the same error comes without a statement, for a while',
    each: true,
    async run(t) {
      let runs = 0;
      const broken = new Error('a broken schema');
      const ensure = ensureOf(t, {
        failureCooldownMs: 500,
        ddl: async (db: Db) => {
          if (++runs === 1) throw broken;
          await install(db);
        },
      });
      const { db, statements } = watched(t);
      assert.equal(await thrownBy(ensure(db)), broken);
      statements.length = 0;
      for (let n = 0; n < 3; n++) assert.equal(await thrownBy(ensure(db)), broken);
      assert.deepEqual(statements, []);
      assert.equal(runs, 1);
      // Another database is another matter.
      assert.equal((await ensure(t.connect(), { key: 'other' })).outcome, 'installed');
      await sleep(600);
      assert.equal((await ensure(db)).outcome, 'already-installed');
    },
  },
  {
    name: 'nor is it run by those who asked before it had failed, who do not even claim',
    each: 'live',
    async run(t) {
      let runs = 0;
      const broken = new Error('a broken schema');
      const logger = new Log();
      const ensure = ensureOf(t, {
        failureCooldownMs: 60_000,
        logger,
        ddl: async (db: Db) => {
          runs++;
          await createTable(db, 'one');
          throw broken;
        },
      });
      const db = t.connect();
      const errors = await Promise.all(Array.from({ length: 5 }, () => thrownBy(ensure(db))));
      assert.deepEqual(errors, Array(5).fill(broken));
      assert.equal(runs, 1);
      const claims = logger.logged.filter((line) => line.includes('installing as'));
      assert.equal(claims.length, 1, claims.join('\n'));
    },
  },
  {
    name: 'and who comes to the turn then is told an error that a race may cause, too',
    needs: { transactions: true },
    async run(t) {
      const exists = Object.assign(new Error('relation "one" already exists'), { code: '42P07' });
      const ensure = ensureOf(t, {
        failureCooldownMs: 60_000,
        onContention: 'return',
        ddl: (_: Db) => Promise.reject(exists),
      });
      const failed = gate();
      const late = faulty(t.connect(), {
        async begin(run) {
          await failed.opened;
          await run();
        },
      });
      const key = 'one database';
      const waiting = thrownBy(ensure(late, { key }));
      assert.equal(await thrownBy(ensure(t.connect(), { key })), exists);
      failed.open();
      assert.equal(await waiting, exists);
    },
  },
  {
    name: 'a schema of a plugin’s is a place of its own, even in one database',
    each: true,
    needs: { dialect: 'postgres' },
    async run(t) {
      const db = t.connect();
      const ensure = ensureOf(t);
      for (const schema of ['acme', 'globex']) {
        await db.schema.createSchema(schema).execute();
        const call = () => ensure(db.withSchema(schema), { key: 'one database' });
        assert.equal((await call()).outcome, 'installed');
        assert.equal((await call()).durationMs, 0);
      }
    },
  },
  {
    name: 'and so is a prefix of one',
    each: true,
    async run(t) {
      const ensure = ensureOf(t);
      for (const prefix of ['acme_', 'globex_']) {
        const plugged = t.connect().withPlugin(prefixing(prefix));
        const call = () => ensure(plugged, { key: 'one database' });
        assert.equal((await call()).outcome, 'installed');
        assert.equal((await call()).durationMs, 0);
        await assertUsable(plugged);
      }
    },
  },
  {
    name: 'a cooldown of 0 is none, and one that is forgotten is over',
    async run(t) {
      let runs = 0;
      const ddl: CaseDdl = async (db) => {
        if (++runs % 2) throw new Error('a broken schema');
        await installAgain(db);
      };
      const none = ensureOf(t, { ddl, failureCooldownMs: 0 });
      const db = t.connect();
      await thrownBy(none(db));
      assert.equal((await none(db)).outcome, 'installed');

      const long = ensureOf(t, { ddl, version: '0002', failureCooldownMs: 60_000 });
      await thrownBy(long(db));
      await thrownBy(long(db));
      assert.equal(runs, 3);
      long.forget(db);
      assert.equal((await long(db)).outcome, 'installed');
    },
  },
  ...Object.entries({
    'that comes out of the ddl itself': (signal: AbortSignal) => signal.reason,
    'that meets what only a race can cause, and its reason is told': () =>
      Object.assign(new Error('deadlock detected'), { code: '40P01' }),
  }).map(([what, thrown]): Case => ({
    name: `nor does an abort ${what}`,
    each: true,
    async run(t) {
      const controller = new AbortController();
      const ensure = ensureOf(t, {
        failureCooldownMs: 60_000,
        ddl: async (db: Db) => {
          await installAgain(db);
          if (controller.signal.aborted) return;
          controller.abort();
          throw thrown(controller.signal);
        },
      });
      const db = t.connect();
      const error = await thrownBy(ensure(db, { signal: controller.signal }));
      assert.equal(error, controller.signal.reason);
      assert.equal((await ensure(db)).outcome, 'installed');
    },
  })),
  {
    name: 'what the ddl throws while it is recorded for its checksum starts one, too',
    async run(t) {
      let runs = 0;
      const broken = new Error('a broken schema');
      const ddl = (_: Db) => {
        runs++;
        throw broken;
      };
      const ensure = ensureOf(t, { ddl, onDrift: 'error', failureCooldownMs: 60_000 });
      const db = t.connect();
      for (const _ of [1, 2, 3]) assert.equal(await thrownBy(ensure(db)), broken);
      assert.equal(runs, 1);
    },
  },
  {
    name: 'so does a failure on Postgres that the ddl has caught, as it comes for good',
    needs: { dialect: 'postgres', transactions: true },
    async run(t) {
      let runs = 0;
      const ddl = async (db: Db) => {
        runs++;
        await sql`select * from missing`.execute(db).catch(() => {});
      };
      const ensure = ensureOf(t, { ddl, strategy: 'transaction', failureCooldownMs: 60_000 });
      const db = t.connect();
      for (const _ of [1, 2, 3]) await thrownAs(TransactionAbortedError, ensure(db));
      assert.equal(runs, 1);
    },
  },
  {
    name: 'the abort or the timeout of one caller starts no cooldown',
    each: true,
    async run(t) {
      const ensure = ensureOf(t, {
        failureCooldownMs: 60_000,
        // More than a busy machine takes between the two looks before the abort.
        waitTimeoutMs: 4_000,
      });
      await holdClaim(t.connect(), { leaseMs: 60_000 });
      const { db, statements } = watched(t);
      const controller = new AbortController();
      const aborted = thrownBy(ensure(db, { signal: controller.signal }));
      await looked(statements);
      controller.abort();
      assert.equal(await within(2_000, aborted), controller.signal.reason);
      await thrownAs(WaitTimeoutError, ensure(db));
      await removeRow(t.connect());
      assert.equal((await ensure(db)).outcome, 'installed');
    },
  },
  {
    name: 'nor does the claim that one caller has lost, nor a wait of its ddl for something else',
    async run(t) {
      const other = t.connect();
      let runs = 0;
      const waited = new WaitTimeoutError('Not ready', undefined, { marker: 'm', version: 'v' });
      const ensure = ensureOf(t, {
        strategy: 'lease',
        leaseMs: 600,
        failureCooldownMs: 60_000,
        ddl: async (db: Db) => {
          if (++runs === 1) throw waited;
          await installAgain(db);
          if (runs === 2) await removeRow(other).then(() => sleep(600));
          await installAgain(db);
        },
      });
      const db = t.connect();
      assert.equal(await thrownBy(ensure(db)), waited);
      await thrownAs(LeaseLostError, ensure(db));
      assert.equal((await ensure(db)).outcome, 'installed');
    },
  },
  {
    name: 'nor does what comes of a ddl that its caller has given up',
    needs: { transactions: true },
    async run(t) {
      const later = gate();
      const over = gate();
      let runs = 0;
      const ensure = ensureOf(t, {
        strategy: 'transaction',
        failureCooldownMs: 60_000,
        ddl: async (db: Db) => {
          if (++runs > 1) return install(db);
          await later.opened;
          await createTable(db, 'late').finally(over.open);
        },
      });
      const db = t.connect();
      const controller = new AbortController();
      const aborted = thrownBy(ensure(db, { signal: controller.signal }));
      while (runs === 0) await sleep(5);
      controller.abort();
      assert.equal(await within(2_000, aborted), controller.signal.reason);
      later.open();
      await over.opened;
      await sleep(20);
      assert.equal((await ensure(db)).outcome, 'installed');
    },
  },
  {
    name: 'a caller who fails does not undo what another one has seen installed',
    each: true,
    async run(t) {
      const inside = gate();
      const other = gate();
      const broken = new Error('flaky');
      let runs = 0;
      const ensure = ensureOf(t, {
        failureCooldownMs: 60_000,
        ddl: async (db: Db) => {
          if (++runs > 1) return install(db);
          inside.open();
          await other.opened;
          throw broken;
        },
      });
      const slow = thrownBy(ensure(t.connect(), { key: 'one' }));
      await inside.opened;
      // Only a batch runs its ddl without a claim, so that both can be inside.
      if (t.strategy === 'batch') {
        assert.equal((await ensure(t.connect(), { key: 'one' })).outcome, 'installed');
      }
      other.open();
      assert.equal(await slow, broken);
      if (t.strategy === 'batch') {
        assert.equal(
          (await ensure(t.connect(), { key: 'one' })).outcome,
          'already-installed',
        );
      } else assert.equal(await thrownBy(ensure(t.connect(), { key: 'one' })), broken);
    },
  },
  {
    name: 'what is forgotten during an install is not remembered after it',
    each: 'live',
    async run(t) {
      const inside = gate();
      const forgotten = gate();
      const ensure = ensureOf(t, {
        ddl: async (db: Db) => {
          await install(db);
          inside.open();
          await forgotten.opened;
        },
      });
      const first = ensure(t.connect(), { key: 'one' });
      await inside.opened;
      ensure.forget('one');
      forgotten.open();
      assert.equal((await first).outcome, 'installed');
      const { db, statements } = watched(t);
      assert.equal((await ensure(db, { key: 'one' })).outcome, 'already-installed');
      assert.equal(statements.length, 1);
    },
  },
  {
    name: 'nor does a network that is gone from the claim on',
    each: true,
    async run(t) {
      let isDown = true;
      let isLost = false;
      const db = faulty(t.connect(), {
        query(text, send) {
          isLost ||= /insert into/i.test(text);
          return isLost && isDown ? Promise.reject(new Error('fetch failed')) : send();
        },
      });
      const ensure = ensureOf(t, { failureCooldownMs: 60_000 });
      assert.match(String(await thrownBy(ensure(db))), /fetch failed/);
      isDown = false;
      assert.equal((await ensure(db)).outcome, 'installed');
    },
  },
  {
    name: 'nor does an error that is not the ddl’s',
    async run(t) {
      const db = t.connect();
      const ensure = ensureOf(t, { failureCooldownMs: 60_000 });
      await createTable(db, 'migrations');
      await thrownAs(ForeignTableError, ensure(db));
      await sql`drop table migrations`.execute(db);

      const malformed = new Error('database disk image is malformed');
      let isBroken = true;
      const broken = faulty(db, {
        query: (_, send) => isBroken ? Promise.reject(malformed) : send(),
      });
      assert.equal(await thrownBy(ensure(broken)), malformed);
      isBroken = false;
      assert.equal((await ensure(broken)).outcome, 'installed');
    },
  },
  {
    name: 'a signal that is aborted already ends even a call that costs nothing',
    async run(t) {
      const ensure = ensureOf(t);
      const { db, statements } = watched(t);
      const reason = new Error('never mind');
      const signal = AbortSignal.abort(reason);
      assert.equal(await thrownBy(ensure(db, { signal })), reason);
      assert.deepEqual(statements, []);
      await ensure(db);
      assert.equal(await thrownBy(ensure(db, { signal })), reason);

      const controller = new AbortController();
      const bound = ensureOf(t, { signal: controller.signal });
      await bound(db);
      controller.abort(reason);
      assert.equal(await thrownBy(bound(db)), reason);
      await bound(db, { signal: new AbortController().signal });
    },
  },
  {
    name: 'calls that arrive together each look for themselves, and one installs',
    each: true,
    async run(t) {
      const ensure = ensureOf(t);
      const shared = t.connect();
      const callers = [shared, shared, t.connect(), t.connect(), shared];
      const results = await Promise.all(callers.map(async (db) => {
        const result = await ensure(db);
        await assertUsable(db);
        return result;
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
    },
  },
  {
    name: 'a call that never settles keeps no later one from its answer',
    each: 'live',
    needs: { concurrent: true },
    async run(t) {
      const claimed = gate();
      const held = gate();
      const ensure = ensureOf(t, {
        waitTimeoutMs: 3_000,
        leaseMs: 2_900,
        ddl: async (db: Db) => {
          await createTable(db, TABLES[0]!);
          claimed.open();
          await held.opened;
        },
      });
      const hanging = ensure(t.connect(), { key: 'one' });
      await claimed.opened;
      await thrownAs(
        WaitTimeoutError,
        within(10_000, ensure(t.connect({ connections: 1 }), { key: 'one' })),
      );
      held.open();
      await hanging;
      assert.deepEqual(await present(t.connect()), [TABLES[0]]);
    },
  },
  {
    name: 'an option that does not exist is refused',
    async run(t) {
      const { db, statements } = watched(t);
      const options = { kye: 'one' } as object;
      const error = await thrownAs(TypeError, ensureOf(t)(db, options));
      assert.match(error.message, /kye/);
      assert.deepEqual(statements, []);
    },
  },
];

function ensureOf(
  t: CaseContext,
  more: Partial<CreateBootstrapConfig<Db>> = {},
): EnsureSchema<Db> {
  const ensure = createBootstrap({ ...configOf(t), ...more });
  if (t.strategy !== 'batch') return ensure;
  const withBatch: EnsureSchema<Db> = (db, options) =>
    ensure(db, { batch: batchOf(db)!, ...options });
  // What is remembered is remembered of the batch's database.
  withBatch.forget = (key) => ensure.forget(key instanceof Kysely ? batchOf(key)?.database : key);
  return withBatch;
}

/** A plugin that puts a prefix before the name of every table. */
function prefixing(prefix: string): KyselyPlugin {
  const transformer = new class extends OperationNodeTransformer {
    override transformSchemableIdentifier(
      ...args: Parameters<OperationNodeTransformer['transformSchemableIdentifier']>
    ) {
      const node = super.transformSchemableIdentifier(...args);
      const name = `${prefix}${node.identifier.name}`;
      return { ...node, identifier: { ...node.identifier, name } };
    }
  }();
  return {
    transformQuery: ({ node }) => transformer.transformNode(node),
    transformResult: ({ result }) => Promise.resolve(result),
  };
}
