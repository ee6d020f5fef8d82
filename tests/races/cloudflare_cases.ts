/**
 * Races and deaths in workerd: many isolates on one D1 database, many calls in one Durable Object.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { sleep, until, within } from '../cases/support.ts';
import { type IsolateDatabase, type Isolates, startIsolates } from '../engines/isolates.ts';
import { tell } from '../processes/counts.ts';
import { COUNTS, FEW_TABLES, TABLES, WAITS } from './counts.ts';
import { type IsolateAnswer, type IsolateOrder, SIGNS } from './isolate_messages.ts';
import { assertInTime, assertOneInstall, Tally } from './tally.ts';

/** How long a request needs to reach its isolate, generously. */
const LEAD_MS = 150;

let started: Promise<Isolates> | undefined;

function isolates(): Promise<Isolates> {
  return started ??= startIsolates({
    count: COUNTS.d1.callers,
    script: new URL('isolate.ts', import.meta.url),
    databases: 3 * COUNTS.d1.rounds + 20,
    objects: 'RacingObject',
  });
}

/** Ends what the cases have started. */
export async function stopIsolates(): Promise<void> {
  await (await started)?.stop();
}

async function inDatabase(
  use: (database: IsolateDatabase, all: Isolates) => Promise<void>,
): Promise<void> {
  const all = await isolates();
  const database = all.create();
  assert.ok(database, 'no database is left');
  try {
    await use(database, all);
  } finally {
    await database.drop();
  }
}

