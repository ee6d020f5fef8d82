/**
 * Networks that fail: each request of an install in turn is lost, or its answer, or nothing passes
 * from there on; and one that is merely slow.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { WIRED, type WireSubject } from '../batch/wire.ts';
import { within } from '../cases/support.ts';
import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import { isFull } from '../processes/counts.ts';
import { during } from '../processes/during.ts';
import { type Random, seeded, spreadInteger } from '../processes/random.ts';
import { callAndUse, type Settled } from '../races/call.ts';
import { sturdyCaller } from '../races/sturdy.ts';
import { assertOneInstall } from '../races/tally.ts';
import { type Fault, type Proxy, startProxy } from '../support/proxy.ts';
import { acknowledgedIn, judge } from './aftermath.ts';
import { askFor, STRATEGIES, withBatchFor } from './asks.ts';
import { CEILING_MS, COUNTS, LEASE_MS } from './counts.ts';
import { several } from './several.ts';
import { Toll } from './toll.ts';

/** What may happen to a request. */
const WIRE_FAULTS = ['lose request', 'lose answer', 'silence', 'silence answers'] as const;

/** The engines whose bytes can be read, where they are to be had. */
export const WIRES: readonly WireSubject[] = WIRED.filter(({ subject }) => !subject.engine.missing);

/** From here on an install takes longer than a lease, and longer than sqld leaves it the lock. */
const TOO_SLOW_MS = 150;

/** How long everything takes either way on a slow network. */
function delaysFor({ framing }: WireSubject, strategy: Strategy): number[] {
  if (isFull) return [5, 50, TOO_SLOW_MS];
  // Where a transaction is taken from its owner, its next statement must not be sent.
  return framing === 'http' && strategy === 'transaction' ? [TOO_SLOW_MS] : [50];
}

/** Longer than sqld leaves a transaction the lock that another one wants. */
const WAIT_TIMEOUT_MS = 8_000;

/** Longer than an install takes anywhere. */
const PATIENT = { waitTimeoutMs: CEILING_MS / 2, leaseMs: CEILING_MS / 4 };

/** How many at a time: most of each is waiting for a lease to run out, or for a server to act. */
const WIDTH = 8;

interface Stage {
  readonly wired: WireSubject;
  readonly database: TestDatabase;
  readonly proxy: Proxy;
  readonly strategy: Strategy;
}

/** An install behind a proxy. */
function onWire(
  wired: WireSubject,
  strategy: Strategy,
  use: (stage: Stage) => Promise<void>,
): Promise<void> {
  return inDatabase(wired.subject.engine, async (database) => {
    const { endpoint } = await wired.subject.engine.start();
    const proxy = await startProxy(wired.framing, endpoint!);
    try {
      await use({ wired, database, proxy, strategy });
    } finally {
      await proxy.stop();
    }
  });
}

/** One kind of fault, at one request after the other. */
async function breakWire(
  wired: WireSubject,
  strategy: Strategy,
  fault: Fault,
): Promise<void> {
  const toll = new Toll(`${wired.subject.name}, ${strategy}, ${fault}`);
  await seeded(async (random) => {
    const requests = await measure(wired, strategy);
    const places = placesIn(random, requests);
    await several(
      WIDTH,
      places,
      (place, n) =>
        during(
          `at request ${place} of ${requests}`,
          () => onWire(wired, strategy, (stage) => breakOnce(stage, fault, { place, n }, toll)),
        ),
    );
    toll.tell(`; ${requests} requests`);
  });
}

/** All of them, or some and the last one, which commits. */
function placesIn(random: Random, requests: number): number[] {
  const count = Math.min(COUNTS.requests, requests);
  return [...spreadInteger(random, count - 1, 1, requests - 1), requests];
}

