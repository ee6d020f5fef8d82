/**
 * Upgrades: a fresh database takes the canonical ddl, an older one the steps, and both record the
 * whole line.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import {
  type BootstrapConfig,
  createBootstrap,
  NewerSchemaError,
  NoUpgradePathError,
  planSchema,
} from '../../../mod.ts';
import {
  createOldLedger,
  createTable,
  type Db,
  gate,
  Log,
  looked,
  patiently,
  sleep,
  thrownAs,
  thrownBy,
  within,
} from '../support.ts';
import {
  assertLine,
  assertTables,
  claim,
  creates,
  life,
  type LifeCase,
  type LifeConfig,
  type LifeContext,
  lineOf,
  listening,
  rows,
  stepsOf,
  tablesOfStep,
  untouched,
} from './support.ts';

const LINE = ['0001', '0002', '0003'] as const;

const WHOLE = [['0001', null], ['0002', '0001'], ['0003', '0002']] as const;

/** Each is to be refused before anything is sent. */
const REFUSED: readonly { what: string; upgrades: unknown; type: typeof TypeError }[] = [
  { what: 'a name twice', upgrades: stepsOf('0001', '0002', '0001', '0003'), type: RangeError },
  {
    what: 'the version among the froms',
    upgrades: stepsOf('0001', '0003', '0003'),
    type: RangeError,
  },
  { what: 'an empty step', upgrades: [{}], type: TypeError },
  { what: 'a step without ddl', upgrades: [{ from: '0001' }], type: TypeError },
  { what: 'a step without from', upgrades: [{ ddl: untouched }], type: TypeError },
  { what: 'an empty from', upgrades: [{ from: '', ddl: untouched }], type: RangeError },
  {
    what: 'a from that cannot be stored',
    upgrades: [{ from: 'a\0', ddl: untouched }],
    type: RangeError,
  },
  { what: 'a ddl that is text', upgrades: [{ from: '0001', ddl: 'alter' }], type: TypeError },
  { what: 'a plan without statements', upgrades: [{ from: '0001', ddl: {} }], type: TypeError },
  {
    what: 'an unknown field',
    upgrades: [{ from: '0001', ddl: untouched, to: '2' }],
    type: TypeError,
  },
  { what: 'null as a step', upgrades: [null], type: TypeError },
  { what: 'a hole', upgrades: [, ...stepsOf('0001', '0003')], type: TypeError },
  { what: 'no list', upgrades: { from: '0001', ddl: untouched }, type: TypeError },
];

