/**
 * Threads that do jobs, as many at a time as the machine has cores.
 *
 * @module
 */

import type { Job, Result } from './jobs.ts';
import type { Answer, Order } from './worker.ts';

/** The library itself. */
export const LIBRARY: string = new URL('../../mod.ts', import.meta.url).href;

/** Threads that do jobs. */
export class Pool {
  readonly #free: Worker[] = [];
  readonly #all = new Set<Worker>();

  /**
   * Does one job, on a thread that has none; ask for as many at a time as there are processors.
   *
   * @throws The job failed to run to its end, or took longer than `limitMs`.
   */
  async run(job: Job, library = LIBRARY, limitMs = Infinity): Promise<Result> {
    const worker = this.#free.pop() ?? this.#start();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const answer = await new Promise<Answer>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<Answer>) => resolve(data);
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
        if (limitMs < Infinity) {
          const late = new Error(`it took more than ${limitMs / 1_000} s`);
          timer = setTimeout(() => reject(late), limitMs);
        }
        worker.postMessage({ job, library } satisfies Order);
      });
      if ('error' in answer) throw new Error(answer.error);
      this.#free.push(worker);
      return answer.result;
    } catch (error) {
      // Whatever it is at, nobody waits for it.
      worker.terminate();
      this.#all.delete(worker);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all threads. */
  close(): void {
    for (const worker of this.#all) worker.terminate();
  }

  #start(): Worker {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    this.#all.add(worker);
    return worker;
  }
}
