/**
 * What a test and its worker processes say to each other: one JSON value a line.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';

/** How a worker opens its connection. */
export interface OpenOrder {
  kind: 'open';
  /** The SQLite file. */
  path: string;
  /** How long SQLite itself waits for a lock. */
  busyTimeoutMs: number;
  readOnly?: boolean;
}

/** One call of the library on the connection that is open. */
export interface CallOrder {
  kind: 'call';
  /** How many tables the schema has. */
  tables: number;
  /** When to make the call, in milliseconds since the epoch: the same instant for all who race. */
  at?: number;
  /** `'claim-then-ddl'` is what the tests must be able to tell from the library. */
  protocol?: 'bootstrapSchema' | 'claim-then-ddl';
  strategy?: Strategy;
  leaseMs?: number;
  /** "create table if not exists": what strategy `'lease'` asks for. */
  isIdempotent?: boolean;
  /** How long the DDL rests after each of its statements, in a timer. */
  pauseMs?: number;
  /** Reports the call and each of its statements, before it is made or sent. */
  isVerbose?: boolean;
  halt?: Halt;
}

/** Where and how a process halts in the middle of a call, holding no lock of SQLite by accident. */
export interface Halt {
  /** Before it sends its n-th statement, from 1; when the call has resolved, if there is none. */
  beforeStatement?: number;
  /** Before it sends the first statement that begins like this. */
  beforeSql?: string;
  /** While the DDL rests after its n-th table. */
  afterTable?: number;
  /** `'block'` sleeps with the thread blocked until it is killed, `'stop'` is SIGSTOP. */
  by: 'block' | 'stop';
}

/** What a worker is told to do. */
export type Order =
  | OpenOrder
  | CallOrder
  /** Reads in a loop, and so takes SQLite's shared lock again and again, until told to rest. */
  | { kind: 'read' }
  | { kind: 'rest' }
  | { kind: 'close' }
  /** Kills another process if this one is orphaned: a stopped one cannot end by itself. */
  | { kind: 'guard'; pid: number | null };

/** What a worker tells. */
export type Report =
  | { kind: 'ready' | 'opened' | 'closed' | 'reading' | 'guarding' }
  | { kind: 'called' }
  /** Its n-th statement, which is sent next. */
  | { kind: 'statement'; index: number; sql: string }
  | { kind: 'halted' }
  | { kind: 'rested'; reads: number }
  | Settled;

/** How a call ended. */
export interface Settled {
  kind: 'settled';
  /** When it was made. */
  calledAt: number;
  /** When its DDL was entered for the last time, if it was. */
  ddlAt?: number;
  installed: boolean;
  /** What the library said, or `'threw'`. */
  outcome: string;
  durationMs: number;
  error?: { name: string; message: string };
  /** The tables that could not be read the moment the call had resolved, with the first reason. */
  unusable: { count: number; reason?: string };
  /** How many statements the call sent. */
  statements: number;
  /** How often the DDL was entered. */
  ddlRuns: number;
  /** What the library logged. */
  log: string[];
}
