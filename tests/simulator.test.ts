/**
 * The simulator itself: its clock, its worlds, and whether its checker finds what is known to be
 * wrong. What it finds out about the library is `deno task simulate`.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as library from '../mod.ts';
import { catalogue, TIMES, WORLDS } from './simulator/catalogue.ts';
import { explore } from './simulator/explore.ts';
import { withSurroundings } from './simulator/globals.ts';
import { runSeed } from './simulator/random.ts';
import { type Protocol, type Scenario, schemaOf } from './simulator/scenario.ts';
import { EPOCH_MS } from './simulator/store.ts';
import { FAULTS, type Outcome, Simulation } from './simulator/simulation.ts';
import { findTeeth } from './simulator/teeth.ts';
import { timeline } from './simulator/timeline.ts';

const NO_FAULTS = { preemptions: 0, faults: [], mostFaults: 0 };

function scenarioOf(protocol: Protocol, callers = 1): Scenario {
  const caller = { strategy: 'lease', schema: schemaOf(), clockMs: 3_600_000 } as const;
  return {
    name: 'a test',
    world: WORLDS.sqlite,
    protocol,
    ...TIMES,
    callers: Array.from({ length: callers }, () => caller),
  };
}

/** What a simulation replaces while it runs. */
function surroundings(): unknown[] {
  const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
  const timers = [setTimeout, clearTimeout, setInterval, clearInterval];
  const { randomUUID, subtle } = crypto;
  return [...timers, Date.now, performance.now, Math.random, randomUUID, subtle.digest];
}

function runOnce(scenario: Scenario): Promise<Outcome> {
  return withSurroundings(() =>
    new Simulation(scenario, { choose: () => 0, isTraced: true }).run()
  );
}

test('every known fault of claim-then-DDL is found', async () => {
  const found = await findTeeth();
  assert.equal(found.length, 3);
  for (const { name, isFound, text } of found) {
    assert.ok(isFound, name);
    assert.match(text, /^FAILED: /m);
    assert.match(text, /^ {3}1 +0 {2}A {2}starts/m);
    for (const line of text.split('\n')) assert.ok(line.length <= 80, line);
  }
});

test('time passes by timers alone, for each caller by its own clocks', async () => {
  const seen: number[] = [];
  const protocol: Protocol = async ({ db }) => {
    const before = { monotonic: performance.now(), wall: Date.now() };
    await db.schema.createTable('notes').addColumn('id', 'integer').execute();
    seen.push(performance.now() - before.monotonic);
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    seen.push(performance.now() - before.monotonic, Date.now() - before.wall, before.wall);
    return { installed: true, outcome: 'installed' };
  };
  const before = surroundings();
  await runOnce({ ...scenarioOf(protocol), waitTimeoutMs: 100_000 });
  // The caller's own clock is an hour ahead of the database's.
  assert.deepEqual(seen.slice(0, 4), [0, 60_000, 60_000, EPOCH_MS + 3_600_000]);
  assert.ok(surroundings().every((own, n) => own === before[n]), 'they are the real ones again');
});

test('a caller that never ends is found', async () => {
  const { violation } = await runOnce(scenarioOf(() => new Promise(() => {})));
  assert.equal(violation?.invariant, 'bounded');
});

test('DDL after the end of a call is found', async () => {
  const caller = { strategy: 'lease', schema: schemaOf(), onContention: 'return' } as const;
  const protocol: Protocol = ({ db, ddl }) => {
    setTimeout(() => ddl(db), 10);
    return Promise.resolve({ installed: false, outcome: 'pending' });
  };
  const { violation } = await runOnce({ ...scenarioOf(protocol), callers: [caller] });
  assert.equal(violation?.invariant, 'no DDL after the end of the call');
});

test('a search goes further with each pre-emption, and ends', async () => {
  const scenario = catalogue(library).find(({ name }) => name === 'batches on D1')!;
  const counts: number[] = [];
  for (const preemptions of [0, 1, 2]) {
    const { schedules, isComplete } = await explore(scenario, { ...NO_FAULTS, preemptions });
    assert.ok(isComplete);
    counts.push(schedules);
  }
  assert.ok(counts[0]! < counts[1]! && counts[1]! < counts[2]!, counts.join());
});

test('a schedule and a seed come to the same every time', async () => {
  const first = await runSeed(library, 17, { isTraced: true });
  const second = await runSeed(library, 17, { isTraced: true });
  const text = timeline(first.scenario, first.outcome);
  assert.equal(timeline(second.scenario, second.outcome), text);
  assert.ok(first.outcome.lines.length > 5);
});

test('the library passes a search of each world', async () => {
  for (const scenario of catalogue(library)) {
    const bounds = { ...NO_FAULTS, faults: FAULTS, mostFaults: 1, mostRuns: 30 };
    const { violations, faults } = await explore(scenario, bounds);
    const [violation] = violations;
    assert.equal(violation && timeline(scenario, violation.outcome), undefined);
    assert.ok(Object.keys(faults).length > 0, scenario.name);
  }
});
