/**
 * PgBouncer in transaction mode: every transaction may get another connection of the server's.
 *
 * @module
 */

import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

import { type Server, startServer } from '../engines/server.ts';

/** Not every PATH has the directories for servers. */
const MORE_PLACES = ['/usr/sbin', '/usr/local/sbin', '/usr/local/bin', '/opt/homebrew/bin'];

/** Where the program is, if it is installed. */
export function findPgBouncer(): string | undefined {
  return [...(process.env.PATH ?? '').split(delimiter), ...MORE_PLACES]
    .map((place) => join(place, 'pgbouncer'))
    .find((path) => existsSync(path));
}

/** A running PgBouncer. */
export interface Pooler {
  readonly host: string;
  readonly port: number;
  readonly server: Server;
  stop(): Promise<void>;
}

/** Starts it in front of the server that `address` is a database of. */
export async function startPgBouncer(
  program: string,
  address: string,
  { connections }: { connections: number },
): Promise<Pooler> {
  const { hostname, port, username, password } = new URL(address);
  const target = [
    `host=${hostname}`,
    `port=${port || 5432}`,
    `user=${decodeURIComponent(username)}`,
    ...(password ? [`password=${decodeURIComponent(password)}`] : []),
  ].join(' ');
  const server: Server = await startServer({
    name: 'pgbouncer',
    unprivileged: true,
    stopSignal: 'TERM',
    command: (port, directory) => {
      const file = join(directory, 'pgbouncer.ini');
      writeFileSync(
        file,
        `[databases]
* = ${target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits
`,
      );
      return [program, file];
    },
    ready: async (port) => {
      const { default: pg } = await import('pg');
      const url = Object.assign(new URL(address), { hostname: '127.0.0.1', port: String(port) });
      const client = new pg.Client({ connectionString: url.href });
      client.on('error', () => {});
      await client.connect();
      await client.query('select 1');
      await client.end();
    },
  });
  return { host: '127.0.0.1', port: server.port, server, stop: () => server.stop() };
}
