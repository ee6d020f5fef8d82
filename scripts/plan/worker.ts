/**
 * A Worker that ships a plan: it is bundled together with it, and runs in workerd.
 *
 * @module
 */

import { Kysely } from 'kysely';
import { D1Dialect } from 'kysely-d1';

import {
  type BootstrapResult,
  createBootstrap,
  d1Batch,
  type D1Like,
  type SchemaPlanData,
} from '../../mod.ts';

/** What a Worker answers. */
export type Answer =
  | {
    readonly result: BootstrapResult;
    /** How many calls of the binding it took. */
    readonly calls: number;
    /** The numbers of the orders, read as soon as the schema was said to be there. */
    readonly numbers: readonly string[];
  }
  | { readonly error: string };

interface Orders {
  orders: { id: number; number: string };
}

/** The Worker that has this plan. */
export function workerWith(
  plan: SchemaPlanData,
): { fetch(request: Request, env: { DB: D1Like }): Promise<Response> } {
  const ensureSchema = createBootstrap<Kysely<Orders>>({ version: '0001_shop', ddl: plan });
  return {
    async fetch(request, { DB }) {
      if (new URL(request.url).pathname !== '/') return new Response('awake');
      const { binding, count } = counted(DB);
      const db = new Kysely<Orders>({ dialect: new D1Dialect({ database: DB as never }) });
      try {
        const result = await ensureSchema(db, { batch: { ...d1Batch(binding), database: DB } });
        const orders = await db.selectFrom('orders').select('number').orderBy('id').execute();
        const numbers = orders.map((order) => order.number);
        return Response.json({ result, calls: count(), numbers } satisfies Answer);
      } catch (error) {
        return Response.json({ error: String(error) } satisfies Answer);
      }
    },
  };
}

function counted(real: D1Like): { binding: D1Like; count: () => number } {
  let calls = 0;
  const binding: D1Like = {
    prepare: (sql) => real.prepare(sql),
    batch: (statements) => {
      calls++;
      return real.batch(statements);
    },
  };
  return { binding, count: () => calls };
}
