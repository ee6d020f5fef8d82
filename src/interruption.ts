/**
 * Interrupting a DDL in the middle, and telling where that was.
 *
 * @module
 */

import type { BootstrapConfig, Ddl } from './config.ts';
import { shorten } from './errors.ts';
import {
  builderOf,
  type CompiledQuery,
  type Database,
  type Fluent,
  type KyselyLike,
} from './kysely.ts';
import type { SchemaPlanData } from './plan_data.ts';
import { runOf } from './run.ts';

/** Stands among the statements where a DDL has returned: a transaction of its own is over by then. */
const END = '(end)';

/** The config with a DDL that notes its statements, and fails after so many of them. */
export function interrupted<K extends KyselyLike>(
  config: BootstrapConfig<K>,
  statements: string[],
  after = Infinity,
): BootstrapConfig<K> {
  const check = () => {
    if (statements.length >= after) throw new Error('interrupted');
  };
  const done = (sql: string) => {
    statements.push(sql);
    check();
  };
  const cut = (ddl: Ddl<K> | SchemaPlanData): Ddl<K> => async (db) => {
    await runOf(ddl as Ddl<KyselyLike>)(watched(db, check, done));
    done(END); // The DDL may have caught an error, too.
  };
  return {
    ...config,
    ddl: cut(config.ddl),
    upgrades: (config.upgrades ?? []).map(({ from, ddl }) => ({ from, ddl: cut(ddl) })),
    onDrift: 'ignore',
  };
}

/** How many statements there are. */
export function countOf(statements: readonly string[]): number {
  return statements.filter((sql) => sql !== END).length;
}

/** Where an interruption after so many entries comes, in words. */
export function placeOf(statements: readonly string[], after: number): string {
  const last = statements[after - 1]!;
  const count = `statement ${countOf(statements.slice(0, after))} of ${countOf(statements)}`;
  return last === END ? `the end of the ddl, behind ${count}` : `${count}, ${shorten(last)}`;
}

/** A copy of `db` that calls `before` ahead of each statement, and `after` when it is done. */
function watched<K>(db: K, before: () => void, after: (sql: string) => void): K {
  const own = db as unknown as Database;
  const instance = builderOf(own);
  const texts = new WeakMap<object, string>();
  const copy = instance.withPlugin!({
    transformQuery({ node, queryId }: Fluent) {
      before();
      const compiled = instance.getExecutor!().compileQuery!(node, queryId);
      texts.set(queryId!, (compiled as unknown as CompiledQuery).sql);
      return node;
    },
    transformResult({ result, queryId }: Fluent) {
      after(texts.get(queryId!) ?? 'which was compiled elsewhere');
      return Promise.resolve(result);
    },
  });
  return Object.assign(copy, {
    async executeQuery(query: CompiledQuery) {
      before();
      const result = await own.executeQuery(query);
      after(query.sql);
      return result;
    },
  }) as unknown as K;
}
