/**
 * What the tests need of a database engine, the same for all of them, so that a test case is
 * written once and runs on each.
 *
 * @module
 */

import type { Kysely } from 'kysely';

import type { Server } from './server.ts';

/** Where a test can run. `workerd` is Cloudflare's runtime. */
export type Runtime = 'deno' | 'node22' | 'node24' | 'node26' | 'bun' | 'workerd';

/** A database engine together with the driver and the Kysely dialect that users have for it. */
export interface Engine {
  readonly name: string;
  readonly dialect: 'sqlite' | 'postgres';
  /** False where the Kysely dialect cannot do `db.transaction()`. */
  readonly transactions: boolean;
  /** Whether separate processes can open one database: whether databases have an `address`. */
  readonly processes: boolean;
  /** Whether more than one connection to a database exists at a time, other than by taking turns. */
  readonly concurrent: boolean;
  /**
   * `true` where it runs, otherwise the reason why it does not. In `workerd` the tests are bundled
   * into a Worker.
   */
  readonly runtimes: Readonly<Record<Runtime, true | string>>;
  /** Why it cannot be had on this machine, whatever the runtime. Absent where it can. */
  readonly missing?: string;
  /**
   * To make a database keeps this process busy for long, so they are used again: tests that run at
   * the same time should have some made beforehand.
   */
  readonly reuses?: true;
  /** Starts what it needs; a second call gives the same engine. */
  start(): Promise<RunningEngine>;
  /** Connects to a database of another process by its address. Only where `processes`. */
  open?(address: string, options?: ConnectOptions): Promise<Connection>;
}

/** An engine that can make databases. */
export interface RunningEngine {
  /** A new and empty database. */
  create(options?: CreateOptions): Promise<TestDatabase>;
  /** Where a client of the server finds it, for proxies in between. Only where it has a server. */
  readonly endpoint?: { host: string; port: number };
  /** The server itself. Only where it was started by us. */
  readonly server?: Server;
  /** Ends the server and removes all databases. */
  stop(): Promise<void>;
}

/** How a database is made. */
export interface CreateOptions {
  /** Journal mode of a SQLite file. Default `wal`. */
  journal?: 'wal' | 'delete';
}

/** A database of its own for one test. */
export interface TestDatabase {
  /** A new instance with connections of its own, as another process would have it. */
  connect(options?: ConnectOptions): Connection;
  /**
   * What the caller of an atomic batch has in hand: a `pg` pool, a libSQL client, a D1 binding, the
   * storage of a Durable Object. Each call gives a new one. Absent where there is no such thing.
   */
  handle?(options?: ConnectOptions): unknown;
  /** What another process gives to the engine's `open`. Only where the engine has `processes`. */
  readonly address?: string;
  /** The names of all tables, sorted, read over a connection of its own. */
  tables(): Promise<string[]>;
  /** Runs any SQL over a connection of its own: what an operator would do. */
  run(sql: string): Promise<unknown[]>;
  /** The lines that the server has logged about this database. Only where the server logs them. */
  log?(): string[];
  /** Ends everything that `connect` and `handle` made, and removes the database. */
  drop(): Promise<void>;
}

// deno-lint-ignore no-explicit-any
export type Connection = Kysely<any>;

/** How a database is connected to. */
export interface ConnectOptions extends Observer {
  /** The most connections at a time, where the driver has a pool. Default: the driver's own. */
  connections?: number;
  /** How long SQLite itself waits for a lock. Default: the driver's own. */
  busyTimeoutMs?: number;
  /** Another host and port than the server's own: a proxy that the test has put in between. */
  via?: { host: string; port: number };
}

/** Sees the statements of one instance, and may hold them up or make them fail. */
export interface Observer {
  /** Before a statement is sent. If it throws, the statement is not sent. */
  onStatement?: (sql: string, parameters?: readonly unknown[]) => unknown;
  /** After a statement has worked. If it throws, the answer is lost but the effect is not. */
  onAnswer?: (sql: string) => unknown;
}

/** Runs everywhere but in workerd, for the reason given. */
export function everywhereBut(workerd: string): Engine['runtimes'] {
  return { deno: true, node22: true, node24: true, node26: true, bun: true, workerd };
}

/** Runs everywhere. */
export const everywhere: Engine['runtimes'] = { ...everywhereBut(''), workerd: true };

/** Starts an engine for so many tests at the same time. */
export async function startFor(width: number, engine: Engine): Promise<RunningEngine> {
  const running = await engine.start();
  if (engine.reuses) {
    const made = await Promise.all(Array.from({ length: width }, () => running.create()));
    for (const database of made) await database.drop();
  }
  return running;
}

/** Keeps one running engine, whoever starts it, until it is stopped. */
export function once(start: () => Promise<RunningEngine>): () => Promise<RunningEngine> {
  let running: Promise<RunningEngine> | undefined;
  return () => {
    running ??= start().then((engine) => ({
      ...engine,
      stop: async () => {
        running = undefined;
        await engine.stop();
      },
    })).catch((error) => {
      running = undefined;
      throw error;
    });
    return running;
  };
}

/** Shares a server between engines: started by the first, stopped by the last. */
export function shared<T extends { stop(): Promise<void> }>(
  start: () => Promise<T>,
): { use(): Promise<T>; release(): Promise<void> } {
  let running: Promise<T> | undefined;
  let users = 0;
  return {
    use() {
      users++;
      running ??= start();
      return running.catch((error) => {
        users--;
        running = undefined;
        throw error;
      });
    },
    async release() {
      if (--users > 0) return;
      const server = running;
      running = undefined;
      await (await server)?.stop();
    },
  };
}

/** Collects what has to be ended, and ends it in the reverse order, each once. */
export class Closers {
  #closers: (() => unknown)[] = [];

  add<T>(value: T, close: (value: T) => unknown): T {
    this.#closers.push(() => close(value));
    return value;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}

/** Runs `use` with an empty database of its own. */
export async function inDatabase<T>(
  engine: Engine,
  use: (database: TestDatabase) => Promise<T>,
  options?: CreateOptions,
): Promise<T> {
  const database = await (await engine.start()).create(options);
  let failure: { error: unknown } | undefined;
  try {
    return await use(database);
  } catch (error) {
    failure = { error };
    throw error;
  } finally {
    await database.drop().catch((error) => {
      // It would hide what went wrong before.
      if (!failure) throw error;
    });
  }
}