async function measure(wired: WireSubject, strategy: Strategy): Promise<number> {
  let requests = 0;
  await onWire(wired, strategy, async (stage) => {
    const resolved = () => requests = stage.proxy.requests.length;
    // A renewal would be one that the next call may not need.
    const { outcome } = await call(stage, 'by_0', { resolved, ...PATIENT });
    assert.equal(outcome, 'installed');
  });
  return requests;
}

function call(
  { wired, database, proxy, strategy }: Stage,
  mark: string,
  { resolved, ...times }: { resolved?: () => void } & Partial<typeof PATIENT> = {},
): Promise<Settled> {
  const caller = { ...sturdyCaller(wired.subject, database, { via: proxy }), resolved };
  const ask = askFor(mark, strategy, strategy === 'lease');
  const usual = { waitTimeoutMs: WAIT_TIMEOUT_MS, leaseMs: LEASE_MS };
  return callAndUse(withBatchFor(strategy, caller), { ...ask, ...usual, ...times });
}

async function breakOnce(
  stage: Stage,
  fault: Fault,
  { place, n }: { place: number; n: number },
  toll: Toll,
): Promise<void> {
  const { wired, database, proxy, strategy } = stage;
  const isHeld = fault === 'silence' || fault === 'silence answers';
  const nextOn = () => sturdyCaller(wired.subject, database);
  const choices = { next: STRATEGIES[n % STRATEGIES.length]!, isAtOnce: n % 2 === 1 };

  let hasStruck = false;
  const sprung = proxy.inflictAt(place, fault).then(() => {
    hasStruck = true;
  });
  const calling = call(stage, 'by_held');
  await within(CEILING_MS, isHeld ? Promise.race([sprung, calling]) : calling);
  if (isHeld) {
    // Whoever comes now knows nothing of the one that hangs.
    toll.add(await judge(database, { strategy, acknowledged: [] }, nextOn, choices));
    proxy.inflict('cut');
    proxy.heal();
  }
  const settled = await within(CEILING_MS, calling);
  assert.ok(hasStruck, `nothing was hit: ${JSON.stringify(settled)}`);
  assert.equal(proxy.cuts, fault === 'lose answer' ? 1 : 0);
  const acknowledged = acknowledgedIn([{ settled, mark: 'by_held' }]);
  const mark = 'by_other';
  const left = await judge(database, { strategy, acknowledged }, nextOn, { ...choices, mark });
  if (!isHeld) toll.add(left, acknowledged.length);
}

/** All of that, and a network that is merely slow, at the same time: most of it is waiting. */
export async function failWire(wired: WireSubject, strategy: Strategy): Promise<void> {
  const all = [
    ...WIRE_FAULTS.map((fault) => () => breakWire(wired, strategy, fault)),
    ...delaysFor(wired, strategy).map((ms) => () => slowWire(wired, strategy, ms)),
  ];
  await several(all.length, all, (run) => run());
}

/** Everything takes so long; nothing else is wrong. */
function slowWire(wired: WireSubject, strategy: Strategy, ms: number): Promise<void> {
  return onWire(wired, strategy, async (stage) => {
    stage.proxy.delay(ms);
    const marks = [0, 1, 2].map((at) => `by_${at}`);
    // Where nobody may lose a claim or give up, not even on a machine that is busy.
    const times = ms < TOO_SLOW_MS ? PATIENT : {};
    const calling = marks.map(async (mark) => ({
      mark,
      settled: await call(stage, mark, times),
    }));
    const ended = await within(CEILING_MS, Promise.all(calling));
    const settled = ended.map(({ settled }) => settled);
    if (ms < TOO_SLOW_MS) assertOneInstall(settled);
    for (const { error } of settled) {
      if (error) assert.match(`${error.name} ${error.message}`, LATE);
    }
    await judge(
      stage.database,
      { strategy, acknowledged: acknowledgedIn(ended) },
      () => sturdyCaller(wired.subject, stage.database),
      { next: 'batch', isAtOnce: false },
    );
  });
}

/** What they are told then. */
const LATE = /^(WaitTimeoutError|LeaseLostError)|TRANSACTION_TIMEOUT/;
