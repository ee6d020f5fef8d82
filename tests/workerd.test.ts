/**
 * The suites of conformance and of a schema's life inside workerd: library, drivers and cases are
 * bundled into Workers, which are asked for each test by name.
 *
 * @module
 */

import process from 'node:process';
import { test } from 'node:test';

import { type IsolateDatabase, type Isolates, startIsolates } from './engines/isolates.ts';
import type { RunningEngine } from './engines/engine.ts';
import { engineNamed } from './engines/list.ts';
import { decodeError } from './engines/wire.ts';
import { ahead } from './support/ahead.ts';
import { CAPABILITIES, testsOf } from './workerd/carry_out.ts';
import type { Order, Suite, Verdict } from './workerd/order.ts';

/** No case takes half as long; one that hangs is a failure, not the end of the run. */
const CEILING_MS = 90_000;

/** How many cases run at the same time: those in one Worker share its one thread. */
const WIDTH = 4;

/** What comes before the names of a suite's tests. */
const SUITES: Readonly<Record<Suite, string>> = { conformance: '', lifecycle: 'life: ' };

const options = { timeout: 120_000 };

interface Worker {
  readonly isolates: Isolates;
  /** Calls it where the database is not a D1 one. */
  readonly home: IsolateDatabase;
}

/** The servers that were needed, by engine. */
const servers = new Map<string, Promise<RunningEngine>>();

let neutral: Promise<Worker> | undefined;
let withNode: Promise<Worker> | undefined;

/** The Worker that an engine's drivers run in. Only those of Postgres need Node's modules. */
function workerFor(engine: string): Promise<Worker> {
  if (engine.startsWith('postgres')) {
    return withNode ??= startWorker({ script: 'node_worker.ts', nodeCompat: true, databases: 1 });
  }
  const databases = allOf('d1').length + 1;
  return neutral ??= startWorker({ script: 'worker.ts', objects: 'CaseObject', databases });
}

async function startWorker(
  { script, ...rest }: { script: string; databases: number; objects?: string; nodeCompat?: true },
): Promise<Worker> {
  const url = new URL(`workerd/${script}`, import.meta.url);
  const isolates = await startIsolates({ count: 1, script: url, ...rest });
  return { isolates, home: isolates.create()! };
}

function allOf(engine: string) {
  return Object.entries(SUITES).flatMap(([name, prefix]) => {
    const suite = name as Suite;
    return testsOf(suite, engine).map((one) => ({ ...one, suite, title: `${prefix}${one.name}` }));
  });
}

async function runInWorker(engine: string, suite: Suite, test: string): Promise<void> {
  const { isolates, home } = await workerFor(engine);
  const order = { engine, suite, test, address: '', ceilingMs: CEILING_MS };
  if (engine === 'd1') return await ask(isolates.create()!, order);
  if (engine === 'durable-object') {
    return await ask(home, { ...order, address: crypto.randomUUID() });
  }
  if (!servers.has(engine)) servers.set(engine, engineNamed(engine).start());
  const database = await (await servers.get(engine)!).create();
  try {
    await ask(home, { ...order, address: database.address! });
  } finally {
    await database.drop();
  }
}

async function ask(by: IsolateDatabase, order: Order): Promise<void> {
  const { status, text } = await by.fetch(0, { body: JSON.stringify(order) });
  if (status !== 200) throw new Error(`${status}: ${text}`);
  const { error } = JSON.parse(text) as Verdict;
  if (error) throw decodeError(error);
}

const names = process.env.DB_MIGRATE_ENGINES?.split(',');
const engineNames = Object.keys(CAPABILITIES).filter((name) => names?.includes(name) ?? true);

const all = engineNames.map((engine) => {
  const tests = allOf(engine);
  const { runs, settled } = ahead(
    WIDTH,
    tests.map(({ suite, name, alone }) => ({
      ...(alone && { alone }),
      run: () => runInWorker(engine, suite, name),
    })),
  );
  for (const [n, { title }] of tests.entries()) test(`${engine}: ${title}`, options, runs[n]!);
  return settled;
});

test('workerd and the servers stop', options, async () => {
  for (const settled of all) await settled();
  for (const worker of [neutral, withNode]) await (await worker)?.isolates.stop();
  for (const server of servers.values()) await (await server).stop();
});
