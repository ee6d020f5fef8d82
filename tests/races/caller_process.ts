/**
 * Callers that are processes: to race, and to be killed.
 *
 * @module
 */

import { Child, type Program, startMany } from '../support/child.ts';
import type { Settled } from './call.ts';
import type { CallOrder, OpenOrder, Order, Report } from './caller_messages.ts';

const MODULE = new URL('caller.ts', import.meta.url);

/** A process that calls when it is told to. */
export class CallerProcess extends Child<Order, Report> {
  /** Starts a process and resolves when it takes orders. */
  static async start(within?: Program['within']): Promise<CallerProcess> {
    const caller = new CallerProcess({ module: MODULE, within });
    await caller.next('ready');
    return caller;
  }
}

/** Starts processes, a few at a time. */
export function startCallers(count: number): Promise<CallerProcess[]> {
  return startMany(count, () => CallerProcess.start());
}

/**
 * Connects every process, and lets all of them call at the same instant, by the clock that they
 * share.
 */
export async function raceProcesses(
  callers: readonly CallerProcess[],
  orders: { open: OpenOrder; call: CallOrder },
): Promise<Settled[]> {
  await Promise.all(callers.map((caller) => caller.ask(orders.open, 'opened')));
  const call = { ...orders.call, at: Date.now() + 4 * callers.length };
  const reports = await Promise.all(callers.map((caller) => caller.ask(call, 'settled')));
  await Promise.all(callers.map((caller) => caller.ask({ kind: 'close' }, 'closed')));
  return reports.map(({ settled }) => settled);
}
