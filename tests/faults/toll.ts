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
  readonly #left: Record<Left, number> = { nothing: 0, claimed: 0, partial: 0, everything: 0 };
  #acknowledged = 0;

  /** `what` names the faults. */
  constructor(what: string) {
    this.#what = what;
  }

  /** How many there were. */
  get total(): number {
    return Object.values(this.#left).reduce((a, b) => a + b, 0);
  }

  /** How many left this. */
  count(left: Left): number {
    return this.#left[left];
  }

  /** One fault, and how many calls had resolved before or despite it. */
  add(left: Left, acknowledged = 0): void {
    this.#left[left]++;
    this.#acknowledged += acknowledged;
  }

  /** Says what it came to, where the full count was asked for. */
  tell(more = ''): void {
    const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
    const left = Object.entries(this.#left).map(([what, count]) => `${count} ${what}`).join(', ');
    tell(
      `${this.#what}: ${this.total} in ${seconds} s, left ${left}; ` +
        `${this.#acknowledged} acknowledged, none lost${more}`,
    );
  }
}
