/**
 * A Worker as a user would write it, with a D1 binding that counts. Bundled, and run in workerd.
 *
 * @module
 */

import { Kysely } from 'kysely';
import { D1Dialect } from 'kysely-d1';

import { bootstrapSchema, createBootstrap, d1Batch, type EnsureSchema } from '../../mod.ts';
import { schemaOf } from '../support/schema.ts';
import { markedSchema, schemaAgain } from './ddl.ts';
import type { Order, Told } from './d1_messages.ts';

// Of Cloudflare's types only what is used here.
interface D1Statement {
  bind(...parameters: unknown[]): D1Statement;
  all(): Promise<{ results: { name: string }[] }>;
}

interface D1 {
  prepare(sql: string): D1Statement;
  batch(statements: never[]): Promise<{ results?: unknown[] }[]>;
}

interface Counting {
  readonly binding: D1;
  readonly calls: string[];
}

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;

/** For each binding the one that counts, as lasting as the binding itself. */
const counting = new WeakMap<D1, Counting>();
const remembering = new Map<string, EnsureSchema<Db>>();

export default {
  async fetch(request: Request, { DB }: { DB: D1 }): Promise<Response> {
    const order = await request.json() as Order;
    const earlyMs = (order.wakeAt ?? 0) - Date.now();
    if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
    const { binding, calls } = countingOn(DB);
    calls.length = 0;
    // One Kysely a request, as kysely-d1 asks for.
    const db: Db = new Kysely({ dialect: new D1Dialect({ database: binding as never }) });
    const told = await carryOut(order, db, binding).then(
      (result) => ({ result }),
      (error: Error) => ({ error: `${error.name}: ${error.message}` }),
    );
    const { results } = await DB.prepare(
      `select name from sqlite_master where type = 'table' and name not like '\\_%' escape '\\'`,
    ).all();
    const answer: Told = {
      ...told,
      calls: [...calls],
      tables: results.map(({ name }) => name).sort(),
    };
    return Response.json(answer);
  },
};

/** Calls the library as it is told. */
function carryOut(order: Order, db: Db, binding: D1): ReturnType<EnsureSchema<Db>> {
  const { how, version, strategy, assumeFresh } = order;
  const config = {
    version,
    ...(strategy && { strategy }),
    ...(assumeFresh && { assumeFresh }),
    ddl: order.plan ?? ddlOf(order),
  };
  const batch = d1Batch(binding);
  if (how === 'bootstrap') return bootstrapSchema(db, { ...config, batch });
  const known = JSON.stringify(order);
  const ensure = remembering.get(known) ?? createBootstrap<Db>(config);
  remembering.set(known, ensure);
  return ensure(db, { batch });
}

function ddlOf({ tables, mark, strategy, isEndless }: Order): (db: Db) => Promise<void> {
  return async (db) => {
    if (strategy) await schemaAgain(tables)(db);
    else if (mark !== undefined) await markedSchema(tables, mark)(db);
    else await schemaOf(tables)(db);
    if (isEndless) await new Promise(() => {});
  };
}

/** For a binding the one that counts, the same one each time. */
function countingOn(real: D1): Counting {
  const known = counting.get(real);
  if (known) return known;
  const calls: string[] = [];
  const counted = (statement: D1Statement): D1Statement => {
    const bind = statement.bind.bind(statement);
    statement.bind = (...parameters) => counted(bind(...parameters));
    // On the real statement, since the real binding's batch takes no other.
    for (const name of ['all', 'run', 'first', 'raw'] as const) {
      const call = (statement as unknown as Record<string, (...args: unknown[]) => unknown>)[name]!;
      Object.assign(statement, {
        [name]: (...args: unknown[]) => {
          calls.push(name);
          return call.apply(statement, args);
        },
      });
    }
    return statement;
  };
  const binding: D1 = {
    prepare: (sql) => counted(real.prepare(sql)),
    batch: (statements) => {
      calls.push(`batch of ${statements.length}`);
      return real.batch(statements);
    },
  };
  const made = { binding, calls };
  counting.set(real, made);
  return made;
}
