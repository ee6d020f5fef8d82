/**
 * Waiting that always ends. Times are asserted as an order and with a generous ceiling.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff, Patience, sleep, stopwatch } from '../src/wait.ts';

const TIMEOUT = new Error('timeout');

function patience(waitTimeoutMs: number, signal?: AbortSignal): Patience {
  return new Patience(waitTimeoutMs, signal, () => TIMEOUT);
}

async function thrownBy(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail('Not rejected');
}

test('the back-off begins short, grows, and never passes a second', () => {
  const steps = Array.from({ length: 60 }, backoff());
  assert.ok(steps[0]! > 0 && steps[0]! <= 50, `${steps[0]}`);
  assert.ok(steps.every((step) => step > 0 && step <= 1_000), steps.join());
  assert.ok(steps.slice(40).every((step) => step >= 250), steps.join());
});

test('the back-off is jittered, so that callers spread out', () => {
  const firsts = new Set(Array.from({ length: 20 }, () => backoff()()));
  assert.ok(firsts.size > 15, `${firsts.size}`);
});

test('a stopwatch goes by the clock that has gone further', async () => {
  const ageMs = stopwatch();
  await sleep(50);
  assert.ok(ageMs() >= 49, `${ageMs()}`);
  const now = Date.now;
  try {
    Date.now = () => now() - 60_000;
    assert.ok(ageMs() >= 49, `${ageMs()}`);
    // As after a sleep of the machine.
    Date.now = () => now() + 60_000;
    assert.ok(ageMs() >= 60_000, `${ageMs()}`);
  } finally {
    Date.now = now;
  }
});

test('what ends in time comes through as it is', async () => {
  const one = patience(5_000);
  assert.equal(await one.race(Promise.resolve(7)), 7);
  const broken = new Error('broken');
  assert.equal(await thrownBy(one.race(Promise.reject(broken))), broken);
  one.check();
  assert.equal(one.exhausted(), undefined);
});

test('the deadline cuts what does not end, and no sooner', async () => {
  const one = patience(150);
  assert.equal(await thrownBy(one.race(new Promise(() => {}))), TIMEOUT);
  assert.ok(one.elapsedMs >= 149 && one.elapsedMs < 5_000, `${one.elapsedMs}`);
  assert.throws(() => one.check(), TIMEOUT);
  assert.deepEqual(one.exhausted(), { error: TIMEOUT });
});

test('a pause that is cut leaves no timer behind', async () => {
  const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout };
  const running = new Set<unknown>();
  Object.assign(globalThis, {
    setTimeout: (run: () => void, ms: number) => {
      const timer = real.setTimeout(run, ms);
      running.add(timer);
      return timer;
    },
    clearTimeout: (timer: number) => {
      running.delete(timer);
      real.clearTimeout(timer);
    },
  });
  try {
    const controller = new AbortController();
    const pausing = patience(5_000, controller.signal).pause();
    assert.ok(running.size > 0);
    controller.abort(TIMEOUT);
    assert.equal(await thrownBy(pausing), TIMEOUT);
    assert.equal(running.size, 0);
  } finally {
    Object.assign(globalThis, real);
  }
});

test('one deadline holds for all waits of a caller together', async () => {
  const one = patience(200);
  let steps = 0;
  const waiting = (async () => {
    for (;; steps++) await one.pause();
  })();
  assert.equal(await thrownBy(waiting), TIMEOUT);
  assert.ok(steps >= 2, `${steps} steps`);
  assert.ok(one.elapsedMs < 5_000, `${one.elapsedMs}`);
});

test('a signal cuts at once, with its own reason', async () => {
  const controller = new AbortController();
  const one = patience(60_000, controller.signal);
  const waiting = thrownBy(one.race(new Promise(() => {})));
  await sleep(20);
  const reason = { enough: true };
  controller.abort(reason);
  assert.equal(await waiting, reason);
  assert.ok(one.elapsedMs < 5_000);
  assert.deepEqual(one.exhausted(), { error: reason });
});

test('a signal that was aborted before is seen by the check and by the pause', async () => {
  const reason = new Error('before');
  const one = patience(60_000, AbortSignal.abort(reason));
  assert.throws(() => one.check(), reason);
  assert.equal(await thrownBy(one.pause()), reason);
});

test('a signal that was aborted before a wait began ends it at once', async () => {
  const reason = new Error('before');
  const patience = new Patience(60_000, AbortSignal.abort(reason), () => new Error('late'));
  const startedAt = performance.now();
  await assert.rejects(patience.race(new Promise(() => {})), reason);
  assert.ok(performance.now() - startedAt < 5_000);
});

test('a signal that is aborted and a deadline that has passed: the signal is the reason', async () => {
  const controller = new AbortController();
  const one = patience(20, controller.signal);
  await sleep(60);
  controller.abort('the signal');
  assert.deepEqual(one.exhausted(), { error: 'the signal' });
});

test('work that may not be cut goes on past the deadline, and is asked about again', async () => {
  const one = patience(50);
  let asked = 0;
  const work = sleep(400).then(() => 'done');
  const result = await one.race(work, () => {
    asked++;
    return undefined;
  }, 50);
  assert.equal(result, 'done');
  assert.ok(asked >= 2, `${asked}`);
});

test('work that may be cut later is cut then', async () => {
  const one = patience(50);
  const late = new Error('now');
  let asked = 0;
  const cut = one.race(new Promise(() => {}), () => ++asked < 3 ? undefined : { error: late }, 30);
  assert.equal(await thrownBy(cut), late);
  assert.equal(asked, 3);
});

test('no listener stays on the signal, and what was cut may still fail unseen', async () => {
  const controller = new AbortController();
  let listeners = 0;
  const { signal } = controller;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners++;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners--;
    remove(...args);
  };
  const one = patience(100, signal);
  await one.race(Promise.resolve());
  const late = Promise.withResolvers<void>();
  assert.equal(await thrownBy(one.race(late.promise)), TIMEOUT);
  assert.equal(listeners, 0);
  // A rejection that nobody handles would end the run.
  late.reject(new Error('unseen'));
  await sleep(20);
});
