/**
 * A DDL as a function of the instance that it is given.
 *
 * @module
 */

import type { Ddl } from './config.ts';
import { type SchemaErrorDetails, StatementRefusedError } from './errors.ts';
import { type CompiledQuery, type Handle, type KyselyLike, plain } from './kysely.ts';
import { type SchemaPlanData, statementsOfPlan } from './plan_data.ts';

export type Run = (db: unknown) => unknown;

/** What is said of one that {@linkcode takesNone} finds. */
export const TAKES_NONE = 'a ddl declares no parameter (its length is 0)';

/** Whether one of them declares no parameter, and so must be using an instance of its own. */
export function takesNone(runs: readonly Run[]): boolean {
  return runs.some((run) => run.length === 0);
}

/**
 * Runs one after the other.
 *
 * @throws {StatementRefusedError} One returned a query, or a list with one, instead of executing it.
 */
export async function runAll(
  runs: readonly Run[],
  db: unknown,
  details: SchemaErrorDetails,
): Promise<void> {
  for (const run of runs) {
    for (const returned of [await run(db)].flat(2)) {
      const sql = unexecuted(returned, db);
      if (sql === undefined) continue;
      const reason = 'the ddl returned it without executing it. Await its execute()';
      throw new StatementRefusedError(sql, reason, details);
    }
  }
}

/** The text of a query that was built, or of raw SQL; undefined for anything else. */
function unexecuted(returned: unknown, db: unknown): string | undefined {
  // What a recorded statement would have answered is a function, and may not be looked at.
  if (typeof returned !== 'object' || returned === null) return undefined;
  const query = returned as { toOperationNode?: unknown; compile?(db: unknown): CompiledQuery };
  return query.toOperationNode ? query.compile?.(db).sql : undefined;
}

/** What a caller has given as a DDL. That of a plan sends its statements, which need no answers. */
export function runOf(ddl: Ddl<KyselyLike> | SchemaPlanData): Run {
  if (typeof ddl === 'function') return ddl as unknown as Run;
  return async (db) => {
    for (const { sql, parameters } of statementsOfPlan(ddl)) {
      const query = plain(sql, parameters);
      const node = { ...query.query as object, isPlanned: true };
      await (db as Handle).executeQuery({ ...query, query: node });
    }
  };
}
