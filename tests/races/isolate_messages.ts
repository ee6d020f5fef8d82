/**
 * What a test and its isolates say to each other.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';
import type { Settled } from './call.ts';

/** One call of the library inside an isolate, or inside the Durable Object behind it. */
export interface IsolateOrder {
  readonly strategy?: Strategy;
  readonly tables: number;
  /** When to call, in milliseconds since 1970. At once where absent. */
  readonly at?: number;
  /** Harmless to repeat, as a lease needs it after a crash. */
  readonly isIdempotent?: boolean;
  /** Makes the first table, signs that, and rests until the database says how it goes on. */
  readonly isHeld?: boolean;
  /** A table more, by which it can be told who has installed. */
  readonly mark?: string;
  /** Before its n-th statement, from 1, signs that and rests for ever. A batch counts as one. */
  readonly haltBefore?: number;
  readonly leaseMs?: number;
  readonly waitTimeoutMs?: number;
  /** Which Durable Object; absent for the D1 database of the isolate. */
  readonly object?: string;
}

/** What it came to. */
export type IsolateAnswer = Settled;

/** Where held winners sign, and where they are told how to go on: by a row `go` or `fail`. Those that halt sign there too. */
export const SIGNS = 'signs';
