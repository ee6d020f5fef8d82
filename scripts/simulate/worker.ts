/**
 * Does jobs on a thread of its own, with the library or a copy of it.
 *
 * @module
 */

import { doJob, type Job, type Result } from './jobs.ts';

/** What a worker is asked. */
export interface Order {
  readonly job: Job;
  /** The address of the library's `mod.ts`. */
  readonly library: string;
}

/** What it answers. */
export type Answer = { readonly result: Result } | { readonly error: string };

// What TypeScript knows of the global object is that of a page.
const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Order>) => void;
  postMessage(answer: Answer): void;
};

scope.onmessage = async ({ data: { job, library } }) => {
  try {
    scope.postMessage({ result: await doJob(job, await import(library)) });
  } catch (error) {
    scope.postMessage({ error: Deno.inspect(error) });
  }
};
