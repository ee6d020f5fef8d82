/**
 * Plans: DDL as data, for review, for other tools, and for Workers that ship the statements
 * instead of the code that made them.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import type { BootstrapConfig, Ddl } from './config.ts';
import { databaseOf, dialectOf, placedOf } from './database.ts';
import { checkFields, problem } from './fields.ts';
import { type Database, type KyselyLike, plain } from './kysely.ts';
import { checksumOf, type SchemaPlanData, statementsOfPlan } from './plan_data.ts';
import { record } from './recorder.ts';
import type { Run } from './run.ts';
import { RULES } from './settings.ts';
import { quote } from './sql.ts';
import { type Dialect, tokens } from './sql_text.ts';
import { encode, literal } from './values.ts';

/** What {@linkcode planSchema} makes: plain JSON, but for one method. */
export interface SchemaPlan extends SchemaPlanData {
  /** The dialect that the statements are written in. */
  readonly dialect: Dialect;
  /**
   * The plan as a script that `wrangler d1 execute --file`, `sqlite3` and `psql` run as it is, with
   * the parameters as literals, times in UTC. It does not write the ledger.
   *
   * @throws {TypeError} A parameter is of a type that has no safe literal.
   */
  readonly toSQL: () => string;
}

/** What {@linkcode planSchema} may be told. */
export interface PlanOptions extends Pick<BootstrapConfig, 'dialect' | 'schema'> {
  /**
   * A throw-away database of the same dialect that the DDL is run against, so that it may read as it
   * goes: in-memory SQLite, or PGlite. Empty for a whole schema; at its `from` for a step of
   * `upgrades`. It is left as the DDL makes it.
   */
  readonly shadow?: KyselyLike | undefined;
}

/**
 * Records a DDL without sending anything to `db`, whose compiler and plugins write the SQL.
 *
 * The checksum is over the SQL text alone: not the parameters, since seeded ids and timestamps
 * differ every time, and neither white space nor comments. A plan freezes what the DDL made up as
 * it ran: random values, timestamps, and with a `shadow` whatever it read there. What a statement
 * does is told by its text: a `select` is a read, though a function that it calls may write.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { planSchema } from '@arraypress/db-migrate';
 *
 * export async function script(db: Kysely<unknown>): Promise<string> {
 *   const plan = await planSchema(db, async (db) => {
 *     await db.schema.createTable('users').addColumn('id', 'integer').execute();
 *   });
 *   return plan.toSQL();
 * }
 * ```
 *
 * @param db The instance whose SQL is wanted; it needs no connection.
 * @param ddl The DDL.
 * @param options Dialect, schema and shadow.
 * @returns The plan.
 * @throws {NotRecordableError} The DDL needs an answer and there is no shadow, or it issued nothing.
 * @throws {StatementRefusedError} A statement cannot be part of one unit, or was not awaited.
 * @throws {TypeError} `ddl` is no function, `db` or `shadow` not a Kysely instance, they differ in
 * their dialect, or an option is unknown or of the wrong type.
 * @throws {RangeError} An option is out of range, or a schema is named and the dialect is not Postgres.
 */
export async function planSchema<K extends KyselyLike>(
  db: K,
  ddl: Ddl<K>,
  options: PlanOptions = {},
): Promise<SchemaPlan> {
  if (typeof ddl !== 'function') {
    throw new TypeError(problem('ddl', 'be a function', ddl));
  }
  const { shadow, ...given } = checkFields('options', options, {
    dialect: RULES.dialect,
    schema: RULES.schema,
    shadow: { type: 'object', words: 'be a Kysely instance' },
  }) as PlanOptions;
  const { db: placed, dialect, schema } = placedOf(databaseOf(db), given);
  const statements = await record(placed, [ddl as Run], {
    dialect,
    details: {},
    shadow: shadow && await shadowOf(shadow, dialect, schema),
  });
  const plan: Omit<SchemaPlan, 'toSQL'> = {
    dialect,
    schema: given.schema ?? null,
    statements: statements.map(({ sql, parameters }) => ({
      sql,
      parameters: parameters.map(encode),
    })),
    checksum: await checksumOf(statements.map(({ sql }) => sql), dialect),
  };
  // Not enumerable, so that the plan itself is plain data.
  const toSQL = { value: () => scriptOf(plan, schema) };
  return Object.defineProperty(plan, 'toSQL', toSQL) as SchemaPlan;
}

async function shadowOf(
  shadow: KyselyLike,
  dialect: Dialect,
  schema: string | undefined,
): Promise<Database> {
  const database = databaseOf(shadow);
  const found = dialectOf(database);
  if (found !== dialect) {
    throw new TypeError(problem('shadow', `speak ${dialect}`, found));
  }
  if (schema !== undefined) {
    for (const sql of placing(schema)) await database.executeQuery(plain(sql));
  }
  return database;
}

/** So that DDL finds its schema, whether it names it or not. */
function placing(schema: string): string[] {
  return [
    `create schema if not exists ${quote(schema)}`,
    `set search_path to ${quote(schema)}, public`,
  ];
}

function scriptOf(plan: Omit<SchemaPlan, 'toSQL'>, schema: string | undefined): string {
  const path = schema === undefined ? [] : placing(schema);
  const bodies = statementsOfPlan(plan).map((statement) => inline(statement, plan.dialect));
  return [...path, ...bodies].map((sql) => `${sql};\n`).join('');
}

/** A statement with its parameters as literals, ending where a semicolon may follow. */
function inline({ sql, parameters }: BatchStatement, dialect: Dialect): string {
  let next = 0;
  const pieces: string[] = [];
  let last = '';
  for (const token of tokens(sql, dialect)) {
    let piece = token.text;
    // A function's body, too, has `$1`.
    const isBound = token.kind === 'parameter' && parameters.length > 0;
    if (isBound) piece = literal(parameters[(Number(piece.slice(1)) || ++next) - 1], dialect);
    // A parameter may stand close to a word, which its literal would become a part of.
    const isClose = (isBound || last === 'parameter') && /[\w']$/.test(pieces.at(-1) ?? '') &&
      /^[\w']/.test(piece);
    pieces.push(isClose ? ` ${piece}` : piece);
    last = token.kind;
  }
  if (last === 'comment') pieces.push('\n');
  return pieces.join('');
}