async function ask(
  database: IsolateDatabase,
  isolate: number,
  order: IsolateOrder,
): Promise<IsolateAnswer> {
  const { status, text } = await database.fetch(isolate, { body: JSON.stringify(order) });
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

/** The order to each isolate, woken together. */
function askAll(
  database: IsolateDatabase,
  { count }: Isolates,
  order: IsolateOrder,
): Promise<IsolateAnswer[]> {
  const at = Date.now() + LEAD_MS;
  const answers = Array.from({ length: count }, (_, n) => ask(database, n, { ...order, at }));
  return within(60_000, Promise.all(answers));
}

/** Isolates that wake up together on a fresh D1 database. */
export async function stampedeOnD1(strategy: Strategy | undefined): Promise<void> {
  const tally = new Tally(`d1, ${strategy ?? 'auto'}`);
  for (let round = 0; round < COUNTS.d1.rounds; round++) {
    await inDatabase(async (database, all) => {
      const order = { tables: TABLES, ...(strategy && { strategy }) };
      tally.add(await askAll(database, all, order));
      assert.equal((await database.tables()).length, TABLES + 1);
    });
  }
  tally.tell();
  assert.ok(tally.count('waited') > 0, 'nobody met anybody');
}

/** Isolates that call one Durable Object together, which installs its own schema. */
export async function stampedeOnObject(strategy: Strategy | undefined): Promise<void> {
  const tally = new Tally(`durable object, ${strategy ?? 'auto'}`);
  await inDatabase(async (database, all) => {
    for (let round = 0; round < COUNTS.objects.rounds; round++) {
      const object = crypto.randomUUID();
      const order = { object, tables: TABLES, ...(strategy && { strategy }) };
      tally.add(await askAll(database, all, order));
    }
  });
  tally.tell();
}

interface Barrier {
  readonly database: IsolateDatabase;
  readonly all: Isolates;
  readonly winner: Promise<IsolateAnswer>;
}

/** The first isolate is held inside its ddl. */
function withWinner(
  strategy: Strategy,
  use: (barrier: Barrier) => Promise<void>,
): Promise<void> {
  return inDatabase(async (database, all) => {
    await database.run(`create table ${SIGNS} (name text)`);
    const order = { strategy, tables: FEW_TABLES, isHeld: true, leaseMs: WAITS.leaseMs };
    const winner = ask(database, 0, order);
    winner.catch(() => {});
    await within(20_000, until(async () => (await signs(database)).includes('inside')));
    await use({ database, all, winner });
  });
}

async function signs(database: IsolateDatabase): Promise<string[]> {
  const rows = await database.run(`select name from ${SIGNS}`) as { name: string }[];
  return rows.map(({ name }) => name);
}

async function sign(database: IsolateDatabase, name: string): Promise<void> {
  await database.run(`insert into ${SIGNS} (name) values ('${name}')`);
}

function others(
  { database, all }: Barrier,
  order: Partial<IsolateOrder>,
): { readonly settled: IsolateAnswer[]; readonly all: Promise<IsolateAnswer[]> } {
  const settled: IsolateAnswer[] = [];
  const waiting = Array.from({ length: all.count - 1 }, async (_, n) => {
    const answer = await ask(database, n + 1, {
      tables: FEW_TABLES,
      isIdempotent: true,
      leaseMs: WAITS.leaseMs,
      ...order,
    });
    settled.push(answer);
    return answer;
  });
  return { settled, all: Promise.all(waiting) };
}

/** Nobody returns before the winner is let go, or fails. */
export function holdIsolates(how: 'go' | 'fail'): Promise<void> {
  return withWinner('lease', async (barrier) => {
    const waiting = others(barrier, { strategy: 'lease' });
    await sleep(WAITS.heldMs);
    assert.equal(waiting.settled.length, 0, JSON.stringify(waiting.settled));
    await sign(barrier.database, how);
    const first = await within(20_000, barrier.winner);
    assertOneInstall(await within(30_000, waiting.all), how === 'go' ? 0 : 1);
    if (how === 'go') assert.equal(first.outcome, 'installed');
    else assert.equal(first.error?.message, 'on purpose');
  });
}

/** The winner hangs for ever: the others end in time, and name it. */
export function hangIsolate(): Promise<void> {
  return withWinner('lease', async (barrier) => {
    const times = { waitTimeoutMs: WAITS.timeoutMs, leaseMs: 1_000 };
    const settled = await within(30_000, others(barrier, { strategy: 'lease', ...times }).all);
    const [row] = await barrier.database.run('select owner, since from migrations') as {
      owner: string;
      since: number;
    }[];
    for (const { error, durationMs } of settled) {
      assert.equal(error?.name, 'WaitTimeoutError', JSON.stringify(settled));
      assertInTime(durationMs);
      assert.deepEqual(error.holder, row);
      assert.ok(error.message.includes(row!.owner), error.message);
    }
    await sign(barrier.database, 'go');
    assert.equal((await within(20_000, barrier.winner)).outcome, 'installed');
  });
}

/** Until a batch is sent nothing is held: the others do not wait for one who is still recording. */
export function holdRecorder(): Promise<void> {
  return withWinner('batch', async (barrier) => {
    assertOneInstall(await within(30_000, others(barrier, { strategy: 'batch' }).all));
    await sign(barrier.database, 'go');
    assert.equal((await within(20_000, barrier.winner)).outcome, 'waited');
  });
}

/** All isolates are killed while one is inside its ddl: those who come next install. */
export function killIsolates(strategy: 'lease' | 'batch'): Promise<void> {
  return withWinner(strategy, async (barrier) => {
    const { database, all, winner } = barrier;
    const waiting = strategy === 'lease' ? others(barrier, { strategy }).all : undefined;
    waiting?.catch(() => {});
    await sleep(300);
    await all.kill();
    await assert.rejects(winner);
    const startedAt = performance.now();
    const order = { strategy, tables: FEW_TABLES, isIdempotent: true, leaseMs: WAITS.leaseMs };
    assertOneInstall(await askAll(database, all, order));
    tell(
      `d1, ${strategy}, workerd is killed: installed and all back ` +
        `${Math.round(performance.now() - startedAt)} ms after it was up again`,
    );
  });
}

/** The same with a Durable Object, which holds its claim in its own database. */
export function killObject(strategy: Strategy | undefined): Promise<void> {
  return inDatabase(async (database, all) => {
    const object = crypto.randomUUID();
    const order: IsolateOrder = {
      object,
      tables: FEW_TABLES,
      leaseMs: WAITS.leaseMs,
      ...(strategy && { strategy }),
    };
    const held = ask(database, 0, { ...order, isHeld: true });
    held.catch(() => {});
    await sleep(WAITS.heldMs);
    await all.kill();
    await assert.rejects(held);
    assertOneInstall(await askAll(database, all, { ...order, isIdempotent: true }));
  });
}
