/**
 * Waiting that holds nothing, and always ends.
 *
 * @module
 */

import { contentionOf } from './contention.ts';

const FIRST_STEP_MS = 20;
const STEP_GROWTH = 1.25;
const LONGEST_STEP_MS = 1_000;

/** For how long a statement is repeated; a last try may outlast it, where the driver waits as well. */
const PATIENT_MS = 500;

/**
 * Starts to measure a time, by whichever clock goes further: the steady one stands still while a
 * machine sleeps, and the other may be set back.
 */
export function stopwatch(): () => number {
  const [steadyMs, wallMs] = [performance.now(), Date.now()];
  return () => Math.max(performance.now() - steadyMs, Date.now() - wallMs);
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * The pauses between looks at a ledger that another caller is busy with, in milliseconds: longer each
 * time, and jittered so that callers spread out.
 */
export function backoff(): () => number {
  let nextMs = FIRST_STEP_MS;
  return () => {
    const stepMs = nextMs;
    nextMs = Math.min(stepMs * STEP_GROWTH, LONGEST_STEP_MS);
    return stepMs * (0.5 + Math.random() / 2);
  };
}

/** Sends what is harmless to repeat until the database is not busy, for a moment. */
export async function patiently<T>(
  send: () => Promise<T>,
  limitMs: number = PATIENT_MS,
  isPassing: (error: unknown) => boolean = (error) => contentionOf(error) !== undefined,
): Promise<T> {
  const nextPauseMs = backoff();
  const startedAt = performance.now();
  for (;;) {
    try {
      return await send();
    } catch (error) {
      if (performance.now() - startedAt > limitMs || !isPassing(error)) throw error;
      await sleep(nextPauseMs());
    }
  }
}

/** What one caller is ready to wait: until a deadline, or until its signal is aborted. */
export class Patience {
  readonly #startedAt = performance.now();
  readonly #nextPauseMs = backoff();
  readonly #waitTimeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #timeout: () => unknown;
  readonly #failure: () => { error: unknown } | undefined;

  /**
   * `timeout` makes the error for a caller whose deadline has passed; `failure` tells why there is
   * nothing to wait for, if so.
   */
  constructor(
    waitTimeoutMs: number,
    signal: AbortSignal | undefined,
    timeout: () => unknown,
    failure: () => { error: unknown } | undefined = () => undefined,
  ) {
    this.#waitTimeoutMs = waitTimeoutMs;
    this.#signal = signal;
    this.#timeout = timeout;
    this.#failure = failure;
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  get #leftMs(): number {
    return Math.max(this.#waitTimeoutMs - this.elapsedMs, 0);
  }

  get isAborted(): boolean {
    return this.#signal?.aborted ?? false;
  }

  /** Why this caller waits no longer, as the error to throw; undefined while it does. */
  exhausted(): { error: unknown } | undefined {
    if (this.isAborted) return { error: this.#signal?.reason };
    if (this.elapsedMs >= this.#waitTimeoutMs) return { error: this.#timeout() };
    return this.#failure();
  }

  /** Throws the signal's reason, the timeout error or that of `failure` if the wait is over. */
  check(): void {
    const end = this.exhausted();
    if (end) throw end.error;
  }

  /** One step of the back-off, cut short by deadline and signal. */
  async pause(): Promise<void> {
    this.check();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#nextPauseMs());
    });
    await this.race(over).finally(() => clearTimeout(timer));
  }

  /**
   * The outcome of `work`, or what `cut` makes of the error of {@linkcode exhausted} if that comes
   * first: undefined to go on, until it is asked again after `againMs`. What was cut goes on
   * unobserved.
   */
  async race<T>(
    work: Promise<T>,
    cut: (end: { error: unknown }) => { error: unknown } | undefined = (end) => end,
    againMs = LONGEST_STEP_MS,
  ): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let look = () => {};
    const over = new Promise<never>((_, reject) => {
      const lookAfter = (ms: number) => timer = setTimeout(look, ms);
      look = () => {
        clearTimeout(timer);
        const end = this.exhausted();
        const final = end && cut(end);
        if (final) return reject(final.error);
        // A timer may fire a moment early, so the deadline itself is looked at again at once.
        lookAfter(end ? againMs : Math.max(this.#leftMs, 1));
      };
      lookAfter(this.isAborted ? 0 : this.#leftMs);
      this.#signal?.addEventListener('abort', look);
    });
    try {
      return await Promise.race([work, over]);
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener('abort', look);
    }
  }
}
