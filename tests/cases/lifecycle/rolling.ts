/**
 * Rolling deploys: old and new code start together, on a database of any age. Whatever the order of
 * their statements, everyone ends in the new schema, and old code never installs over it.
 *
 * @module
 */

import assert from 'node:assert/strict';

import {
  type BootstrapResult,
  NewerSchemaError,
  NoUpgradePathError,
  SchemaError,
} from '../../../mod.ts';
import { createTable, type Db, gate, looked, sleep, thrownAs, within } from '../support.ts';
import {
  assertLine,
  assertTables,
  type Caller,
  claim,
  creates,
  life,
  type LifeCase,
  type LifeConfig,
  type LifeContext,
  lineOf,
  listening,
  rows,
  untouched,
} from './support.ts';

/** The builds that start together, and the databases that they meet. */
interface Deploy {
  readonly what: string;
  /** The lines of the builds; one of a single name is code without `upgrades`. */
  readonly builds: readonly (readonly string[])[];
  /** The lines that were deployed before, one after the other. */
  readonly histories: readonly (readonly (readonly string[])[])[];
  /** The targets, of which the database must hold exactly one in the end. */
  readonly ends: readonly string[];
}

const V1 = ['0001'];
const V2 = ['0001', '0002'];
const V3 = ['0001', '0002', '0003'];
const LEFT = ['0001', 'left'];
const RIGHT = ['0001', 'right'];

const DEPLOYS: readonly Deploy[] = [
  {
    what: 'old code without upgrades',
    builds: [V1, V2, V1, V2],
    histories: [[], [V1], [V1, V2], [V2]],
    ends: ['0002'],
  },
  {
    what: 'old code with a shorter line',
    builds: [V2, V3, V2, V3],
    histories: [[], [V1], [V2], [V1, V2, V3], [V3]],
    ends: ['0003'],
  },
  {
    what: 'old code of every age',
    builds: [V1, V2, V3],
    histories: [[], [V1]],
    ends: ['0003'],
  },
  {
    what: 'two builds whose lines part ways',
    builds: [LEFT, RIGHT, LEFT, RIGHT],
    histories: [[], [V1], [V1, LEFT], [RIGHT]],
    ends: ['left', 'right'],
  },
];

/** How often each start is tried, each time with other pauses. */
const ROUNDS = 3;

