/**
 * Servers that die, or are stopped, and start again on their data, while callers install.
 *
 * @module
 */

import assert from 'node:assert/strict';
import process from 'node:process';

import type { Strategy } from '../../mod.ts';
import { onPostgres, onSqld, type Subject } from '../batch/subjects.ts';
import { sleep, within } from '../cases/support.ts';
import { type ConnectOptions, inDatabase, type TestDatabase } from '../engines/engine.ts';
import { urlVariable } from '../engines/postgres.ts';
import type { Server } from '../engines/server.ts';
import { during } from '../processes/during.ts';
import { seeded, spread, spreadInteger } from '../processes/random.ts';
import { callAndUse, type Caller, type Settled } from '../races/call.ts';
import { findPgBouncer, startPgBouncer } from '../races/pgbouncer.ts';
import { sturdyCaller } from '../races/sturdy.ts';
import { acknowledgedIn, judge } from './aftermath.ts';
import { askFor, STRATEGIES, withBatchFor } from './asks.ts';
import { CEILING_MS, COUNTS } from './counts.ts';
import { Toll } from './toll.ts';

/** How a server ends: `'kill'` is SIGKILL to it and all of its processes. */
export type End = 'kill' | 'halt';

/** A server whose end callers must survive. */
export interface Mortal {
  readonly name: string;
  readonly subject: Subject;
  /** The ends that it can have. */
  readonly ends: readonly End[];
  /** Runs `use` with a database and the server that dies: its own, or one in between. */
  inDatabase(
    use: (database: TestDatabase, server: Server, via?: ConnectOptions['via']) => Promise<void>,
  ): Promise<void>;
}

/** Those that are there; a line says which are not, and why. */
export function mortals(): Mortal[] {
  const postgres = ownServer(onPostgres, ['kill', 'halt']);
  const sqld = ownServer(onSqld, ['kill']);
  const program = findPgBouncer();
  if (program === undefined) console.log('skipped: PgBouncer: not installed');
  const { missing } = onSqld.engine;
  if (missing) console.log(`skipped: ${onSqld.name}: ${missing}`);
  const isOurs = process.env[urlVariable] === undefined;
  if (!isOurs) console.log(`skipped: the end of Postgres' server: ${urlVariable} is not ours`);
  return [
    ...(isOurs ? [postgres] : []),
    ...(missing ? [] : [sqld]),
    ...(program === undefined ? [] : [pooler(program)]),
  ];
}

function ownServer(subject: Subject, ends: readonly End[]): Mortal {
  return {
    name: subject.name,
    subject,
    ends,
    inDatabase: (use) =>
      inDatabase(subject.engine, async (database) => {
        const { server } = await subject.engine.start();
        await use(database, server!);
      }),
  };
}

function pooler(program: string): Mortal {
  return {
    name: 'postgres behind PgBouncer',
    subject: onPostgres,
    ends: ['kill'],
    inDatabase: (use) =>
      inDatabase(onPostgres.engine, async (database) => {
        const pooler = await startPgBouncer(program, database.address!, { connections: 10 });
        try {
          await use(database, pooler.server, { host: pooler.host, port: pooler.port });
        } finally {
          await pooler.stop();
        }
      }),
  };
}

/** When a server ends: before or after a statement of one caller, or by the clock. */
type Moment = { beforeStatement: number } | { afterStatement: number } | { afterMs: number };

/** Ends a server in the middle of installs, again and again. */
export async function crash(mortal: Mortal, strategy: Strategy, end: End): Promise<void> {
  const toll = new Toll(`${mortal.name}, ${strategy}, the server ends by ${end}`);
  await seeded(async (random) => {
    const { statements, durationMs } = await measure(mortal, strategy);
    const most = Math.ceil(COUNTS.crashes / 4);
    const moments: Moment[] = [
      ...spreadInteger(random, most, 1, statements).map((beforeStatement) => ({ beforeStatement })),
      ...spreadInteger(random, most, 1, statements).map((afterStatement) => ({ afterStatement })),
      ...spread(random, COUNTS.crashes - 2 * most, 0, 1.5 * durationMs)
        .map((afterMs) => ({ afterMs })),
    ];
    for (const [n, moment] of moments.entries()) {
      await during(
        `end ${n} (${JSON.stringify(moment)})`,
        () => crashOnce(mortal, strategy, { end, moment, n }, toll),
      );
    }
    toll.tell(`; ${statements} statements in ${Math.round(durationMs)} ms`);
  });
}

