/**
 * Callers that are processes of the runtime at hand: to race, and to be killed.
 *
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import type { Order, Report } from './caller_messages.ts';
import type { Settled } from './call.ts';

const CALLER = fileURLToPath(new URL('caller.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** More than this at a time only makes each of them slower to start. */
const STARTED_AT_ONCE = 4;

/** What a test runner sets for itself and a caller must not see. */
const NOT_INHERITED = ['NODE_OPTIONS', 'NODE_TEST_CONTEXT'];

const running = new Set<CallerProcess>();

/** A process that calls when it is told to. It ends when its standard input does. */
export class CallerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<NodeJS.Signals | null>;
  readonly #reports: Report[] = [];
  #hasEnded = false;
  #wake: (() => void) | undefined;

  /** Starts a process and resolves when it takes orders. */
  static async start(): Promise<CallerProcess> {
    const caller = new CallerProcess();
    await caller.next('ready');
    return caller;
  }

  private constructor() {
    const env = { ...process.env };
    for (const name of NOT_INHERITED) delete env[name];
    this.#child = spawn(process.execPath, [...runtimeArguments(), CALLER], {
      cwd: ROOT,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    running.add(this);
    // An order to a process that was killed meanwhile is of no interest; its end is reported.
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#reports.push(JSON.parse(line));
      this.#wake?.();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', (_code, signal) => {
        this.#hasEnded = true;
        running.delete(this);
        this.#wake?.();
        resolve(signal);
      });
    });
  }

  /** Sends an order, and waits for the report that answers it. */
  async ask<Kind extends Report['kind']>(
    order: Order,
    kind: Kind,
  ): Promise<Extract<Report, { kind: Kind }>> {
    this.#child.stdin!.write(JSON.stringify(order) + '\n');
    return await this.next(kind);
  }

  /** The next report, which must be of this kind. */
  async next<Kind extends Report['kind']>(kind: Kind): Promise<Extract<Report, { kind: Kind }>> {
    for (;;) {
      const report = this.#reports.shift();
      if (report?.kind === kind) return report as Extract<Report, { kind: Kind }>;
      if (report) throw new Error(`not "${kind}", but ${JSON.stringify(report)}`);
      if (this.#hasEnded) throw new Error(`the process ended before it reported "${kind}"`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** SIGKILL: no handler, no clean-up, no goodbye. Resolves with what it died of. */
  async kill(): Promise<NodeJS.Signals | null> {
    this.#child.kill('SIGKILL');
    return await this.#ended;
  }
}

/** Starts processes, a few at a time. */
export async function startCallers(count: number): Promise<CallerProcess[]> {
  const callers: CallerProcess[] = [];
  while (callers.length < count) {
    const size = Math.min(STARTED_AT_ONCE, count - callers.length);
    callers.push(...await Promise.all(Array.from({ length: size }, () => CallerProcess.start())));
  }
  return callers;
}

/** Kills every process that is still there, and waits until it is gone. */
export async function killCallers(): Promise<void> {
  await Promise.all(Array.from(running, (caller) => caller.kill()));
}

/**
 * Connects every process, and lets all of them call at the same instant, by the clock that they
 * share.
 */
export async function raceProcesses(
  callers: readonly CallerProcess[],
  orders: { open: Extract<Order, { kind: 'open' }>; call: Extract<Order, { kind: 'call' }> },
): Promise<Settled[]> {
  await Promise.all(callers.map((caller) => caller.ask(orders.open, 'opened')));
  const call = { ...orders.call, at: Date.now() + 4 * callers.length };
  const reports = await Promise.all(callers.map((caller) => caller.ask(call, 'settled')));
  await Promise.all(callers.map((caller) => caller.ask({ kind: 'close' }, 'closed')));
  return reports.map(({ settled }) => settled);
}

/** What the runtime needs to run TypeScript without a word. */
function runtimeArguments(): string[] {
  if ('Deno' in globalThis) return ['run', '--allow-all', '--no-check', '--cached-only'];
  if ('Bun' in globalThis) return [];
  return [
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
  ];
}
