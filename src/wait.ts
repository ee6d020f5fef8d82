/**
 * Waiting that holds nothing, and always ends.
 *
 * @module
 */

const FIRST_STEP_MS = 20;
const STEP_GROWTH = 1.25;
const LONGEST_STEP_MS = 1_000;

/** Resolves after `ms` milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The pauses between looks at a ledger that another caller is busy with. */
export class Backoff {
  #stepMs = FIRST_STEP_MS;

  /** The next pause in milliseconds: longer each time, and jittered so that callers spread out. */
  next(): number {
    const stepMs = this.#stepMs;
    this.#stepMs = Math.min(stepMs * STEP_GROWTH, LONGEST_STEP_MS);
    return stepMs * (0.5 + Math.random() / 2);
  }
}

/** What one caller is ready to wait: until a deadline, or until its signal is aborted. */
export class Patience {
  readonly #startedAt = performance.now();
  readonly #backoff = new Backoff();
  readonly #waitTimeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #timeout: () => unknown;

  /** `timeout` makes the error for a caller whose deadline has passed. */
  constructor(waitTimeoutMs: number, signal: AbortSignal | undefined, timeout: () => unknown) {
    this.#waitTimeoutMs = waitTimeoutMs;
    this.#signal = signal;
    this.#timeout = timeout;
  }

  /** Milliseconds since the caller came. */
  get elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Whether the signal is. */
  get isAborted(): boolean {
    return this.#signal?.aborted ?? false;
  }

  /** Why this caller waits no longer, as the error to throw; undefined while it does. */
  exhausted(): { error: unknown } | undefined {
    if (this.isAborted) return { error: this.#signal?.reason };
    if (this.elapsedMs >= this.#waitTimeoutMs) return { error: this.#timeout() };
    return undefined;
  }

  /** Throws the signal's reason or the timeout error if the wait is over. */
  check(): void {
    const end = this.exhausted();
    if (end) throw end.error;
  }

  /** One step of the back-off, cut short by deadline and signal. */
  async pause(): Promise<void> {
    this.check();
    await this.race(sleep(this.#backoff.next()));
  }

  /**
   * The outcome of `work`, or the error of {@linkcode exhausted} if that comes first and `mayCut`
   * does not object; it is asked again every `againMs`. What was cut goes on unobserved.
   */
  async race<T>(
    work: Promise<T>,
    mayCut: () => { error: unknown } | undefined = () => this.exhausted(),
    againMs = LONGEST_STEP_MS,
  ): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let onAbort: (() => void) | undefined;
    const cut = new Promise<never>((_, reject) => {
      const look = () => {
        clearTimeout(timer);
        const over = this.exhausted();
        const end = over && mayCut();
        if (end) return reject(end.error);
        // A timer may fire a moment early, so the deadline itself is looked at again at once.
        timer = setTimeout(
          look,
          over ? againMs : Math.max(this.#waitTimeoutMs - this.elapsedMs, 1),
        );
      };
      const leftMs = Math.max(this.#waitTimeoutMs - this.elapsedMs, 0);
      timer = setTimeout(look, this.isAborted ? 0 : leftMs);
      onAbort = look;
      this.#signal?.addEventListener('abort', onAbort);
    });
    try {
      return await Promise.race([work, cut]);
    } finally {
      clearTimeout(timer);
      if (onAbort) this.#signal?.removeEventListener('abort', onAbort);
    }
  }
}
