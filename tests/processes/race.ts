/**
 * Many processes that call at the same instant, and what came of it.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { assertWhole } from './files.ts';
import type { CallOrder, OpenOrder, Settled } from './messages.ts';
import type { WorkerProcess } from './worker_process.ts';

/** One race: how to open the file, and what to call. */
export type Race = Omit<OpenOrder, 'kind'> & Omit<CallOrder, 'kind' | 'at'>;

/** How long the start signal is ahead of the start for each process, so that it reaches them all. */
const LEAD_MS = 4;

/** The orders that a process of a race gets. */
export function ordersOf(options: Race): { open: OpenOrder; call: CallOrder } {
  const { path, busyTimeoutMs, readOnly, ...call } = options;
  return {
    open: { kind: 'open', path, busyTimeoutMs, readOnly },
    call: { kind: 'call', ...call },
  };
}

/**
 * Opens the file in every process, and only when all of them have it open gives the start signal:
 * the instant of the call, by the clock that they share.
 */
export async function race(workers: readonly WorkerProcess[], options: Race): Promise<Settled[]> {
  const { open, call } = ordersOf(options);
  await Promise.all(workers.map((worker) => worker.ask(open, 'opened')));
  const at = Date.now() + LEAD_MS * workers.length;
  const order = { ...call, at };
  const settled = await Promise.all(workers.map((worker) => worker.ask(order, 'settled')));
  await Promise.all(workers.map((worker) => worker.ask({ kind: 'close' }, 'closed')));
  return settled;
}

/** Asserts what the library promises of a race on a file where `installs` calls have to install. */
export function assertRace(settled: readonly Settled[], race: Race, installs = 1): void {
  assert.deepEqual(settled.flatMap(problemsOf), []);
  assert.equal(settled.filter(({ installed }) => installed).length, installs, 'installs');
  assertWhole(race.path, race.tables);
}

/** What a call that settled did against the library's promises. */
export function problemsOf({ error, outcome, statements, unusable }: Settled, index = 0): string[] {
  if (error) return [`caller ${index} threw ${error.name}: ${error.message}`];
  const problems: string[] = [];
  if (unusable.count > 0) {
    problems.push(
      `caller ${index} (${outcome}) could not use ${unusable.count} tables: ${unusable.reason}`,
    );
  }
  // It means "found at the first look", which is one statement.
  if (outcome === 'already-installed' && statements !== 1) {
    problems.push(`caller ${index} sent ${statements} statements, and yet "${outcome}"`);
  }
  return problems;
}

/** What races came to, for whoever wants to know how hard they were. */
export class Tally {
  readonly #startedAt = Date.now();
  #rounds = 0;
  #outcomes = new Map<string, number>();
  #retries = 0;
  #reruns = 0;
  #early = 0;
  #spreadMs = 0;

  /** How many callers found that another one was installing. */
  get waited(): number {
    return this.#outcomes.get('waited') ?? 0;
  }

  /** How many callers threw. */
  get threw(): number {
    return this.#outcomes.get('threw') ?? 0;
  }

  /** How often a call tried again because the database was busy. */
  get retries(): number {
    return this.#retries;
  }

  /** How often a DDL had to be run again, since its transaction could not be committed. */
  get reruns(): number {
    return this.#reruns;
  }

  /** How many callers were told to go on before the schema was there. */
  get early(): number {
    return this.#early;
  }

  add(settled: readonly Settled[]): void {
    this.#rounds++;
    for (const { outcome, log, ddlRuns, unusable } of settled) {
      this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
      this.#retries += log.filter((line) => line.includes('trying again')).length;
      this.#reruns += Math.max(ddlRuns - 1, 0);
      if (unusable.count > 0) this.#early++;
    }
    const starts = settled.map(({ calledAt }) => calledAt);
    this.#spreadMs = Math.max(this.#spreadMs, Math.max(...starts) - Math.min(...starts));
  }

  toString(): string {
    const outcomes = Array.from(this.#outcomes, ([outcome, count]) => `${count} ${outcome}`);
    const seconds = ((Date.now() - this.#startedAt) / 1_000).toFixed(1);
    return `${this.#rounds} rounds, ${seconds} s: ${outcomes.sort().join(', ')}; ` +
      `${this.#retries} retries, ${this.#reruns} DDL re-runs, ${this.#early} too early; ` +
      `starts within ${this.#spreadMs} ms`;
  }
}
