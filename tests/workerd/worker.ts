/**
 * The Worker that runs cases on what a Worker has without Node's modules: D1, SQLite-backed Durable
 * Objects, and servers that are reached by `fetch`. Bundled, and run in workerd.
 *
 * @module
 */

import { createClient } from '@libsql/client/web';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { type Dialect, Kysely } from 'kysely';
import { D1Dialect } from 'kysely-d1';
import { DODialect } from 'kysely-do';

import { d1Batch, type D1Like, libsqlBatch } from '../../mod.ts';
import type { Env, ObjectState } from '../engines/bindings.ts';
import { observe } from '../engines/observe.ts';
import { carryOut, type Open } from './carry_out.ts';
import type { Order } from './order.ts';

export default {
  async fetch(request: Request, { DB, OBJECTS }: Env): Promise<Response> {
    const order = await request.clone().json() as Order;
    if (order.engine === 'durable-object') {
      return await OBJECTS.get(OBJECTS.idFromName(order.address)).fetch(request);
    }
    const open = order.engine === 'd1' ? onD1(DB) : onSqld(order.address);
    return Response.json(await carryOut(order, open));
  },
};

/** A Durable Object that runs cases on its own database. */
export class CaseObject {
  readonly #state: ObjectState;

  constructor(state: ObjectState) {
    this.#state = state;
  }

  async fetch(request: Request): Promise<Response> {
    return Response.json(await carryOut(await request.json() as Order, onObject(this.#state)));
  }
}

function onD1(binding: D1Like): Open {
  return (closers) => ({
    connect: (options = {}) => {
      const dialect = new D1Dialect({ database: binding as never });
      return closers.add(kyselyOn(observe(dialect, options)), (db) => db.destroy());
    },
    batch: () => d1Batch(binding),
  });
}

function onObject(state: ObjectState): Open {
  const { storage } = state;
  return (closers) => ({
    connect: (options = {}) => {
      const dialect = new DODialect({ ctx: state as never });
      return closers.add(kyselyOn(observe(dialect, options)), (db) => db.destroy());
    },
    batch: () => ({
      database: storage,
      execute: (statements) =>
        Promise.resolve().then(() =>
          storage.transactionSync(() =>
            statements.map(({ sql, parameters }) =>
              storage.sql.exec(sql, ...parameters).toArray() as Record<string, unknown>[]
            )
          )
        ),
    }),
  });
}

function onSqld(address: string): Open {
  return (closers) => ({
    connect: (options = {}) => {
      const dialect = new LibsqlDialect({ client: clientOf(address) as never });
      const db = kyselyOn(observe(dialect, options, { silentControl: true }));
      return closers.add(db, () => db.destroy());
    },
    batch: () => libsqlBatch(closers.add(clientOf(address), (client) => client.close())),
  });
}

/** The client of a libSQL server, whose databases are told apart by a header. */
// deno-lint-ignore no-explicit-any
function clientOf(address: string): any {
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

// deno-lint-ignore no-explicit-any
function kyselyOn(dialect: Dialect): Kysely<any> {
  return new Kysely({ dialect });
}
