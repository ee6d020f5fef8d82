/**
 * Worker processes on SQLite files.
 *
 * @module
 */

import process from 'node:process';

import { Child, startMany } from '../support/child.ts';
import type { Order, Report, Settled } from './messages.ts';

const PROGRAM = { module: new URL('worker.ts', import.meta.url) };

const idle: WorkerProcess[] = [];

/** A process that takes orders. */
export class WorkerProcess extends Child<Order, Report> {
  /** Starts a process and resolves when it is ready for orders. */
  static async start(): Promise<WorkerProcess> {
    const worker = new WorkerProcess(PROGRAM);
    await worker.next('ready');
    return worker;
  }

  /**
   * Lets a stopped process go on until its call has settled. More than one signal, since the first
   * may come before it has quite stopped; not `kill` of the child, which closes pipes under Deno.
   */
  async wakeUp(): Promise<Settled> {
    const repeated = setInterval(() => process.kill(this.pid, 'SIGCONT'), 20);
    try {
      return await this.next('settled');
    } finally {
      clearInterval(repeated);
    }
  }
}

/**
 * Runs `use` with processes that nobody else is using. They are kept for the next one, since to
 * start them takes longer than most tests; but not after a failure, which leaves them anyhow.
 */
export async function withWorkers(
  count: number,
  use: (workers: WorkerProcess[]) => Promise<void>,
): Promise<void> {
  idle.push(...await startMany(count - idle.length, WorkerProcess.start));
  const workers = idle.splice(0, count);
  try {
    await use(workers);
    idle.push(...workers);
  } catch (error) {
    await Promise.all(workers.map((worker) => worker.kill()));
    throw error;
  }
}
