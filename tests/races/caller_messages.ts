/**
 * What a test and a {@link CallerProcess} say to each other: one JSON value a line.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';
import type { Settled } from './call.ts';

/** What a process is told to do. */
export type Order =
  | {
    readonly kind: 'open';
    readonly engine: 'postgres' | 'libsql-file' | 'libsql-http';
    readonly address: string;
    /** How long SQLite itself waits for a lock. Default 0, as the driver has it. */
    readonly busyTimeoutMs?: number;
  }
  | {
    readonly kind: 'call';
    readonly strategy: Strategy;
    readonly tables: number;
    /** When to call, in milliseconds since 1970. At once where absent. */
    readonly at?: number;
    readonly leaseMs?: number;
    readonly waitTimeoutMs?: number;
    /** Harmless to repeat, as a lease needs it after a crash. */
    readonly isIdempotent?: boolean;
    /** Makes the first table, reports `'inside'`, and rests until the process is killed. */
    readonly isHeld?: boolean;
  }
  | { readonly kind: 'close' };

/** What a process tells. */
export type Report =
  | { readonly kind: 'ready' | 'opened' | 'inside' | 'closed' }
  | { readonly kind: 'settled'; readonly settled: Settled };
