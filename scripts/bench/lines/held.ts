/**
 * Holding things back for a while.
 *
 * @module
 */

import type { Counts } from './line.ts';

/** What a line does at the moment. */
export interface LineState {
  delayMs: number;
  counts: Counts;
}

/** Hands things on after their delay, in the order in which they came. */
export function held<T>(handOn: (thing: T) => void): (thing: T, delayMs: number) => void {
  const queue: { thing: T; due: number }[] = [];
  const look = (): void => {
    while (queue.length > 0 && queue[0]!.due <= performance.now()) handOn(queue.shift()!.thing);
    if (queue.length > 0) setTimeout(look, Math.max(0, queue[0]!.due - performance.now()));
  };
  return (thing, delayMs) => {
    if (delayMs === 0 && queue.length === 0) return handOn(thing);
    const due = Math.max(performance.now() + delayMs, queue.at(-1)?.due ?? 0);
    queue.push({ thing, due });
    if (queue.length === 1) setTimeout(look, delayMs);
  };
}
