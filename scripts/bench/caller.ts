/**
 * Who calls: one process or isolate of an application, with a connection that is up.
 *
 * @module
 */

import type { Client } from '@libsql/client';
import type BetterSqlite3 from 'better-sqlite3';
import type { Kysely } from 'kysely';

import type { AtomicBatch } from '../../mod.ts';
import type { RemoteD1 } from '../../tests/engines/remote_d1.ts';
import type { Line } from './lines/line.ts';

/** The engines of the benchmarks. */
export type EngineName = 'postgres' | 'libsql' | 'd1' | 'sqlite';

interface Common {
  // deno-lint-ignore no-explicit-any
  readonly kysely: Kysely<any>;
  /** The batch on the same connection. */
  readonly batch: AtomicBatch;
  close(): Promise<void>;
}

/** On Postgres. */
export interface PostgresCaller extends Common {
  readonly engine: 'postgres';
  // deno-lint-ignore no-explicit-any
  readonly pool: any;
  /** For those that insist on a connection of their own. */
  readonly url: string;
}

/** On libSQL's server. */
export interface LibsqlCaller extends Common {
  readonly engine: 'libsql';
  readonly client: Client;
}

/** On D1. */
export interface D1Caller extends Common {
  readonly engine: 'd1';
  readonly binding: RemoteD1;
}

/** On a SQLite file. */
export interface SqliteCaller extends Common {
  readonly engine: 'sqlite';
  readonly database: BetterSqlite3.Database;
  readonly path: string;
}

/** Any of them. */
export type Caller = PostgresCaller | LibsqlCaller | D1Caller | SqliteCaller;

/** A caller on one of these engines. */
export type CallerOn<E extends EngineName> = Extract<Caller, { engine: E }>;

/** A database of its own for one measurement. */
export interface BenchDatabase {
  /** A new caller. */
  caller(): Promise<Caller>;
  /** How many tables of the schema are there, asked past the line. */
  tables(): Promise<number>;
  drop(): Promise<void>;
}

/** An engine that makes databases. */
export interface BenchEngine {
  readonly name: EngineName;
  /** What the server says of its version. */
  readonly version: string;
  readonly line: Line;
  create(): Promise<BenchDatabase>;
  stop(): Promise<void>;
}
