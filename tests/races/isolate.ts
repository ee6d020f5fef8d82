/**
 * A Worker as a user would write it, and a Durable Object. Bundled, and run in workerd.
 *
 * @module
 */

import { Kysely, sql } from 'kysely';
import { D1Dialect } from 'kysely-d1';
import { DODialect } from 'kysely-do';

import { type AtomicBatch, d1Batch } from '../../mod.ts';
import { marked, schemaAgain } from '../batch/ddl.ts';
import type { Env, ObjectState } from '../engines/bindings.ts';
import { observe, observeBatch } from '../engines/observe.ts';
import { createTable, schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Db } from './call.ts';
import { type IsolateAnswer, type IsolateOrder, SIGNS } from './isolate_messages.ts';

export default {
  async fetch(request: Request, { DB, OBJECTS }: Env): Promise<Response> {
    const order = await request.json() as IsolateOrder;
    await until(order.at);
    if (order.object !== undefined) {
      const object = OBJECTS.get(OBJECTS.idFromName(order.object));
      const init = { method: 'POST', body: JSON.stringify(order) };
      return await object.fetch(new Request('https://object', init));
    }
    // One Kysely a request, as kysely-d1 asks for.
    const { haltBefore } = order;
    const observer = haltBefore === undefined
      ? {}
      : { onStatement: halting(haltBefore, () => app) };
    const dialect = observe(new D1Dialect({ database: DB as never }), observer);
    const db: Db = new Kysely({ dialect });
    const app: Db = new Kysely({ dialect: new D1Dialect({ database: DB as never }) });
    return Response.json(
      await carryOut(order, { db, app, batch: observeBatch(d1Batch(DB), observer) }),
    );
  },
};

/** A Durable Object that installs its schema in its own database. */
export class RacingObject {
  readonly #state: ObjectState;

  constructor(state: ObjectState) {
    this.#state = state;
  }

  async fetch(request: Request): Promise<Response> {
    const order = await request.json() as IsolateOrder;
    const db: Db = new Kysely({ dialect: new DODialect({ ctx: this.#state as never }) });
    const { storage } = this.#state;
    const batch: AtomicBatch = {
      database: storage,
      execute: (statements) =>
        Promise.resolve(
          storage.transactionSync(() =>
            statements.map(({ sql, parameters }) =>
              storage.sql.exec(sql, ...parameters).toArray() as Record<string, unknown>[]
            )
          ),
        ),
    };
    return Response.json(await carryOut(order, { db, app: db, batch }));
  }
}

async function carryOut(
  { strategy, tables, isIdempotent, isHeld, mark, leaseMs, waitTimeoutMs }: IsolateOrder,
  { db, app, batch }: Required<Omit<Caller, 'resolved'>>,
): Promise<IsolateAnswer> {
  const schema = isIdempotent ? schemaAgain(tables) : schemaOf(tables);
  const ddl = isHeld
    ? async (given: Db) => {
      await createTable(given, 1);
      await rest(app);
      for (let n = 2; n <= tables; n++) await createTable(given, n);
    }
    : mark
    ? marked(schema, mark)
    : schema;
  return await callAndUse({ db, app, ...(strategy === 'batch' && { batch }) }, {
    tables,
    ddl,
    ...(strategy && { strategy }),
    ...(leaseMs && { leaseMs }),
    ...(waitTimeoutMs && { waitTimeoutMs }),
  });
}

/** Rests for ever before the n-th statement: a Worker that hangs without a timer is ended. */
function halting(before: number, app: () => Db): () => Promise<void> {
  let statements = 0;
  return async () => {
    if (++statements !== before) return;
    await sql`insert into ${sql.table(SIGNS)} (name) values ('halted')`.execute(app());
    for (;;) await sleep(1_000);
  };
}

/** Signs, and looks for an answer again and again. */
async function rest(app: Db): Promise<void> {
  await sql`create table if not exists ${sql.table(SIGNS)} (name text)`.execute(app);
  await sql`insert into ${sql.table(SIGNS)} (name) values ('inside')`.execute(app);
  for (;;) {
    const { rows } = await sql<{ name: string }>`select name from ${sql.table(SIGNS)}`.execute(app);
    if (rows.some(({ name }) => name === 'go')) return;
    if (rows.some(({ name }) => name === 'fail')) throw new Error('on purpose');
    await sleep(20);
  }
}

async function until(at: number | undefined): Promise<void> {
  // The clock of workerd stands still between events, so one look at it may be an early one.
  while (at !== undefined && Date.now() < at) await sleep(Math.max(at - Date.now(), 1));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