/** The cases of this file. */
export const cases: readonly LifeCase[] = [
  ...DEPLOYS.map((deploy): LifeCase => ({
    name: `a rolling deploy beside ${deploy.what} ends in one new schema`,
    each: true,
    async run(t) {
      for (const [h, history] of deploy.histories.entries()) {
        for (let round = 0; round < ROUNDS; round++) {
          await assertDeploy(t, deploy, history, `${h}_${round}`, h * ROUNDS + round);
        }
      }
    },
  })),
  {
    name: 'beside old code that asks for an error, nobody throws anything else',
    each: true,
    async run(t) {
      for (let round = 0; round < ROUNDS; round++) {
        const app = new App(`_e${round}`);
        const start = pacer(3, round);
        const settled = await within(
          30_000,
          Promise.allSettled([V1, V2, V1].map(async (line, n) => {
            const onNewer = line === V1 ? 'error' as const : 'ignore' as const;
            const { onStatement, over } = start(n);
            const config = { ...app.config(line), onNewer };
            return await life(t, config, t.caller(onStatement)).finally(over);
          })),
        );
        assert.equal(settled[1]!.status, 'fulfilled');
        for (const one of settled) {
          if (one.status === 'rejected') {
            assert.ok(one.reason instanceof NewerSchemaError, `${one.reason}`);
          }
        }
        await assertOneOf(t, app, ['0002']);
      }
    },
  },
  {
    name: 'old code that is inside its first install is waited for, and then led on',
    each: true,
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const [inside, held] = [gate(), gate()];
      const old = life(t, {
        version: '0001',
        ddl: async (db: Db) => {
          await createTable(db, 'made_0001');
          inside.open();
          await held.opened;
        },
      });
      await inside.opened;
      const caller = listening(t);
      const newer = life(t, lineOf(...V2), caller);
      const isBatch = t.strategy === 'batch';
      // One that is still being recorded has not claimed anything.
      if (isBatch) await within(20_000, newer);
      else await looked(caller.statements);
      held.open();
      const [first, second] = await within(20_000, Promise.all([old, newer]));
      if (isBatch) {
        assert.deepEqual([first.outcome, second.outcome], ['waited', 'installed']);
        await assertTables(t, ['made_0002']);
      } else {
        assert.deepEqual([first.outcome, second.outcome], ['installed', 'upgraded']);
        await assertTables(t, ['made_0001', 'step_0002_a', 'step_0002_b']);
      }
      await assertLine(t.connect(), [['0001', null], ['0002', '0001']]);
    },
  },
  {
    name: 'new code that is inside a fresh install is waited for by old code',
    each: true,
    needs: { concurrent: true, lasting: true },
    async run(t) {
      const [inside, held] = [gate(), gate()];
      const newer = life(t, {
        ...lineOf(...V3),
        ddl: async (db: Db) => {
          await createTable(db, 'made_0003');
          inside.open();
          await held.opened;
        },
      });
      await inside.opened;
      const isBatch = t.strategy === 'batch';
      const callers = [listening(t), listening(t)];
      const olds = [V1, V2].map((line, n) =>
        life(t, { ...lineOf(...line), ...(!isBatch && { ddl: untouched }) }, callers[n])
      );
      if (isBatch) await Promise.all(olds);
      else await Promise.all(callers.map(({ statements }) => looked(statements)));
      held.open();
      const results = await within(20_000, Promise.all([newer, ...olds]));
      const outcomes = results.map(({ outcome }) => outcome);
      // One that is still being recorded has not claimed anything, so old code is first.
      if (isBatch) assert.equal(outcomes[0], 'upgraded');
      else assert.deepEqual(outcomes, ['installed', 'waited', 'waited']);
      await assertLine(t.connect(), [['0001', null], ['0002', '0001'], ['0003', '0002']]);
    },
  },
  {
    name: 'a claim of another branch that has run out holds nobody up',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      await claim(t.connect(), 'left', '0001', -1_000);
      const result = await life(t, { ...lineOf(...RIGHT), waitTimeoutMs: 4_000 });
      assert.deepEqual([result.outcome, result.from], ['upgraded', '0001']);
      const held = (await rows(t.connect())).filter(({ state }) => state === 'installed');
      assert.deepEqual(held.map(({ name }) => name), ['0001', 'right']);
    },
  },
  {
    name: 'one that takes over a claim without an origin still keeps the other branch out',
    each: true,
    async run(t) {
      await life(t, lineOf('0001'));
      // As code without upgrades leaves it that died under a lease.
      await claim(t.connect(), 'left', null, -1_000);
      const [probed, go] = [gate(), gate()];
      let sent = 0;
      const held = t.caller(async () => {
        if (++sent !== 2) return;
        probed.open();
        await go.opened;
      });
      const right = life(t, { ...lineOf(...RIGHT), waitTimeoutMs: 4_000 }, held)
        .then(({ outcome }) => outcome, (error) => error);
      await probed.opened;
      const left = life(t, {
        ...lineOf(...LEFT),
        upgrades: [{
          from: '0001',
          ddl: async (db: Db) => {
            await createTable(db, 'step_left_a');
            go.open();
            await Promise.race([right, sleep(500)]);
          },
        }],
      }).then(({ outcome }) => outcome, (error) => error);
      const outcomes = await within(20_000, Promise.all([left, right]));
      assert.equal(outcomes.filter((one) => one === 'upgraded').length, 1, `${outcomes}`);
      const lost = outcomes.find((one) => one !== 'upgraded');
      assert.ok(lost instanceof SchemaError, `${outcomes}`);
      const names = (await rows(t.connect())).filter(({ state }) => state === 'installed');
      assert.equal(names.length, 2);
    },
  },
];

/** A line with a ledger and tables of its own, so that one database has room for many. */
class App {
  readonly suffix: string;
  readonly marker: string;

  constructor(suffix: string) {
    this.suffix = suffix;
    this.marker = `migrations${suffix}`;
  }

  config(line: readonly string[]): LifeConfig {
    const version = line.at(-1)!;
    return {
      version,
      marker: this.marker,
      ddl: creates(this.made(version, 'a'), this.made(version, 'b')),
      upgrades: line.slice(0, -1).map((from, at) => ({
        from,
        ddl: creates(this.step(line[at + 1]!, 'a'), this.step(line[at + 1]!, 'b')),
      })),
    };
  }

  made(version: string, part: string): string {
    return `made_${version}${this.suffix}_${part}`;
  }

  step(version: string, part: string): string {
    return `step_${version}${this.suffix}_${part}`;
  }
}

