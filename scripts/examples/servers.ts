/**
 * What the examples find in their environment: a database server of their own, if their code asks
 * for one.
 *
 * @module
 */

import { Closers } from '../../tests/engines/engine.ts';
import { libsqlHttp, sqld } from '../../tests/engines/libsql.ts';
import { pg } from '../../tests/engines/postgres.ts';
import { startServer } from '../../tests/engines/server.ts';

/** The variables, by the names that the README has for them. */
type Make = (closers: Closers) => Promise<string>;

const VARIABLES: Readonly<Record<string, Make>> = {
  DATABASE_URL: postgres,
  // Hyperdrive insists on a password; the server does not ask for it.
  HYPERDRIVE: async (closers) => (await postgres(closers)).replace('@', ':any@'),
  TURSO_DATABASE_URL: async (closers) => {
    const server = await startServer({
      name: 'sqld',
      stopSignal: 'TERM',
      command: (port) => [
        ...[sqld(), '--db-path', 'data', '--no-welcome', '--disable-metrics'],
        ...['--http-listen-addr', `127.0.0.1:${port}`, '--shutdown-timeout', '1'],
      ],
      ready: async (port) => {
        const response = await fetch(`http://127.0.0.1:${port}/health`);
        await response.body?.cancel();
        if (!response.ok) throw new Error(`${response.status}`);
      },
    });
    closers.add(server, () => server.stop());
    return `http://127.0.0.1:${server.port}`;
  },
};

async function postgres(closers: Closers): Promise<string> {
  const engine = await pg.start();
  return closers.add(await engine.create(), (made) => made.drop()).address!;
}

/** Why an example cannot be run on this machine, if so. */
export function whyNotHere(code: string): string | undefined {
  return code.includes('TURSO_DATABASE_URL') ? libsqlHttp.missing : undefined;
}

/** Runs something with the variables that a code names, each with a fresh and empty database. */
export async function withServers<T>(
  code: string,
  use: (env: Record<string, string>) => Promise<T>,
): Promise<T> {
  const closers = new Closers();
  try {
    const env: Record<string, string> = {};
    for (const [name, make] of Object.entries(VARIABLES)) {
      if (new RegExp(`\\b${name}\\b`).test(code)) env[name] = await make(closers);
    }
    return await use(env);
  } finally {
    await closers.close();
  }
}
