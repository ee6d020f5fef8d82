/**
 * Worker processes of the runtime at hand, and that none of them is left behind.
 *
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Order, Report, Settled } from './messages.ts';

const WORKER = fileURLToPath(new URL('worker.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** More than this at a time only makes each of them slower to start. */
const STARTED_AT_ONCE = 8;

/** What a test runner sets for itself and a worker must not see. */
const NOT_INHERITED = ['NODE_OPTIONS', 'NODE_TEST_CONTEXT'];

const running = new Set<WorkerProcess>();
const idle: WorkerProcess[] = [];

type ReportOf<Kind extends Report['kind']> = Extract<Report, { kind: Kind }>;

/** A process that takes orders. */
export class WorkerProcess {
  /** Every report so far. */
  readonly reports: Report[] = [];

  readonly #child: ChildProcess;
  readonly #ended: Promise<NodeJS.Signals | null>;
  #hasEnded = false;
  #unread: Report[] = [];
  #wake: (() => void) | undefined;

  /** Starts a process and resolves when it is ready for orders. */
  static async start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess();
    await worker.next('ready');
    return worker;
  }

  private constructor() {
    const env = { ...process.env };
    for (const name of NOT_INHERITED) delete env[name];
    this.#child = spawn(process.execPath, [...runtimeArguments(), WORKER], {
      cwd: ROOT,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    running.add(this);
    // An order to a process that was killed meanwhile is of no interest; its end is reported.
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#take(line));
    this.#ended = new Promise((resolve) => {
      // 'close' comes when all of its output has been read as well.
      this.#child.on('close', (_code, signal) => {
        this.#hasEnded = true;
        running.delete(this);
        this.#wake?.();
        resolve(signal);
      });
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  send(order: Order): void {
    this.#child.stdin!.write(JSON.stringify(order) + '\n');
  }

  /** Sends an order and waits for the report that answers it. */
  async ask<Kind extends Report['kind']>(order: Order, kind: Kind): Promise<ReportOf<Kind>> {
    this.send(order);
    return await this.next(kind);
  }

  /** The next report of a kind, the ones before it being passed over. */
  async next<Kind extends Report['kind']>(kind: Kind): Promise<ReportOf<Kind>> {
    for (;;) {
      const report = this.#unread.shift();
      if (report?.kind === kind) return report as ReportOf<Kind>;
      if (report?.kind === 'settled') throw new Error(`"${report.outcome}" before any "${kind}"`);
      if (report) continue;
      if (this.#hasEnded) throw new Error(`the process ended before it reported "${kind}"`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /**
   * Lets a stopped process go on until its call has settled. More than one signal, since the first
   * may come before it has quite stopped; not `kill` of the child, which closes pipes under Deno.
   */
  async wakeUp(): Promise<Settled> {
    const repeated = setInterval(() => process.kill(this.pid, 'SIGCONT'), 20);
    try {
      return await this.next('settled');
    } finally {
      clearInterval(repeated);
    }
  }

  /** SIGKILL: no handler, no clean-up, no goodbye. Resolves with what it died of. */
  async kill(): Promise<NodeJS.Signals | null> {
    this.#child.kill('SIGKILL');
    return await this.#ended;
  }

  #take(line: string): void {
    const report: Report = JSON.parse(line);
    this.reports.push(report);
    this.#unread.push(report);
    this.#wake?.();
  }
}

/**
 * Runs `use` with processes that nobody else is using. They are kept for the next one, since to
 * start them takes longer than most tests; but not after a failure, which leaves them anyhow.
 */
export async function withWorkers(
  count: number,
  use: (workers: WorkerProcess[]) => Promise<void>,
): Promise<void> {
  while (idle.length < count) {
    const size = Math.min(STARTED_AT_ONCE, count - idle.length);
    idle.push(...await Promise.all(Array.from({ length: size }, () => WorkerProcess.start())));
  }
  const workers = idle.splice(0, count);
  try {
    await use(workers);
    idle.push(...workers);
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.kill()));
    throw error;
  }
}

/** Kills every worker that is still there, and waits until it is gone. */
export async function killWorkers(): Promise<void> {
  await Promise.all(Array.from(running, (worker) => worker.kill()));
}

/** What the runtime needs to run TypeScript with SQLite and without a word. */
function runtimeArguments(): string[] {
  if ('Deno' in globalThis) return ['run', '--allow-all', '--no-check', '--cached-only'];
  if ('Bun' in globalThis) return [];
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const stripsTypes = major > 22 || (major === 22 && minor >= 18);
  return [
    ...(stripsTypes ? [] : ['--experimental-strip-types']),
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
  ];
}
