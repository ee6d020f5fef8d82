/**
 * Workers that die in the middle of an install on D1: their request goes with the client, they are
 * disposed of, or their runtime is killed and starts again on its files.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { callerOn, onD1 } from '../batch/subjects.ts';
import { sleep, until, within } from '../cases/support.ts';
import { type IsolateDatabase, type Isolates, startIsolates } from '../engines/isolates.ts';
import { during } from '../processes/during.ts';
import { seeded, spread, spreadInteger } from '../processes/random.ts';
import { callAndUse } from '../races/call.ts';
import { type IsolateAnswer, type IsolateOrder, SIGNS } from '../races/isolate_messages.ts';
import { sturdyCaller } from '../races/sturdy.ts';
import { type Endpoint, startProxy } from '../support/proxy.ts';
import { acknowledgedIn, judge } from './aftermath.ts';
import { askFor, orderFor, withBatchFor } from './asks.ts';
import { CEILING_MS, COUNTS } from './counts.ts';
import { Toll } from './toll.ts';

/**
 * How it ends: for `'cancel'` the client goes away, and workerd drops the request; the others are
 * about all isolates.
 */
export const ISOLATE_ENDS = ['cancel', 'replace', 'kill'] as const;

type End = (typeof ISOLATE_ENDS)[number];

/** What can be had on D1. */
export const D1_STRATEGIES = ['batch', 'lease'] as const;

type Strategy = (typeof D1_STRATEGIES)[number];

/** When it ends: with all isolates resting before that statement, or by the clock. */
type Moment = { beforeStatement: number } | { afterMs: number };

let started: Promise<Isolates> | undefined;

function isolates(): Promise<Isolates> {
  const deaths = ISOLATE_ENDS.length * D1_STRATEGIES.length * COUNTS.isolates * 2;
  return started ??= startIsolates({
    count: 3,
    script: new URL('../races/isolate.ts', import.meta.url),
    databases: deaths + 20,
    objects: 'RacingObject',
  });
}

/** Ends what the cases have started. */
export async function stopIsolates(): Promise<void> {
  await (await started)?.stop();
}

async function inDatabase(use: (database: IsolateDatabase) => Promise<void>): Promise<void> {
  const database = (await isolates()).create();
  assert.ok(database, 'no database is left');
  try {
    await database.run(`create table ${SIGNS} (name text)`);
    await use(database);
  } finally {
    await database.drop();
  }
}

/** Ends installs of one strategy in one way: between their statements, and at any time. */
export async function endIsolates(strategy: Strategy, end: End): Promise<void> {
  const toll = new Toll(`d1, ${strategy}, ${end}`);
  await seeded(async (random) => {
    const { statements, durationMs } = await measure(strategy);
    const moments: Moment[] = [
      ...spreadInteger(random, COUNTS.isolates, 1, statements)
        .map((beforeStatement) => ({ beforeStatement })),
      ...spread(random, COUNTS.isolates, 0, 1.2 * durationMs).map((afterMs) => ({ afterMs })),
    ];
    for (const [n, moment] of moments.entries()) {
      await during(
        `end ${n} (${JSON.stringify(moment)})`,
        () => inDatabase((database) => endOnce(database, strategy, { end, moment, n }, toll)),
      );
    }
    toll.tell(`; ${statements} statements in ${Math.round(durationMs)} ms`);
  });
}

interface Whole {
  readonly statements: number;
  readonly durationMs: number;
}

/** The same call while nothing happens: its statements as seen from here, its time in an isolate. */
async function measure(strategy: Strategy): Promise<Whole> {
  let statements = 0;
  await inDatabase(async (database) => {
    let sent = 0;
    const caller = {
      ...sturdyCaller(onD1, database, { onStatement: () => sent++ }),
      resolved: () => statements = sent,
    };
    const ask = askFor('by_0', strategy, false);
    assert.equal((await callAndUse(withBatchFor(strategy, caller), ask)).outcome, 'installed');
  });
  let durationMs = 0;
  await inDatabase(async (database) => {
    const startedAt = performance.now();
    assert.equal((await call(database, strategy)).outcome, 'installed');
    durationMs = performance.now() - startedAt;
  });
  return { statements, durationMs };
}

async function call(
  database: IsolateDatabase,
  strategy: Strategy,
  more: Partial<IsolateOrder> = {},
  via?: Endpoint,
): Promise<IsolateAnswer> {
  const order: IsolateOrder = { ...orderFor('by_held', strategy), ...more };
  const { status, text } = await database.fetch(0, { body: JSON.stringify(order), via });
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

async function endOnce(
  database: IsolateDatabase,
  strategy: Strategy,
  { end, moment, n }: { end: End; moment: Moment; n: number },
  toll: Toll,
): Promise<void> {
  const settled = await callAndEnd(database, strategy, end, moment);
  const acknowledged = acknowledgedIn(settled ? [{ settled, mark: 'by_held' }] : []);
  const left = await judge(database, { strategy, acknowledged }, () => callerOn(onD1, database), {
    next: D1_STRATEGIES[(n >> 1) % D1_STRATEGIES.length]!,
    isAtOnce: n % 2 === 1,
  });
  toll.add(left, acknowledged.length);
}

/** The answer of a call that is ended, if it was given before that. */
async function callAndEnd(
  database: IsolateDatabase,
  strategy: Strategy,
  end: End,
  moment: Moment,
): Promise<IsolateAnswer | undefined> {
  const all = await isolates();
  const proxy = await startProxy('http', all.endpoint());
  try {
    const isHalted = 'beforeStatement' in moment;
    const halt = isHalted ? { haltBefore: moment.beforeStatement } : {};
    const held = call(database, strategy, halt, proxy).catch(() => undefined);
    if (isHalted) await within(CEILING_MS, until(() => isSigned(database)));
    else await sleep(moment.afterMs);
    if (end === 'cancel') proxy.inflict('cut');
    else await all[end]();
    return await within(CEILING_MS, held);
  } finally {
    await proxy.stop();
  }
}

async function isSigned(database: IsolateDatabase): Promise<boolean> {
  return (await database.run(`select name from ${SIGNS}`)).length > 0;
}
