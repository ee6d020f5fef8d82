/**
 * The runtime's clock, timers and randomness, handed to a simulation while it runs.
 *
 * They are replaced only for code that runs in the name of a simulated caller; for everything else
 * in the process (the test runner, say) they stay what they are.
 *
 * @module
 */

import { createHash } from 'node:crypto';

/** What a simulated caller has instead of the runtime's own. */
export interface Surroundings {
  /** Milliseconds of `performance.now`. */
  monotonicMs(): number;
  /** Milliseconds of `Date.now`, which may be off. */
  wallClockMs(): number;
  /** From 0 to 1, as `Math.random` gives. */
  random(): number;
  uuid(): string;
  /** `everyMs` is set for an interval. */
  setTimer(callback: () => void, ms: number, everyMs?: number): object;
  clearTimer(timer: object): void;
}

let current: Surroundings | undefined;

type Timer = ReturnType<typeof setTimeout>;

const native = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  dateNow: Date.now,
  random: Math.random,
  now: performance.now,
  randomUUID: crypto.randomUUID,
  digest: crypto.subtle.digest,
};

/** Replaces them for the time of `work`. */
export async function withSurroundings<T>(work: () => Promise<T>): Promise<T> {
  const simulated = new WeakSet<object>();
  const setTimer = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    if (!current) return native.setTimeout(callback, ms, ...args);
    const timer = current.setTimer(() => callback(...args), ms);
    simulated.add(timer);
    return timer;
  };
  const setTicker = (callback: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    if (!current) return native.setInterval(callback, ms, ...args);
    const timer = current.setTimer(() => callback(...args), ms, ms);
    simulated.add(timer);
    return timer;
  };
  const clearTimer = (timer: unknown) => {
    if (typeof timer !== 'object' || timer === null || !simulated.has(timer)) {
      native.clearTimeout(timer as Timer);
    } else current?.clearTimer(timer);
  };
  // The runtime's own digest is made on another thread, and takes as long as it takes.
  const digest = (name: string, data: Uint8Array<ArrayBuffer>) =>
    current
      ? Promise.resolve(new Uint8Array(createHash('sha256').update(data).digest()).buffer)
      : native.digest.call(crypto.subtle, name, data);
  globalThis.setTimeout = setTimer as unknown as typeof setTimeout;
  globalThis.clearTimeout = clearTimer as unknown as typeof clearTimeout;
  globalThis.setInterval = setTicker as unknown as typeof setInterval;
  globalThis.clearInterval = clearTimer as unknown as typeof clearInterval;
  define(crypto.subtle, 'digest', digest);
  Date.now = () => current?.wallClockMs() ?? native.dateNow();
  Math.random = () => current?.random() ?? native.random();
  define(performance, 'now', () => current?.monotonicMs() ?? native.now.call(performance));
  define(crypto, 'randomUUID', () => current?.uuid() ?? native.randomUUID.call(crypto));
  try {
    return await work();
  } finally {
    globalThis.setTimeout = native.setTimeout;
    globalThis.clearTimeout = native.clearTimeout;
    globalThis.setInterval = native.setInterval;
    globalThis.clearInterval = native.clearInterval;
    define(crypto.subtle, 'digest', native.digest);
    Date.now = native.dateNow;
    Math.random = native.random;
    define(performance, 'now', native.now);
    define(crypto, 'randomUUID', native.randomUUID);
  }
}

// Of V8.
const traces = Error as { stackTraceLimit?: number };

function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
}

/** Runs `work`, and all that follows from it without waiting for a timer, in these surroundings. */
export async function within(surroundings: Surroundings, work: () => void): Promise<void> {
  current = surroundings;
  // Half of what a simulated database answers is an error, and none is ever asked where it was made.
  const { stackTraceLimit } = traces;
  traces.stackTraceLimit = 0;
  try {
    work();
    await settled();
  } finally {
    traces.stackTraceLimit = stackTraceLimit;
    current = undefined;
  }
}

/** Resolves when every promise that can settle has settled: one turn of the event loop later. */
function settled(): Promise<void> {
  return new Promise((resolve) => native.setImmediate(() => resolve()));
}
