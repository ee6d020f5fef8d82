/**
 * Real isolates with real D1 databases, and a way into both from the test process.
 *
 * All isolates of one call run in one workerd, as separate Workers, and see the same databases, as
 * the instances of a Worker around the world do.
 *
 * @module
 */

import { Kysely } from 'kysely';
import { D1Dialect } from 'kysely-d1';
import { bundle } from './bundle.ts';
import { Closers, type Observer, type TestDatabase } from './engine.ts';
import { LIST_TABLES } from './list_tables.ts';
import { observe } from './observe.ts';
import { RemoteD1 } from './remote_d1.ts';
import { decode, decodeError, encode, type WireAnswer, type WireRequest } from './wire.ts';
import { startWorkerd, type WorkerAnswer, type WorkerRequest } from './workerd.ts';

/** What to start. */
export interface IsolatesOptions {
  /** How many isolates. Default 0: only the way in. */
  count?: number;
  /**
   * The module that each of them runs, its default export with a `fetch(request, env)`. `env` has
   * `DB`, the D1 binding of the database that was asked for, the same object for each request of an
   * isolate, and `NAME`, its name.
   */
  script?: URL;
  /** How many D1 databases there are to be had. Default 100. */
  databases?: number;
  /**
   * A class that `script` exports: a Durable Object with a SQLite database, that all isolates reach
   * as `env.OBJECTS`.
   */
  objects?: string;
  /**
   * Gives the isolates what Cloudflare has of Node's modules, as the drivers of Postgres need it.
   * Default false, so that a use of them in the library is noticed.
   */
  nodeCompat?: boolean;
}

/** Some isolates and their databases. */
export interface Isolates {
  readonly count: number;
  /** Where they are now, for proxies in between. */
  endpoint(): { host: string; port: number };
  /** A new D1 database, or nothing when all have been given out. */
  create(): IsolateDatabase | undefined;
  /** Asks for something on the other side. */
  call<T>(request: WireRequest): Promise<T>;
  /** Kills all isolates in the middle of whatever they do, and starts new ones on what they left. */
  kill(): Promise<void>;
  /** The same, but by Miniflare, as for new code: on purpose. */
  replace(): Promise<void>;
  stop(): Promise<void>;
}

/** A D1 database that isolates and the test process share. */
export interface IsolateDatabase extends TestDatabase {
  readonly name: string;
  /** Calls one of the isolates, from 0, with this database as its `env.DB`. */
  fetch(isolate: number, request?: WorkerRequest): Promise<WorkerAnswer>;
  /** A D1 binding for the test process. */
  handle(observer?: Observer): RemoteD1;
  /** The binding by Miniflare's own proxy: true to the letter, some 15 ms a statement. */
  binding(): Promise<unknown>;
}

let way: Promise<string> | undefined;

/** Starts isolates. */
export async function startIsolates(options: IsolatesOptions = {}): Promise<Isolates> {
  const { count = 0, script, databases = 100, nodeCompat = false, objects } = options;
  way ??= bundle(new URL('./wire_worker.ts', import.meta.url));
  const names = Array.from({ length: databases }, (_, n) => `DB${n}`);
  const user = count > 0 && script ? await bundle({ text: entry(script) }) : '';
  const workerd = await startWorkerd([
    {
      name: 'way-in',
      script: await way,
      d1Databases: names,
      objects: { className: 'Database', worker: 'way-in' },
    },
    ...Array.from({ length: count }, (_, n) => ({
      name: `isolate${n}`,
      script: user,
      d1Databases: names,
      nodeCompat,
      ...(objects && { objects: { className: objects, worker: 'isolate0' } }),
    })),
  ]);
  const call = async <T>(request: WireRequest): Promise<T> => {
    const { text } = await workerd.fetch('way-in', { body: encode(request) });
    const answer = decode(text) as WireAnswer;
    if ('error' in answer) throw decodeError(answer.error);
    return answer.result as T;
  };
  let given = 0;
  return {
    count,
    endpoint: () => workerd.endpoint(),
    create: () => {
      const name = names[given++];
      if (name === undefined) return undefined;
      const closers = new Closers();
      const plain = new RemoteD1(name, call);
      const run = async (sql: string) => (await plain.prepare(sql).all()).results;
      return {
        name,
        connect: (options = {}) => {
          const dialect = new D1Dialect({ database: plain as never });
          const db = new Kysely({ dialect: observe(dialect, options) });
          return closers.add(db, () => db.destroy());
        },
        handle: (observer = {}) => new RemoteD1(name, call, observer),
        binding: () => workerd.d1('way-in', name),
        fetch: (isolate, request = {}) =>
          workerd.fetch(`isolate${isolate}`, {
            ...request,
            headers: { ...request.headers, 'x-database': name },
          }),
        run,
        tables: async () => (await run(LIST_TABLES.sqlite)).map((row) => String(row.name)),
        // The database itself goes with its workerd. It is not used again: something that was left
        // behind in an isolate may still write to it.
        drop: () => closers.close(),
      };
    },
    call,
    kill: () => workerd.kill(),
    replace: () => workerd.replace(),
    stop: () => workerd.stop(),
  };
}

// The user's module with the database that was asked for as its `DB`.
function entry(script: URL): string {
  const path = JSON.stringify(decodeURIComponent(script.pathname));
  return `
    import user from ${path};
    export * from ${path};
    export default {
      fetch(request, env, context) {
        const NAME = request.headers.get('x-database');
        return user.fetch(request, { ...env, DB: env[NAME], NAME }, context);
      },
    };`;
}
