/**
 * Child processes of the runtime at hand that take orders and report, to race and to be killed, and
 * that none of them is left behind. `orders.ts` is their side of it.
 *
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** More than this at a time only makes each of them slower to start. */
const STARTED_AT_ONCE = 4;

/** What a test runner sets for itself and a child must not see. */
const NOT_INHERITED = ['NODE_OPTIONS', 'NODE_TEST_CONTEXT'];

/** Something of a kind: an order or a report. */
interface Message {
  readonly kind: string;
}

type OfKind<Any extends Message, Kind extends Any['kind']> = Extract<Any, { kind: Kind }>;

const running = new Set<{ kill(): Promise<unknown> }>();

/** A program for children. */
export interface Program {
  readonly module: URL;
  /** What is put before its command line: another program, which becomes it in the end. */
  readonly within?: readonly string[];
}

/** A process that takes orders. It ends when its standard input does. */
export class Child<Order extends Message, Report extends Message> {
  /** Every report so far. */
  readonly reports: Report[] = [];

  readonly #child: ChildProcess;
  readonly #ended: Promise<NodeJS.Signals | null>;
  #hasEnded = false;
  #unread: Report[] = [];
  #wake: (() => void) | undefined;

  /** Starts the process; it takes orders when it has reported `'ready'`. */
  protected constructor({ module, within = [] }: Program) {
    const env = { ...process.env };
    for (const name of NOT_INHERITED) delete env[name];
    const [program, ...args] = [
      ...within,
      process.execPath,
      ...runtimeArguments(),
      fileURLToPath(module),
    ];
    this.#child = spawn(program!, args, { cwd: ROOT, env, stdio: ['pipe', 'pipe', 'inherit'] });
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
  async ask<Kind extends Report['kind']>(order: Order, kind: Kind): Promise<OfKind<Report, Kind>> {
    this.send(order);
    return await this.next(kind);
  }

  /** The next report of a kind, the ones before it being passed over, but not the end of a call. */
  async next<Kind extends Report['kind']>(kind: Kind): Promise<OfKind<Report, Kind>> {
    for (;;) {
      const report = this.#unread.shift();
      if (report?.kind === kind) return report as OfKind<Report, Kind>;
      if (report?.kind === 'settled') {
        throw new Error(`not "${kind}", but ${JSON.stringify(report)}`);
      }
      if (report) continue;
      if (this.#hasEnded) throw new Error(`the process ended before it reported "${kind}"`);
      await new Promise<void>((resolve) => this.#wake = resolve);
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

/** Starts children, a few at a time. */
export async function startMany<T>(count: number, start: () => Promise<T>): Promise<T[]> {
  const started: T[] = [];
  while (started.length < count) {
    const size = Math.min(STARTED_AT_ONCE, count - started.length);
    started.push(...await Promise.all(Array.from({ length: size }, start)));
  }
  return started;
}

/** Kills every child that is still there, and waits until it is gone. */
export async function killChildren(): Promise<void> {
  await Promise.all(Array.from(running, (child) => child.kill()));
}

/** What the runtime needs to run TypeScript with SQLite and without a word. */
function runtimeArguments(): string[] {
  if ('Deno' in globalThis) return ['run', '--allow-all', '--no-check', '--cached-only'];
  if ('Bun' in globalThis) return [];
  return [
    '--disable-warning=ExperimentalWarning',
    '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
  ];
}
