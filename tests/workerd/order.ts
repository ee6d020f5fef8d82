/**
 * What the test process asks of a Worker that runs cases, and what it is told.
 *
 * @module
 */

import type { WireError } from '../engines/wire.ts';

/** Where a test is from. */
export type Suite = 'conformance' | 'lifecycle';

/** A test to run on an empty database. */
export interface Order {
  /** The name of the engine. */
  readonly engine: string;
  readonly suite: Suite;
  /** The name of the test, as the suite has it. */
  readonly test: string;
  /** The database where it is not a binding: the name of an object, or the address on a server. */
  readonly address: string;
  /** For how long it may run. */
  readonly ceilingMs: number;
}

/** What it came to: nothing to say, or what was thrown. */
export interface Verdict {
  readonly error?: WireError;
}