/** The cases of this file. */
export const cases: readonly LifeCase[] = [
  {
    name: 'a line of more versions than a database takes parameters',
    each: true,
    async run(t) {
      // D1 takes 100 of them a statement.
      const names = Array.from({ length: 121 }, (_, at) => `v${at}`);
      const line = { ...lineOf(...names), ddl: creates('made') };
      assert.equal((await life(t, line)).outcome, 'installed');
      const held = await rows(t.connect());
      assert.equal(held.length, names.length);
      assert.equal(held.filter(({ state }) => state === 'installed').length, names.length);
      assert.equal((await life(t, line)).outcome, 'already-installed');
    },
  },
  {
    name: 'a claim of such a line that has run out is taken over as a whole',
    each: true,
    async run(t) {
      const names = Array.from({ length: 121 }, (_, at) => `v${at}`);
      await life(t, { version: 'v0' });
      const db = t.connect();
      for (const [at, name] of names.slice(1).entries()) {
        await claim(db, name, names[at]!, -1_000);
      }
      const { outcome, steps } = await life(t, { ...lineOf(...names), ddl: untouched });
      assert.equal(outcome, 'upgraded');
      assert.equal(steps!.length, 120);
    },
  },
  {
    name: 'a fresh database takes the canonical ddl and records the whole line',
    each: true,
    async run(t) {
      const result = await life(t, { ...lineOf(...LINE), upgrades: neverRun(...LINE) });
      assert.equal(result.outcome, 'installed');
      assert.equal(result.installed, true);
      assert.equal(result.strategy, t.strategy);
      assert.equal('from' in result || 'steps' in result, false);
      await assertTables(t, ['made_0003']);
      await assertLine(t.connect(), WHOLE);
      assert.equal(new Set((await rows(t.connect())).map(({ owner }) => owner)).size, 1);
      // Code of any of these versions finds its own present.
      for (const version of LINE) {
        const old = await life(t, { version, ddl: untouched });
        assert.equal(old.outcome, 'already-installed', version);
      }
    },
  },
  {
    name: 'a database at any older version takes the steps from there',
    each: true,
    async run(t) {
      const { db } = t.caller();
      for (const [at, from] of LINE.slice(0, -1).entries()) {
        // A line of its own for each start, in a ledger of its own.
        const line = LINE.map((name) => `${name}_${at}`);
        const marker = `migrations_${at}`;
        for (let end = 1; end <= at + 1; end++) {
          await life(t, { ...lineOf(...line.slice(0, end)), marker });
        }
        const before = await t.tables();
        const config = { ...lineOf(...line), ddl: untouched, marker };
        const result = await life(t, config);
        assert.equal(result.outcome, 'upgraded', from);
        assert.equal(result.installed, true);
        assert.equal(result.wonClaim, true);
        assert.equal(result.version, line.at(-1));
        assert.equal(result.from, line[at]);
        assert.deepEqual(result.steps, line.slice(at + 1));
        const made = line.slice(at + 1).flatMap(tablesOfStep);
        assert.deepEqual((await t.tables()).sort(), [...before, ...made].sort());
        await assertLine(db, line.map((name, n) => [name, line[n - 1] ?? null]), marker);

        const { statements, ...caller } = listening(t);
        const again = await life(t, config, caller);
        assert.equal(again.outcome, 'already-installed');
        assert.equal('from' in again || 'steps' in again, false);
        assert.equal(statements.length, 1, statements.join('\n'));
      }
    },
  },
  {
    name: 'a row of release 1.0.0 is a version to start from',
    each: true,
    async run(t) {
      await createOldLedger(t.connect(), '0001');
      const result = await life(t, { ...lineOf(...LINE), ddl: untouched });
      assert.equal(result.outcome, 'upgraded');
      assert.equal(result.from, '0001');
      assert.deepEqual(result.steps, ['0002', '0003']);
      await assertTables(t, [...tablesOfStep('0002'), ...tablesOfStep('0003')]);
      await assertLine(t.connect(), WHOLE);
      const [old] = await rows(t.connect());
      assert.deepEqual([old?.state, old?.owner], [null, null]);
    },
  },
  {
    name: 'a version without upgrades simply runs its ddl, whatever the ledger holds',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const result = await life(t, { version: '0002' });
      assert.equal(result.outcome, 'installed');
      await assertTables(t, ['made_0001', 'made_0002']);
      await assertLine(t.connect(), [['0001', null], ['0002', null]]);
      // The line starts from the furthest name of it that is there.
      const led = await life(t, { ...lineOf(...LINE), ddl: untouched });
      assert.deepEqual([led.outcome, led.from], ['upgraded', '0002']);
    },
  },
  {
    name: 'a line that is none is refused before any statement',
    async run(t) {
      for (const { what, upgrades, type } of REFUSED) {
        const { statements, db } = listening(t);
        const config = { ...lineOf('0003'), ddl: untouched, upgrades } as LifeConfig;
        const error = await thrownAs(type, life(t, config, { db }));
        assert.match(error.message, /^Cannot use /, what);
        assert.deepEqual(statements, [], what);
      }
    },
  },
  {
    name: 'a step that fails leaves the old version, and where it is atomic nothing of the step',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const broken = new Error('the second step is broken');
      const failing = {
        ...lineOf(...LINE),
        upgrades: [
          stepsOf('0001', '0002')[0]!,
          {
            from: '0002',
            ddl: async (db: Db) => {
              await createTable(db, 'half');
              throw broken;
            },
          },
        ],
      };
      assert.equal(await thrownBy(life(t, failing)), broken);
      await assertLine(t.connect(), [['0001', null]]);
      const left = t.strategy === 'lease' ? [...tablesOfStep('0002'), 'half'] : [];
      await assertTables(t, ['made_0001', ...left]);

      // Under a lease the steps must be harmless to repeat; here they are others.
      const suffix = t.strategy === 'lease' ? ['again'] : tablesOfStep('0002');
      const fixed = [{ from: '0001', ddl: creates(...suffix) }, stepsOf('0002', '0003')[0]!];
      const result = await life(t, { ...lineOf(...LINE), upgrades: fixed });
      assert.deepEqual([result.outcome, result.from], ['upgraded', '0001']);
      await assertTables(t, ['made_0001', ...left, ...suffix, ...tablesOfStep('0003')]);
      await assertLine(t.connect(), WHOLE);
    },
  },
  {
    name: 'a step whose statement the database refuses leaves the old version, too',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const clash = [{ from: '0001', ddl: creates('fresh_one', 'made_0001') }];
      const failing = life(t, { ...lineOf('0001', '0002'), upgrades: clash });
      const error = await thrownBy(within(10_000, failing));
      assert.match(String((error as Error).message), /exists/);
      await assertLine(t.connect(), [['0001', null]]);
      await assertTables(t, t.strategy === 'lease' ? ['made_0001', 'fresh_one'] : ['made_0001']);
    },
  },
  {
    name: 'a database that holds a version not of the line is left alone',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await life(t, { ...lineOf('0001', '0002_other') });
      const before = await rows(t.connect());
      const tables = await t.tables();
      const { statements, ...caller } = listening(t);
      const config = {
        ...lineOf('0001', '0002'),
        ddl: untouched,
        upgrades: neverRun('0001', '0002'),
      };
      const error = await thrownAs(NoUpgradePathError, life(t, config, caller));
      assert.equal(error.code, 'NO_UPGRADE_PATH');
      assert.deepEqual([...error.held].sort(), ['0001', '0002_other']);
      assert.deepEqual(error.line, ['0001', '0002']);
      assert.deepEqual([error.version, error.marker], ['0002', 'migrations']);
      for (const name of ['0001', '0002_other', '0002']) {
        assert.ok(error.message.includes(`"${name}"`), error.message);
      }
      assert.equal(statements.length, 1, statements.join('\n'));
      assert.deepEqual(await rows(t.connect()), before);
      assert.deepEqual(await t.tables(), tables);
    },
  },
  {
    name: 'a version that came into the line before where the database is leaves it alone',
    each: true,
    async run(t) {
      await life(t, lineOf('0001', '0002'));
      const tables = await t.tables();
      const merged = ['0001', '0001_merged', '0002'];
      for (const line of [merged, [...merged, '0003']]) {
        const config = { ...lineOf(...line), ddl: untouched, upgrades: neverRun(...line) };
        const error = await thrownAs(NoUpgradePathError, life(t, config));
        assert.deepEqual([[...error.held].sort(), error.line], [['0001', '0002'], line]);
      }
      assert.deepEqual(await t.tables(), tables);
      // As the error says: at the end it is for those that lack it and for those that do not.
      await life(t, lineOf('0001', '0002', '0001_merged'));
      const added = tablesOfStep('0001_merged');
      assert.deepEqual((await t.tables()).sort(), [...tables, ...added].sort());
    },
  },
  {
    name: 'a claim in the middle of the line that has run out is taken over',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await claim(t.connect(), '0002', '0001', -1_000);
      const result = await life(t, { ...lineOf(...LINE), ddl: untouched });
      assert.deepEqual([result.outcome, result.from], ['upgraded', '0001']);
      assert.deepEqual(result.steps, ['0002', '0003']);
      await assertLine(t.connect(), WHOLE);
      await assertTables(t, ['made_0001', ...tablesOfStep('0002'), ...tablesOfStep('0003')]);
    },
  },
  {
    name: 'so are the claims of one who died with the whole line in hand',
    each: true,
    async run(t) {
      await life(t, { version: 'unrelated', marker: 'migrations' });
      const db = t.connect();
      await db.deleteFrom('migrations').execute();
      for (const [name, previous] of WHOLE) await claim(db, name, previous, -1_000);
      const result = await life(t, { ...lineOf(...LINE), upgrades: neverRun(...LINE) });
      assert.equal(result.outcome, 'installed');
      await assertLine(db, WHOLE);
    },
  },
  {
    name: 'a claim in the middle of the line that holds is waited for',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await claim(t.connect(), '0002', '0001', 60_000);
      const pending = await life(t, { ...lineOf(...LINE), ddl: untouched, onContention: 'return' });
      assert.equal(pending.outcome, 'pending');
      await assertTables(t, ['made_0001']);
      const { statements, ...caller } = listening(t);
      const waiting = life(t, { ...lineOf(...LINE), ddl: untouched }, caller);
      const looking = looked(statements).then(() => sleep(150));
      assert.equal(await Promise.race([waiting, looking]), undefined);
      await patiently(() =>
        sql`update migrations set lease = ${Date.now() - 1_000} where name = '0002'`
          .execute(t.connect())
      );
      assert.equal((await within(20_000, waiting)).outcome, 'upgraded');
      await assertLine(t.connect(), WHOLE);
    },
  },
  {
    name: 'of many callers at once one upgrades, and all return to the new schema',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const config = { ...lineOf(...LINE), ddl: untouched };
      const results = await Promise.all(Array.from({ length: 8 }, async () => {
        const caller = t.caller();
        const result = await life(t, config, caller);
        await caller.db.selectFrom('step_0003_b').selectAll().execute();
        return result;
      }));
      const outcomes = results.map(({ outcome }) => outcome);
      assert.equal(outcomes.filter((outcome) => outcome === 'upgraded').length, 1, `${outcomes}`);
      assert.ok(outcomes.every((outcome) => /upgraded|waited|already/.test(outcome)));
      await assertLine(t.connect(), WHOLE);
      await assertTables(t, ['made_0001', ...tablesOfStep('0002'), ...tablesOfStep('0003')]);
    },
  },
  {
    name: 'nobody returns while the steps are running',
    each: true,
    needs: { concurrent: true, lasting: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const [inside, held] = [gate(), gate()];
      const slow = async (db: Db) => {
        await createTable(db, 'slow');
        inside.open();
        await held.opened;
      };
      const config = { ...lineOf('0001', '0002'), ddl: untouched };
      const first = life(t, { ...config, upgrades: [{ from: '0001', ddl: slow }] });
      await inside.opened;
      const caller = listening(t);
      const second = life(t, config, caller);
      // A batch that is still being recorded holds nobody up.
      const early = t.strategy === 'batch'
        ? await within(20_000, second)
        : await Promise.race([second, looked(caller.statements).then(() => sleep(150))]);
      held.open();
      const [one, two] = await within(20_000, Promise.all([first, second]));
      if (t.strategy === 'batch') {
        assert.deepEqual([one.outcome, two.outcome], ['waited', 'upgraded']);
      } else {
        assert.equal(early, undefined);
        assert.deepEqual([one.outcome, two.outcome], ['upgraded', 'waited']);
      }
      await assertLine(t.connect(), WHOLE.slice(0, 2));
    },
  },
  {
    name: 'one that waits for a transaction returns when that is committed',
    each: true,
    needs: { transactions: true, concurrent: true, lasting: true },
    async run(t) {
      await life(t, lineOf('0001'));
      const [inside, held] = [gate(), gate()];
      const slow = async (db: Db) => {
        await createTable(db, 'slow');
        inside.open();
        await held.opened;
      };
      const config = { ...lineOf('0001', '0002'), ddl: untouched };
      const first = life(t, {
        ...config,
        upgrades: [{ from: '0001', ddl: slow }],
        strategy: 'transaction',
      }, { db: t.connect() });
      await inside.opened;
      const caller = listening(t);
      const second = life(t, { ...config, waitTimeoutMs: 10_000 }, caller);
      await looked(caller.statements);
      held.open();
      const [one, two] = await within(20_000, Promise.all([first, second]));
      assert.deepEqual([one.outcome, two.outcome], ['upgraded', 'waited']);
    },
  },
  {
    name: 'plans do as ddl and as steps',
    each: true,
    async run(t) {
      const db = t.connect();
      const planned = async (ddl: (db: Db) => unknown) =>
        JSON.parse(JSON.stringify(await planSchema(db, ddl)));
      const config = {
        version: '0003',
        ddl: await planned(creates('made_0003')),
        upgrades: await Promise.all(
          stepsOf(...LINE).map(async ({ from, ddl }) => ({
            from,
            ddl: await planned(ddl as (db: Db) => unknown),
          })),
        ),
      };
      assert.equal((await life(t, { ...config, marker: 'migrations_fresh' })).outcome, 'installed');
      await assertTables(t, ['made_0003']);
      await assertLine(db, WHOLE, 'migrations_fresh');
      await life(t, lineOf('0001'));
      const result = await life(t, config);
      assert.deepEqual([result.outcome, result.from], ['upgraded', '0001']);
      await assertLine(db, WHOLE);
      const made = ['made_0003', 'made_0001', ...tablesOfStep('0002'), ...tablesOfStep('0003')];
      await assertTables(t, made);
    },
  },
  {
    name: 'a step of a plan that was edited is refused before anything is sent',
    each: true,
    async run(t) {
      const { statements, ...caller } = listening(t);
      const plan = await planSchema(caller.db, creates('made'));
      const edited = { ...plan, statements: plan.statements.slice(1) };
      const config = { version: '0002', upgrades: [{ from: '0001', ddl: edited }] };
      await thrownAs(TypeError, life(t, config, caller));
      assert.deepEqual(statements, []);
    },
  },
  {
    name: 'code that knows no later version says of one what it is told to say',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await life(t, lineOf('0001', '0002'));
      await assertNewer(t, { version: '0001', ddl: untouched });
      await life(t, lineOf(...LINE));
      await assertNewer(t, { ...lineOf('0001', '0002'), ddl: untouched });
      const log = new Log();
      const newest = { ...lineOf(...LINE), onNewer: 'error' as const, logger: log };
      assert.equal((await life(t, newest)).outcome, 'already-installed');
      assert.deepEqual(log.errors, []);
    },
  },
  {
    name: 'createBootstrap remembers an upgrade: no statement afterwards',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      const { statements, ...caller } = listening(t);
      const { strategy } = t;
      const config = { ...lineOf('0001', '0002'), strategy } as BootstrapConfig<Db>;
      const ensure = createBootstrap<Db>(config);
      const options = caller.batch ? { batch: caller.batch } : {};
      assert.equal((await ensure(caller.db, options)).outcome, 'upgraded');
      const sent = statements.length;
      const warm = await ensure(caller.db, options);
      assert.deepEqual([warm.outcome, warm.installed], ['already-installed', false]);
      assert.equal(statements.length, sent);
    },
  },
  {
    name: 'a schema of Postgres has a line of its own',
    each: true,
    needs: { dialect: 'postgres' },
    async run(t) {
      for (const schema of ['one', 'two']) {
        await life(t, { ...lineOf('0001'), schema });
        const result = await life(t, { ...lineOf('0001', '0002'), ddl: untouched, schema });
        assert.deepEqual([result.outcome, result.from], ['upgraded', '0001'], schema);
        await assertLine(t.connect(), WHOLE.slice(0, 2), `${schema}.migrations`);
        await t.connect().selectFrom(`${schema}.step_0002_b`).selectAll().execute();
      }
    },
  },
  {
    name: 'an upgrade that is under way, and may be given up, is no newer version',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await claim(t.connect(), '0002', '0001', 60_000);
      for (const onNewer of ['warn', 'error'] as const) {
        const log = new Log();
        const result = await life(t, { ...lineOf('0001'), ddl: untouched, onNewer, logger: log });
        assert.equal(result.outcome, 'already-installed');
        assert.deepEqual(log.errors, []);
      }
    },
  },
];

/** The steps of a line, none of which may be run. */
function neverRun(...line: string[]): { from: string; ddl: (db: Db) => unknown }[] {
  return stepsOf(...line).map(({ from }) => ({ from, ddl: untouched }));
}

/** Old code meets a newer database: nothing, a warning or an error, and one statement each. */
async function assertNewer(t: LifeContext, config: LifeConfig): Promise<void> {
  for (const onNewer of ['ignore', 'warn', 'error', undefined] as const) {
    const log = new Log();
    const { statements, ...caller } = listening(t);
    const given = onNewer === undefined ? {} : { onNewer };
    const call = life(t, { ...config, ...given, logger: log }, caller);
    if (onNewer === 'error') {
      const error = await thrownAs(NewerSchemaError, call);
      assert.equal(error.code, 'NEWER_SCHEMA');
      assert.equal(error.version, config.version);
      assert.match(error.message, /"000[23]"/);
    } else assert.equal((await call).outcome, 'already-installed');
    assert.equal(log.errors.length, onNewer === 'warn' ? 1 : 0, log.errors.join('\n'));
    if (onNewer === 'warn') assert.match(log.errors[0]!, /is installed, but .*"000[23]"/);
    assert.equal(statements.length, 1, statements.join('\n'));
  }
}
