/**
 * libSQL through `@libsql/client` and `@libsql/kysely-libsql`: on files, and over HTTP against a
 * real `sqld`.
 *
 * The dialect brings a client of its own, several years old. It is given the current one, as its
 * documentation allows.
 *
 * @module
 */

import type { Client, Config } from '@libsql/client';
import type { LibsqlDialect } from '@libsql/kysely-libsql';
import { Kysely } from 'kysely';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

import { until } from '../cases/support.ts';
import {
  Closers,
  type Connection,
  type ConnectOptions,
  type Engine,
  everywhere,
  everywhereBut,
  once,
  type RunningEngine,
  type TestDatabase,
} from './engine.ts';
import { LIST_TABLES } from './list_tables.ts';
import { observe } from './observe.ts';
import { freePort, startServer } from './server.ts';
import { sqliteFiles } from './sqlite_files.ts';

/** libSQL on a file. */
export const libsqlFile: Engine = engine(
  'libsql-file',
  everywhereBut('a Worker has no files'),
  () => Promise.resolve(sqliteFiles('libsql-file', connect, client)),
);

/** libSQL over HTTP. */
export const libsqlHttp: Engine = {
  ...engine('libsql-http', everywhere, startSqld),
  ...(process.platform === 'win32' && { missing: 'sqld is not made for Windows' }),
};

interface Drivers {
  createClient: typeof import('@libsql/client').createClient;
  LibsqlDialect: typeof LibsqlDialect;
}

let drivers: Drivers | undefined;

async function loadDrivers(): Promise<void> {
  drivers ??= {
    createClient: (await import('@libsql/client')).createClient,
    LibsqlDialect: (await import('@libsql/kysely-libsql')).LibsqlDialect,
  };
}

function engine(
  name: string,
  runtimes: Engine['runtimes'],
  start: () => Promise<RunningEngine>,
): Engine {
  return {
    name,
    dialect: 'sqlite',
    transactions: true,
    processes: true,
    concurrent: true,
    runtimes,
    start: once(async () => {
      await loadDrivers();
      return await start();
    }),
    open: async (address, options = {}) => {
      await loadDrivers();
      return connect(address, options, new Closers());
    },
  };
}

function connect(address: string, options: ConnectOptions, closers: Closers): Connection {
  // The dialect's type is that of its own, older client.
  const dialect = new drivers!.LibsqlDialect({
    client: client(address, options, closers) as never,
  });
  const db = new Kysely({ dialect: observe(dialect, options, { silentControl: true }) });
  return closers.add(db, () => db.destroy());
}

/** The client itself, of a database of another process. */
export async function openClient(address: string, options: ConnectOptions = {}): Promise<Client> {
  await loadDrivers();
  return client(address, options, new Closers());
}

/** A path, or the server's address with the database's name behind `#`. */
function client(address: string, options: ConnectOptions, closers: Closers): Client {
  const make = (config: Config) =>
    closers.add(drivers!.createClient(config), (made) => made.close());
  if (address.startsWith('http:')) return make(remote(address, options));
  const timeout = options.busyTimeoutMs;
  return replacedOnBusy(() =>
    make({ url: `file:${address}`, ...(timeout !== undefined && { timeout }) })
  );
}

/**
 * The smallest adapter around a fault of the client on files: after one `SQLITE_BUSY` its
 * connection keeps the failed statement open, sees the past, and cannot begin or commit, until it
 * is garbage-collected (tursodatabase/libsql-client-ts#352). So a busy client is replaced.
 */
function replacedOnBusy(make: () => Client): Client {
  let current = make();
  return new Proxy(current, {
    get(_, key) {
      const value: unknown = Reflect.get(current, key, current);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const result: unknown = value.apply(current, args);
        if (!(result instanceof Promise)) return result;
        return result.catch((error: unknown) => {
          if (String(error).includes('SQLITE_BUSY')) current = make();
          throw error;
        });
      };
    },
  });
}

function remote(address: string, { via, connections }: ConnectOptions) {
  const url = new URL(address);
  if (via) Object.assign(url, { hostname: via.host, port: String(via.port) });
  // The server tells its databases apart by the host name or by this header. Host names below
  // `localhost` do not resolve everywhere.
  const namespace = btoa(url.hash.slice(1));
  return {
    url: url.origin,
    ...(connections && { concurrency: connections }),
    fetch: (request: Request) => {
      request.headers.set('x-namespace-bin', namespace);
      return fetch(request);
    },
  };
}

async function startSqld(): Promise<RunningEngine> {
  let adminPort = 0;
  const server = await startServer({
    name: 'sqld',
    stopSignal: 'TERM',
    setup: async () => {
      adminPort = await freePort();
    },
    command: (port) => [
      ...[sqld(), '--db-path', 'data', '--no-welcome', '--disable-metrics'],
      ...[
        '--http-listen-addr',
        `127.0.0.1:${port}`,
        '--admin-listen-addr',
        `127.0.0.1:${adminPort}`,
      ],
      ...['--enable-namespaces', '--max-active-namespaces', '2000', '--shutdown-timeout', '1'],
    ],
    ready: async (port) => {
      await get(`http://127.0.0.1:${port}/health`);
      await get(`http://127.0.0.1:${adminPort}/health`);
    },
  });
  const admin = (name: string, action: string, method: string, body?: string) =>
    get(`http://127.0.0.1:${adminPort}/v1/namespaces/${name}${action}`, {
      method,
      ...(body && { body, headers: { 'content-type': 'application/json' } }),
    });
  const all = new Closers();
  return {
    endpoint: { host: '127.0.0.1', port: server.port },
    server,
    create: async () => {
      const name = `t${crypto.randomUUID().replaceAll('-', '')}`;
      await admin(name, '/create', 'POST', '{}');
      const address = `http://127.0.0.1:${server.port}#${name}`;
      const closers = new Closers();
      const run = async (sql: string) => {
        const closers = new Closers();
        try {
          return (await client(address, {}, closers).execute(sql)).rows;
        } finally {
          await closers.close();
        }
      };
      const database: TestDatabase = {
        address,
        connect: (options = {}) => connect(address, options, closers),
        handle: (options = {}) => client(address, options, closers),
        run,
        tables: async () => (await run(LIST_TABLES.sqlite)).map((row) => String(row.name)),
        drop: async () => {
          await closers.close();
          // What sqld fails to remove, as a request still writes there that nobody waits for any
          // more, it can when that has ended: measured, with requests of callers that were aborted.
          await until(() =>
            admin(name, '', 'DELETE').then(() => true, (error) => {
              if (/404/.test(String(error))) return true;
              if (!/\(os error (2|39)\)/.test(String(error))) throw error;
            })
          );
        },
      };
      return all.add(database, () => database.drop());
    },
    stop: async () => {
      await all.close();
      await server.stop();
    },
  };
}

/** The server's binary. */
export function sqld(): string {
  const require = createRequire(import.meta.url);
  return join(
    dirname(require.resolve(`@sqld/${process.platform}-${process.arch}/package.json`)),
    'sqld',
  );
}

async function get(url: string, init?: RequestInit): Promise<void> {
  const response = await fetch(url, init);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text}`);
}
