/**
 * The Worker that runs cases through drivers that need Node's modules, of which Cloudflare has what
 * they need. Bundled, and run in workerd.
 *
 * @module
 */

import { type Dialect, Kysely, PostgresDialect } from 'kysely';
import { PostgresJSDialect } from 'kysely-postgres-js';
import pg from 'pg';
import postgres from 'postgres';

import { postgresBatch } from '../../mod.ts';
import type { ConnectOptions } from '../cases/support.ts';
import type { Closers } from '../engines/engine.ts';
import { observe } from '../engines/observe.ts';
import { carryOut, type Open } from './carry_out.ts';
import type { Order } from './order.ts';

export default {
  async fetch(request: Request): Promise<Response> {
    const order = await request.json() as Order;
    return Response.json(await carryOut(order, onPostgres(order)));
  },
};

function onPostgres({ engine, address }: Order): Open {
  return (closers) => {
    const pool = ({ connections = 10 }: ConnectOptions = {}) => {
      const made = new pg.Pool({ connectionString: address, max: connections });
      made.on('error', () => {});
      return closers.add(made, () => made.ended ? undefined : made.end());
    };
    const dialectOf = (options: ConnectOptions): Dialect =>
      engine === 'postgres'
        ? new PostgresDialect({ pool: pool(options) })
        : new PostgresJSDialect({ postgres: postgresJs(address, options, closers) });
    return {
      connect: (options = {}) => new Kysely({ dialect: observe(dialectOf(options), options) }),
      batch: (options) => postgresBatch(pool(options)),
    };
  };
}

function postgresJs(address: string, { connections }: ConnectOptions, closers: Closers) {
  const sql = postgres(address, { ...(connections && { max: connections }), onnotice: () => {} });
  return closers.add(sql, () => sql.end({ timeout: 1 }));
}
