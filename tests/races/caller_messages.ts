/**
 * What a test and a {@link CallerProcess} say to each other: one JSON value a line.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';
import type { Settled } from './call.ts';

/** Where a process connects to. */
export interface OpenOrder {
  readonly kind: 'open';
  readonly engine: 'postgres' | 'libsql-file' | 'libsql-http' | 'sqlite';
  readonly address: string;
  /** How long SQLite itself waits for a lock. Default 0, as the driver has it. */
  readonly busyTimeoutMs?: number;
  /** The journal of a SQLite file. Left as the file has it where absent. */
  readonly journal?: 'wal' | 'delete';
}

/** One call of the library. */
export interface CallOrder {
  readonly kind: 'call';
  readonly strategy: Strategy;
  readonly tables: number;
  /** A table more, by which it can be told who has installed. */
  readonly mark?: string;
  /** When to call, in milliseconds since 1970. At once where absent. */
  readonly at?: number;
  readonly leaseMs?: number;
  readonly waitTimeoutMs?: number;
  /** Harmless to repeat, as a lease needs it after a crash. */
  readonly isIdempotent?: boolean;
  /** Makes the first table, reports `'inside'`, and rests until the process is killed. */
  readonly isHeld?: boolean;
  /** Reports the call, each of its statements before that is sent, and that it has resolved. */
  readonly isVerbose?: boolean;
  /**
   * Halts before its n-th statement, from 1, or where it has fewer when the call has resolved:
   * reports `'halted'` and blocks until the process is killed. A batch counts as one statement.
   */
  readonly halt?: { readonly beforeStatement?: number };
}

/** What a process is told to do. */
export type Order = OpenOrder | CallOrder | { readonly kind: 'close' };

/** What a process tells. */
export type Report =
  | { readonly kind: 'ready' | 'opened' | 'inside' | 'called' | 'halted' | 'closed' }
  /** Its n-th statement, which is sent next. */
  | { readonly kind: 'statement'; readonly index: number }
  /** The call has resolved, with this outcome: from here on its caller counts on it. */
  | { readonly kind: 'resolved'; readonly outcome: string }
  | { readonly kind: 'settled'; readonly settled: Settled; readonly statements: number };
