/**
 * What races came to: what must hold of every one, and numbers for whoever wants them.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { tell } from '../processes/counts.ts';
import type { Settled } from './call.ts';
import { WAITS } from './counts.ts';

/** Fails unless one of the callers has installed, nobody threw, and all could use every table. */
export function assertOneInstall(settled: readonly Settled[], expected = 1): void {
  assert.deepEqual(settled.flatMap(problemsOf), []);
  assert.equal(
    settled.filter(({ installed }) => installed).length,
    expected,
    JSON.stringify(settled.map(({ outcome }) => outcome)),
  );
}

/** Fails unless a wait ended at its deadline: not before, and not long after. */
export function assertInTime(durationMs: number): void {
  const { timeoutMs } = WAITS;
  assert.ok(durationMs > timeoutMs - 100 && durationMs < timeoutMs + 8_000, `${durationMs} ms`);
}

function problemsOf({ outcome, error, unusable }: Settled, at: number): string[] {
  if (error) return [`caller ${at} threw ${error.name} ${error.code ?? ''}: ${error.message}`];
  if (unusable !== undefined) return [`caller ${at} (${outcome}) could not use all: ${unusable}`];
  return outcome === 'pending' ? [`caller ${at} was told "pending"`] : [];
}

/** Adds races up. */
export class Tally {
  readonly #what: string;
  readonly #startedAt = performance.now();
  readonly #outcomes = new Map<string, number>();
  #rounds = 0;
  #callers = 0;
  #slowestMs = 0;

  /** `what` names the races. */
  constructor(what: string) {
    this.#what = what;
  }

  /** How many callers ended with this outcome. */
  count(outcome: string): number {
    return this.#outcomes.get(outcome) ?? 0;
  }

  /** One race, in which everything must be as it should. */
  add(settled: readonly Settled[], installs = 1): void {
    assertOneInstall(settled, installs);
    this.#rounds++;
    this.#callers = settled.length;
    for (const { outcome, durationMs } of settled) {
      this.#outcomes.set(outcome, this.count(outcome) + 1);
      this.#slowestMs = Math.max(this.#slowestMs, durationMs);
    }
  }

  /** Says what it came to, and more, where the full count was asked for. */
  tell(more = ''): void {
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
    const outcomes = Array.from(this.#outcomes, ([outcome, count]) => `${count} ${outcome}`);
    tell(
      `${this.#what}: ${this.#callers} callers x ${this.#rounds} rounds in ${seconds} s: ` +
        `${outcomes.sort().join(', ')}; slowest ${Math.round(this.#slowestMs)} ms${more}`,
    );
  }
}