interface Whole {
  readonly statements: number;
  readonly durationMs: number;
}

/** The same call while nothing happens. */
async function measure({ subject, inDatabase }: Mortal, strategy: Strategy): Promise<Whole> {
  let whole: Whole | undefined;
  await inDatabase(async (database, _server, via) => {
    let sent = 0;
    let statements = 0;
    const caller = {
      ...sturdyCaller(subject, database, { via, onStatement: () => sent++ }),
      resolved: () => statements = sent,
    };
    const ask = askFor('by_0', strategy, false);
    const { outcome, durationMs } = await callAndUse(withBatchFor(strategy, caller), ask);
    assert.equal(outcome, 'installed');
    whole = { statements, durationMs };
  });
  return whole!;
}

interface Crash {
  readonly end: End;
  readonly moment: Moment;
  readonly n: number;
}

/** Three callers, one of which has the server end at that moment. */
function crashOnce(
  { subject, inDatabase }: Mortal,
  strategy: Strategy,
  { end, moment, n }: Crash,
  toll: Toll,
): Promise<void> {
  return inDatabase(async (database, server, via) => {
    let back: Promise<void> | undefined;
    const strike = async (isHere: boolean): Promise<void> => {
      if (!isHere || back) return;
      const down = server[end]();
      back = down.then(() => server.restart());
      back.catch(() => {});
      // Every other time the server is up again when the next statement is sent.
      await (n % 2 === 0 ? down : back);
    };
    let sent = 0;
    let answered = 0;
    const observed = {
      onStatement: () => strike('beforeStatement' in moment && ++sent === moment.beforeStatement),
      onAnswer: () => strike('afterStatement' in moment && ++answered === moment.afterStatement),
    };
    const callers: Caller[] = ['first', 'second', 'third'].map((_, at) =>
      sturdyCaller(subject, database, { via, ...(at === 0 && observed) })
    );
    const isRepeated = strategy === 'lease';
    const calls = callers.map(async (caller, at) => {
      const mark = `by_${at}`;
      const ask = askFor(mark, strategy, isRepeated);
      return { mark, settled: await callAndUse(withBatchFor(strategy, caller), ask) };
    });
    if ('afterMs' in moment) {
      await sleep(moment.afterMs);
      await strike(true);
    }
    const ended = await within(CEILING_MS, Promise.all(calls));
    // The statement was not reached where another caller was first.
    await strike(true);
    await back;
    for (const { settled } of ended) assertHonest(settled);
    const acknowledged = acknowledgedIn(ended);
    const left = await judge(
      database,
      { strategy, acknowledged },
      () => sturdyCaller(subject, database, { via }),
      { next: STRATEGIES[n % STRATEGIES.length]!, isAtOnce: n % 2 === 1 },
    );
    toll.add(left, acknowledged.length);
  });
}

/** A caller may hear that the server is gone, but nothing else. */
function assertHonest({ error, outcome }: Settled): void {
  if (!error) return assert.notEqual(outcome, 'pending');
  const told = `${error.name} ${error.code ?? ''}: ${error.message}`;
  assert.match(told, GONE);
}

const GONE = new RegExp(
  [
    // The operating system and the drivers.
    'ECONNREFUSED|ECONNRESET|EPIPE|Connection terminated|connection error|not queryable',
    'fetch failed|error sending request|Connection refused|client error|error trying to connect',
    // The server, as it goes down or comes up; PgBouncer on behalf of it.
    '57P0[123]|terminating connection|starting up|shutting down|server conn crashed|08P01|pgbouncer',
    'STREAM_EXPIRED|stream not found|invalid baton|HTTP status 40',
    'LeaseLostError',
  ].join('|'),
  'i',
);
