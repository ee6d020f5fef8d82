/**
 * Calls that are killed before they end.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Halt, Settled } from './messages.ts';
import { ordersOf, type Race, race } from './race.ts';
import { WorkerProcess } from './worker_process.ts';

/**
 * When a call is killed: by the clock, which may be in the middle of a write to the file, or
 * between two statements, so that each of these gaps can have its turn. The clock starts with the
 * call, or with one of its statements.
 */
export type Moment = { afterMs: number; sinceStatement?: number } | Omit<Halt, 'by'>;

/** A process that reports its call and each of its statements, and can be killed. */
interface Killable<Order> {
  ask(order: Order | (Order & { halt: Halt }), kind: 'called' | 'halted'): Promise<unknown>;
  next(kind: 'statement'): Promise<{ index: number }>;
  kill(): Promise<NodeJS.Signals | null>;
}

/** Gives a process the order to call, and kills it at that moment. */
export async function killAt<Order extends object>(
  process: Killable<Order>,
  call: Order,
  moment: Moment,
): Promise<void> {
  if ('afterMs' in moment) {
    await process.ask(call, 'called');
    for (let index = 0; index < (moment.sinceStatement ?? 0);) {
      ({ index } = await process.next('statement'));
    }
    // No timer is that fast.
    if (moment.afterMs >= 1) {
      await new Promise((resolve) => setTimeout(resolve, moment.afterMs));
    }
  } else {
    await process.ask({ ...call, halt: { ...moment, by: 'block' } }, 'halted');
  }
  assert.equal(await process.kill(), 'SIGKILL');
}

/** Makes a call in a process of its own and kills it. Tells how many statements it had reached. */
export async function killCall(options: Race, moment: Moment): Promise<number> {
  const { open, call } = ordersOf({ ...options, isVerbose: true });
  const worker = await WorkerProcess.start();
  await worker.ask(open, 'opened');
  await killAt(worker, call, moment);
  return worker.reports.filter(({ kind }) => kind === 'statement').length;
}

/** Makes the same call in a process of its own that nobody kills, to see how long it is. */
export async function measureCall(options: Race): Promise<Settled> {
  const worker = await WorkerProcess.start();
  const [settled] = await race([worker], { ...options, isVerbose: true });
  await worker.kill();
  assert.equal(settled!.outcome, 'installed');
  return settled!;
}
