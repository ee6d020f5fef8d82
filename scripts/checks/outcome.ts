/**
 * What a step of the test command comes to.
 *
 * @module
 */

import type { TestCase } from './junit.ts';
import type { RuntimeName } from '../runtimes.ts';

/** The tests that a step ran. */
export interface Outcome {
  passed: number;
  failed: number;
  /** What to read when something failed: the names of the tests, then all that was printed. */
  details: string;
  /** What was left out on purpose, each as `what: reason`. */
  skipped: string[];
  /** Every single test, where the step tells. */
  tests?: readonly TestCase[];
  /** What is worth reading even if nothing failed. */
  notes?: string[];
}

/** One line of the test command. */
export interface Step {
  name: string;
  /** The runtime that it tests, as `--runtime` selects it. */
  runtime: RuntimeName;
  run(): Promise<Outcome>;
}

/** The outcome of a step that counts as one test. */
export function single(passed: boolean, output: string): Outcome {
  return {
    passed: passed ? 1 : 0,
    failed: passed ? 0 : 1,
    details: output,
    skipped: skipsIn(output),
  };
}

/** The lines `skipped: what: reason` of an output. */
export function skipsIn(output: string): string[] {
  return [...output.matchAll(/^[ \t]*skipped: (.+: .+)$/gm)].map((match) => match[1]!.trim());
}

/** The lines `note: text` of an output. */
export function notesIn(output: string): string[] {
  return [...output.matchAll(/^note: (.+)$/gm)].map((match) => match[1]!.trim());
}

/** The start of the line that `uncaught.ts` prints for each error outside a test. */
export const UNCAUGHT = 'uncaught outside a test:';
