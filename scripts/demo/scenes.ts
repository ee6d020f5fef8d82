/**
 * What happens in the demo. A scene throws if it could not show what it is there for, so that a
 * demo in which nothing happened is not taken for one in which all went well.
 *
 * @module
 */

import { countTables, createDatabase, TABLES } from './database.ts';
import type { Job, Protocol } from './messages.ts';
import { type Caller, type DemoProcess, startProcess } from './process.ts';
import { showTimeline } from './timeline.ts';

/**
 * The usual way gets a busy timeout, as its users are told to set one: what it breaks then is its
 * own doing and no lock's. The library does without.
 */
const busyTimeoutMs = { 'claim-then-ddl': 5_000, bootstrapSchema: 0 };
/** How long the DDL rests before each statement, the same in every scene. */
const pauseMs = 35;
/** Enough for every process to have taken its job and opened the file before the start. */
const headStartMs = 150;
/** The winner is killed when it has run this many statements. */
const killAfter = TABLES / 2;

/** What came of {@link raceScene}. */
export interface Race {
  callers: Caller[];
  /** How many milliseconds lie between the first call and the last one. */
  spreadMs: number;
}

/** What came of {@link killScene}. */
export interface Kill {
  victim: Caller;
  /** How many tables there were after the kill. */
  tablesLeft: number;
  next: Caller;
  /** How many tables there were when the next caller had settled. */
  tables: number;
}

/** All processes call at the same instant. */
export async function raceScene(
  protocol: Protocol,
  path: string,
  processes: DemoProcess[],
): Promise<Race> {
  await createDatabase(path);
  const callers = processes.map(newCaller);
  const job = newJob(protocol, path);
  const stop = showTimeline(callers, job.at, TABLES * pauseMs);
  await Promise.all(processes.map((process, i) => process.call(job, callers[i]!)));
  stop();

  const calls = callers.map(({ calledAt, settled }) => {
    if (calledAt && settled) return calledAt;
    throw new Error('a process died in the race');
  });
  if (!callers.some((caller) => caller.claimedAt)) throw new Error('nobody won the claim');
  return { callers, spreadMs: Math.max(...calls) - Math.min(...calls) };
}

/** One process is killed in the middle of its DDL; then another one calls. */
export async function killScene(protocol: Protocol, path: string): Promise<Kill> {
  await createDatabase(path);
  const [first, second] = await Promise.all([startProcess(1), startProcess(2)]);
  const victim = newCaller(first);
  const next = newCaller(second);
  const job = newJob(protocol, path);
  const stop = showTimeline([victim, next], job.at, 2 * TABLES * pauseMs);

  let killed: Promise<boolean> | undefined;
  await first.call(job, victim, (statements) => {
    if (statements !== killAfter) return;
    victim.killedAt = Date.now();
    killed = first.kill();
  });
  if (!await killed || victim.settled) throw new Error('the winner survived its DDL');
  const tablesLeft = await countTables(path);

  await second.call(newJob(protocol, path), next);
  stop();
  if (!next.settled) throw new Error('the next caller died');
  return { victim, tablesLeft, next, tables: await countTables(path) };
}

function newJob(protocol: Protocol, path: string): Job {
  const at = Date.now() + headStartMs;
  return { protocol, path, at, pauseMs, busyTimeoutMs: busyTimeoutMs[protocol] };
}

function newCaller({ id }: DemoProcess): Caller {
  return { id, statements: 0 };
}
