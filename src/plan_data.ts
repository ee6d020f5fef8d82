/**
 * Plans as data: what comes back from JSON, and whether it is still what was planned.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import { type Dialect, statementsOf } from './sql_text.ts';
import { decode, type EncodedValue, hexOf } from './values.ts';

/** A statement of a plan. */
export interface PlannedStatement {
  /** The text, with the placeholders of the dialect. */
  readonly sql: string;
  /** The values for the placeholders; those that JSON has no word for are spelled out. */
  readonly parameters: readonly EncodedValue[];
}

/** A plan as it comes back from JSON; accepted wherever a `ddl` is. */
export interface SchemaPlanData {
  /** The dialect that the statements are written in; a `string`, as an imported JSON file has it. */
  readonly dialect: string;
  /** The schema of Postgres that the statements are for; null if none was named. */
  readonly schema: string | null;
  /** The statements, in order. */
  readonly statements: readonly PlannedStatement[];
  /** SHA-256 over the text of the statements, in hexadecimal; see {@linkcode planSchema}. */
  readonly checksum: string;
}

/** The statements of a plan, with their values decoded. */
export function statementsOfPlan(plan: SchemaPlanData): BatchStatement[] {
  return plan.statements.map(({ sql, parameters }) => ({
    sql,
    parameters: parameters.map(decode),
  }));
}

/**
 * Refuses a plan that is not for this database, or that was edited.
 *
 * @throws {TypeError} Dialect, schema or checksum is not as it should be, or a parameter of a type that
 * no plan has.
 */
export async function checkPlan(
  plan: SchemaPlanData,
  dialect: Dialect,
  schema: string | undefined,
): Promise<void> {
  const refuse = (found: string) => {
    throw new TypeError(`Cannot use 'ddl' as it is a plan ${found}`);
  };
  if (plan.dialect !== dialect) refuse(`for ${plan.dialect}, and 'db' speaks ${dialect}`);
  if (plan.schema !== (schema ?? null)) {
    refuse(`for schema ${plan.schema}, and 'schema' is ${schema}`);
  }
  const checksum = await checksumOf(statementsOfPlan(plan).map(({ sql }) => sql), dialect);
  if (plan.checksum !== checksum) {
    refuse('that was edited: its checksum is another one. Make it anew with planSchema()');
  }
}

// Reading a schema takes its time, and a hash is a job for another thread, half a millisecond however
// short the text. Whoever installs one schema in many databases needs it once.
let last = { key: '', checksum: '' };

/** SHA-256 over what statements say: without white space, comments and parameters. */
export async function checksumOf(texts: readonly string[], dialect: Dialect): Promise<string> {
  const key = JSON.stringify([dialect, texts]);
  if (key === last.key) return last.checksum;
  const said = texts.flatMap((text) => statementsOf(text, dialect)).map((one) => one.normalized);
  const bytes = new TextEncoder().encode(said.join('\n'));
  const hash = await crypto.subtle.digest('SHA-256', bytes);
  last = { key, checksum: hexOf(new Uint8Array(hash)) };
  return last.checksum;
}
