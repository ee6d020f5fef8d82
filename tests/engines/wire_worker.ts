/**
 * The Worker behind the D1 and Durable Object engines: runs on the real bindings what the tests
 * send from outside. Bundled, and run in workerd.
 *
 * @module
 */

import { CompiledQuery, Kysely } from 'kysely';
import { DODialect } from 'kysely-do';
import type { Env, ObjectState } from './bindings.ts';
import { decode, encode, encodeError, type WireRequest, type WireStatement } from './wire.ts';

// Of Cloudflare's types only what is used here, so that theirs are not needed.
interface D1Statement {
  bind(...parameters: unknown[]): D1Statement;
  all(): Promise<unknown>;
}

interface D1 {
  prepare(sql: string): D1Statement;
  batch(statements: D1Statement[]): Promise<unknown>;
  exec(sql: string): Promise<unknown>;
}

type Objects = Env['OBJECTS'];

export default {
  async fetch(request: Request, env: Record<string, unknown>): Promise<Response> {
    const asked = decode(await request.clone().text()) as WireRequest;
    if (asked.call.startsWith('object.')) {
      const objects = env.OBJECTS as Objects;
      return await objects.get(objects.idFromName(asked.database)).fetch(request);
    }
    return await answer(() => d1(env[asked.database] as D1, asked));
  },
};

/** A Durable Object with a database, and Kysely on it as users have it. */
export class Database {
  #state: ObjectState;
  #kysely: Kysely<unknown>;

  constructor(state: ObjectState) {
    this.#state = state;
    this.#kysely = new Kysely({ dialect: new DODialect({ ctx: state as never }) });
  }

  async fetch(request: Request): Promise<Response> {
    const { call, statements } = decode(await request.text()) as WireRequest;
    const { storage } = this.#state;
    return await answer(() => {
      if (call === 'object.query') {
        const { sql, parameters } = statements[0]!;
        return this.#kysely.executeQuery(CompiledQuery.raw(sql, [...parameters]));
      }
      return storage.transactionSync(() =>
        statements.map(({ sql, parameters }) => storage.sql.exec(sql, ...parameters).toArray())
      );
    });
  }
}

function d1(database: D1, { call, statements }: WireRequest): Promise<unknown> {
  const prepare = ({ sql, parameters }: WireStatement) => {
    const statement = database.prepare(sql);
    return parameters.length > 0 ? statement.bind(...parameters) : statement;
  };
  if (call === 'd1.batch') return database.batch(statements.map(prepare));
  if (call === 'd1.exec') return database.exec(statements[0]!.sql);
  return prepare(statements[0]!).all();
}

async function answer(run: () => unknown): Promise<Response> {
  try {
    return new Response(encode({ result: await run() }));
  } catch (error) {
    return new Response(encode({ error: encodeError(error) }));
  }
}
