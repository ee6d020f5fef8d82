/**
 * The toll of many faults: how many there were, and what they left.
 *
 * @module
 */

import { tell } from '../processes/counts.ts';
import type { Left } from './aftermath.ts';

/** Counts what faults of one kind have left. */
export class Toll {
  readonly #what: string;
  readonly #startedAt = performance.now();
  readonly #left = new Map<Left, number>();
  #acknowledged = 0;

  /** `what` names the faults. */
  constructor(what: string) {
    this.#what = what;
  }

  /** How many there were. */
  get total(): number {
    return Array.from(this.#left.values()).reduce((a, b) => a + b, 0);
  }

  /** How many left this. */
  count(left: Left): number {
    return this.#left.get(left) ?? 0;
  }

  /** One fault, and how many calls had resolved before or despite it. */
  add(left: Left, acknowledged = 0): void {
    this.#left.set(left, this.count(left) + 1);
    this.#acknowledged += acknowledged;
  }

  /** Says what it came to, where the full count was asked for. */
  tell(more = ''): void {
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
    const left = Array.from(this.#left, ([what, count]) => `${count} ${what}`).sort().join(', ');
    tell(
      `${this.#what}: ${this.total} in ${seconds} s, left ${left}; ` +
        `${this.#acknowledged} acknowledged, none lost${more}`,
    );
  }
}
