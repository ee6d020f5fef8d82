/**
 * Cloudflare's real runtime, through Miniflare.
 *
 * @module
 */

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import type { Readable } from 'node:stream';
import { scratch, wrapper } from './scratch.ts';

/** One Worker, which is one isolate. */
export interface WorkerOptions {
  name: string;
  script: string;
  /** The names of D1 bindings. Workers with the same name share the database. */
  d1Databases?: readonly string[];
  /** The class behind the binding `OBJECTS`, and the Worker that has it. */
  objects?: { className: string; worker: string };
  /** The connection strings behind Hyperdrive bindings, by their names. */
  hyperdrives?: Readonly<Record<string, string>>;
  /** Gives it what Cloudflare has of Node's modules. */
  nodeCompat?: boolean;
}

/** What a Worker answered. */
export interface WorkerAnswer {
  status: number;
  text: string;
}

/** A request to a Worker. With a body it is a POST, else a GET. */
export interface WorkerRequest {
  path?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Another host and port than the runtime's own: a proxy that the test has put in between. */
  via?: { host: string; port: number };
}

/** A running workerd. */
export interface Workerd {
  /** Where it is now. */
  endpoint(): { host: string; port: number };
  /** Calls a Worker over HTTP. */
  fetch(worker: string, request?: WorkerRequest): Promise<WorkerAnswer>;
  /** Miniflare's own view of a D1 binding, true to the letter but slow. */
  d1(worker: string, binding: string): Promise<unknown>;
  /** Kills all isolates in the middle of whatever they do, and starts new ones on what they left. */
  kill(): Promise<void>;
  /** The same, but by Miniflare, as for new code: on purpose. */
  replace(): Promise<void>;
  stop(): Promise<void>;
}

/** The compatibility date of all Workers in the tests. */
const compatibilityDate = '2026-07-01';

// One after the other, so that the newest process is the one that has just been started.
let last: Promise<unknown> = Promise.resolve();

/** Starts workerd with these Workers. */
export function startWorkerd(workers: readonly WorkerOptions[]): Promise<Workerd> {
  const started = last.then(() => start(workers));
  last = started.catch(() => {});
  return started;
}

let program: string | undefined;
let pids = '';

async function start(workers: readonly WorkerOptions[]): Promise<Workerd> {
  if (!program) {
    pids = join(scratch('workerd'), 'pids');
    program = wrapper(workerdBinary(), pids);
    // Miniflare ends workerd when this process exits, but not when this process is killed.
    process.env.MINIFLARE_WORKERD_PATH = program;
  }
  const { Log, LogLevel, Miniflare } = await import('miniflare');
  const directory = scratch('miniflare');
  let restarted = () => {};
  const settings = {
    host: '127.0.0.1',
    port: 0,
    log: new Log(LogLevel.NONE),
    handleRuntimeStdio: (out: Readable, error: Readable) => {
      out.resume();
      error.resume();
    },
    unsafeHandleRuntimeRestart: () => restarted(),
    d1Persist: join(directory, 'd1'),
    durableObjectsPersist: join(directory, 'objects'),
    workers: workers.map((
      { name, script, d1Databases = [], objects, hyperdrives, nodeCompat },
    ) => ({
      name,
      modules: [{ type: 'ESModule' as const, path: 'worker.mjs', contents: script }],
      compatibilityDate,
      compatibilityFlags: nodeCompat ? ['nodejs_compat'] : [],
      routes: [`${name}.test/*`],
      d1Databases: Object.fromEntries(d1Databases.map((name) => [name, name])),
      ...(hyperdrives && { hyperdrives }),
      ...(objects && {
        durableObjects: {
          OBJECTS: { className: objects.className, scriptName: objects.worker, useSQLite: true },
        },
      }),
    })),
  };
  const miniflare = inDirectory(directory, () => new Miniflare(settings));
  let url = await miniflare.ready;
  let agent = newAgent();
  let pid = newestPid();
  const renew = async (): Promise<void> => {
    agent.destroy();
    agent = newAgent();
    url = await miniflare.ready;
    pid = newestPid();
  };
  return {
    endpoint: () => ({ host: url.hostname, port: Number(url.port) }),
    fetch: (worker, request = {}) => fetchFrom(url, agent, worker, request),
    d1: (worker, binding) => miniflare.getD1Database(binding, worker),
    kill: async () => {
      const again = new Promise<void>((resolve) => restarted = resolve);
      process.kill(pid, 'SIGKILL');
      await again;
      await renew();
    },
    replace: async () => {
      await miniflare.setOptions(settings);
      await renew();
    },
    stop: async () => {
      agent.destroy();
      await miniflare.dispose();
    },
  };
}

// Miniflare makes a directory of its own among the temporary ones, and leaves it there if this
// process is killed. Where that is, is all that can be chosen, and only by the environment.
function inDirectory<T>(directory: string, make: () => T): T {
  const before = process.env.TMPDIR;
  process.env.TMPDIR = directory;
  try {
    return make();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
}

// workerd closes a connection that was idle for 5 seconds, whatever is on its way there by then.
function newAgent(): Agent {
  return new Agent({ keepAlive: true, timeout: 3_000 });
}

function newestPid(): number {
  return Number(readFileSync(pids, 'utf8').trim().split('\n').at(-1));
}

function workerdBinary(): string {
  const miniflare = createRequire(import.meta.url).resolve('miniflare');
  return createRequire(miniflare)('workerd').default;
}

// Not Miniflare's own `dispatchFetch`, which under Bun sends all requests to the same Worker, nor
// the runtime's `fetch`, which may not set the host.
function fetchFrom(
  url: URL,
  agent: Agent,
  worker: string,
  { path = '/', headers, body, via }: WorkerRequest,
): Promise<WorkerAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ path, host: via?.host ?? url.hostname, port: via?.port ?? url.port },
        // No connection of a proxy is kept, which is gone before the next request.
        agent: via ? undefined : agent,
        headers: { ...headers, host: `${worker}.test` },
        method: body === undefined ? 'GET' : 'POST',
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => text += chunk);
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode!, text }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}