async function assertDeploy(
  t: LifeContext,
  { builds, ends }: Deploy,
  history: readonly (readonly string[])[],
  name: string,
  seed: number,
): Promise<void> {
  const app = new App(`_${name}`);
  for (const line of history) await life(t, app.config(line));
  const start = pacer(builds.length, seed);
  const settled = await within(
    30_000,
    Promise.allSettled(builds.map(async (line, n) => {
      const { onStatement, over } = start(n);
      const caller: Caller = t.caller(onStatement);
      return await life(t, app.config(line), caller).finally(over);
    })),
  );
  const end = await assertOneOf(t, app, ends);
  for (const [n, one] of settled.entries()) {
    const target = builds[n]!.at(-1)!;
    const isOther = ends.includes(target) && target !== end;
    if (one.status === 'fulfilled') assert.ok(!isOther, `${name}: ${target} is not there`);
    else if (isOther) assert.ok(one.reason instanceof NoUpgradePathError, `${one.reason}`);
    else assert.fail(`${name}: ${target} failed: ${one.reason}`);
  }
  const results = settled.flatMap((one) => one.status === 'fulfilled' ? [one.value] : []);
  assertEachOnce(results, name);
  // Later starts find all there, or say that they do not know it.
  for (const line of builds) {
    const again = life(t, { ...app.config(line), ddl: untouched });
    if (ends.includes(line.at(-1)!) && line.at(-1) !== end) {
      await thrownAs(NoUpgradePathError, again);
    } else assert.equal((await again).outcome, 'already-installed');
  }
}

/** No version has two callers that say they have put it there. */
function assertEachOnce(results: readonly BootstrapResult[], name: string): void {
  const done = results.filter(({ installed }) => installed).map(({ version }) => version);
  assert.equal(new Set(done).size, done.length, `${name}: ${done}`);
}

/** The target that the database came to, by one road alone: ledger and tables agree. */
async function assertOneOf(t: LifeContext, app: App, ends: readonly string[]): Promise<string> {
  const found = await rows(t.connect(), app.marker);
  assert.ok(found.every(({ state }) => state === 'installed'), JSON.stringify(found));
  const names = found.map(({ name }) => name);
  const there = ends.filter((end) => names.includes(end));
  assert.equal(there.length, 1, `${names}`);
  // Each version but the first is led to from another one, and no version to two.
  const origins = found.map(({ previous }) => previous).filter((previous) => previous !== null);
  assert.equal(new Set(origins).size, found.length - 1, JSON.stringify(found));

  const tables = (await t.tables()).filter((name) => name.includes(`${app.suffix}_`));
  const made = names.filter((name) => tables.includes(app.made(name, 'a')));
  assert.equal(made.length, 1, `more than one canonical ddl was run: ${tables}`);
  // What the canonical ddl did not include has come by steps.
  const depths = new Map(names.map((name) => [name, depthOf(name, found)]));
  const steps = names.filter((name) => depths.get(name)! > depths.get(made[0]!)!);
  const expected = [
    ...['a', 'b'].map((part) => app.made(made[0]!, part)),
    ...steps.flatMap((name) => ['a', 'b'].map((part) => app.step(name, part))),
  ];
  assert.deepEqual(tables.sort(), expected.sort());
  return there[0]!;
}

function depthOf(
  name: string,
  found: readonly { name: string; previous: string | null }[],
): number {
  const previous = found.find((row) => row.name === name)?.previous ?? null;
  return previous === null ? 0 : 1 + depthOf(previous, found);
}

/** What one caller of a race does around its statements. */
interface Pace {
  onStatement(): Promise<void>;
  over(): void;
}

/**
 * Makes a race out of the ordinary: one caller stops before one of its statements until the others
 * are done (or wait for it), and everyone's first statements leave together or after short pauses.
 */
function pacer(callers: number, seed: number): (caller: number) => Pace {
  let state = seed * 7919 + 1;
  const random = (below: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor(state / 65536) % below;
  };
  for (let n = 0; n < 5; n++) random(2);
  const stopped = random(callers);
  const before = 2 + random(6);
  const isTogether = random(2) === 0;
  const pauses = Array.from({ length: 64 }, () => random(4) === 0 ? random(8) : 0);
  const all = gate();
  const others = gate();
  let arrived = 0;
  let ended = 0;
  return (caller) => {
    let sent = 0;
    return {
      async onStatement() {
        sent++;
        // All look at the ledger before anyone acts on what it saw.
        if (isTogether && sent === 2) {
          if (++arrived === callers) all.open();
          await Promise.race([all.opened, sleep(40)]);
        }
        if (caller === stopped && sent === before) await Promise.race([others.opened, sleep(60)]);
        const pause = pauses[(sent * callers + caller) % pauses.length]!;
        if (pause > 0) await sleep(pause);
      },
      over() {
        if (++ended === callers - 1) others.open();
      },
    };
  };
}
