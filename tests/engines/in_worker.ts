/**
 * The engines that a Worker can reach, opened from inside it: to be bundled, and run in workerd.
 * The server or database itself is made outside, by the engine of the same name.
 *
 * @module
 */

import { createClient } from '@libsql/client/web';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { type Dialect, Kysely, PostgresDialect } from 'kysely';
import { D1Dialect } from 'kysely-d1';
import { DODialect } from 'kysely-do';
import { PostgresJSDialect } from 'kysely-postgres-js';
import pg from 'pg';
import postgres from 'postgres';
import type { Connection } from './engine.ts';

/** Where the database is: a D1 binding, the state of a Durable Object, or an engine's address. */
export type Place =
  | { engine: 'd1'; database: unknown }
  | { engine: 'durable-object'; state: unknown }
  | { engine: 'libsql-http' | 'postgres' | 'postgres-js'; address: string };

/** A Kysely instance with its own connections, to be destroyed at the end of the request. */
export function openInWorker(place: Place): Connection {
  return new Kysely({ dialect: dialectOf(place) });
}

function dialectOf(place: Place): Dialect {
  switch (place.engine) {
    case 'd1':
      return new D1Dialect({ database: place.database as never });
    case 'durable-object':
      return new DODialect({ ctx: place.state as never });
    case 'libsql-http':
      return new LibsqlDialect({ client: libsqlInWorker(place.address) as never });
    case 'postgres':
      return new PostgresDialect({
        pool: new pg.Pool({ connectionString: place.address, max: 4 }),
      });
    case 'postgres-js':
      return new PostgresJSDialect({ postgres: postgres(place.address, { max: 4 }) });
  }
}

/** The client of a libSQL server, for batches. */
// deno-lint-ignore no-explicit-any
export function libsqlInWorker(address: string): any {
  const url = new URL(address);
  const namespace = btoa(url.hash.slice(1));
  return createClient({
    url: url.origin,
    fetch: (request: Request) => {
      request.headers.set('x-namespace-bin', namespace);
      return fetch(request);
    },
  });
}
