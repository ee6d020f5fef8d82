/**
 * What a caller says, checked before any statement is sent.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';
import type { Handle, KyselyLike } from './kysely.ts';
import { type SchemaPlanData, statementsOfPlan } from './plan_data.ts';
import { replay } from './recorder.ts';
import type { Dialect } from './sql_text.ts';

/** How the claim, the DDL and the finish are held together. */
export type Strategy = 'batch' | 'transaction' | 'lease';

/** Where the library says what it does: `console`, or any part of it. */
export interface Logger {
  /** What happened: who installed, what was tried again and why. */
  log?(message: string): void;
  /** A second error that another one already reports to the caller. */
  error?(message: string): void;
}

/**
 * The caller's DDL. It receives the Kysely instance to use: a transaction where there is one.
 * Statements on any other instance are outside the unit, and may wait for a connection for ever.
 */
export type Ddl<K extends KyselyLike> = (db: K) => unknown;

/**
 * What to install, and how.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import type { BootstrapConfig } from '@arraypress/db-migrate';
 *
 * interface Database {
 *   users: { id: number; email: string };
 * }
 *
 * export const schema: BootstrapConfig<Kysely<Database>> = {
 *   version: '0001_initial',
 *   ddl: async (db) => {
 *     await db.schema.createTable('users')
 *       .addColumn('id', 'integer', (column) => column.primaryKey())
 *       .addColumn('email', 'text', (column) => column.notNull())
 *       .execute();
 *   },
 * };
 * ```
 */
export interface BootstrapConfig<K extends KyselyLike = KyselyLike> {
  /**
   * The logical name of this schema: 1 to 255 characters, anything but NUL and lone surrogates. It
   * is always a bound parameter, never part of the SQL text.
   */
  readonly version: string;
  /** Creates the whole schema: a function, see {@linkcode Ddl}, or a plan made of one. */
  readonly ddl: Ddl<K> | SchemaPlanData;
  /**
   * The ledger table: `[a-zA-Z_][a-zA-Z0-9_]*`, at most 63 characters. Folded to lower case on
   * Postgres, as release 1.0.0 wrote it unquoted.
   *
   * @default {'migrations'}
   */
  readonly marker?: string;
  /**
   * Postgres only: the schema of the ledger and of the DDL, 1 to 63 characters, created in the same
   * unit where it is missing. `ddl` receives an instance that uses it; under strategy
   * `'transaction'` raw SQL finds it too, through a transaction-local `search_path`.
   */
  readonly schema?: string;
  /**
   * `'sqlite'` for SQLite, D1 and libSQL, or `'postgres'`.
   *
   * @default Detected from the SQL that the instance compiles.
   */
  readonly dialect?: Dialect;
  /** Where to report what happens. Silent where absent. */
  readonly logger?: Logger;
  /**
   * Sends several statements as one atomic unit, on the same database as `db`. The DDL is recorded
   * and sent with the ledger's row in one call; every other statement of the library goes through
   * it too. Needed on D1, and the fewest round trips elsewhere.
   */
  readonly batch?: AtomicBatch;
  /**
   * With a batch only: the caller has just created this database, so no look is needed before the
   * install. Where it turns out to be installed, the call ends as `'already-installed'`.
   *
   * @default {false}
   */
  readonly assumeFresh?: boolean;
  /**
   * - `'batch'`: the DDL is recorded and sent through `batch`.
   * - `'transaction'`: claim, DDL and finish in one transaction.
   * - `'lease'`: statements of their own under a renewed claim, for drivers without transactions
   *   and for DDL that cannot run in one. The DDL must be idempotent, since it runs again after a
   *   crash.
   * - `'auto'`: `'batch'` if there is one, else `'transaction'`; `'lease'` if the driver says that it has no transactions, or if
   *   `ddl` takes no parameter, since then it must be using an instance of its own.
   *
   * @default {'auto'}
   */
  readonly strategy?: Strategy | 'auto';
  /**
   * How long to wait for another caller's install, in milliseconds, from 1 to 2 147 483 647. It
   * never cuts a DDL that has issued a statement.
   *
   * @default {30000}
   */
  readonly waitTimeoutMs?: number;
  /**
   * How long a claim is honoured after it was last renewed, in milliseconds, below
   * `waitTimeoutMs`. It is renewed every third of it. On Postgres also the transaction's
   * `idle_in_transaction_session_timeout`, so that a client which vanished without a word does not
   * hold the claim for longer.
   *
   * @default 10 000, or half of `waitTimeoutMs` if that is less.
   */
  readonly leaseMs?: number;
  /**
   * What to do while another caller is installing: `'wait'` until it has, or `'return'` at once
   * with `outcome: 'pending'`, when nothing is known to be ready.
   *
   * @default {'wait'}
   */
  readonly onContention?: 'wait' | 'return';
  /** Ends a wait at once, with the signal's reason. It never cuts a DDL that has issued a statement. */
  readonly signal?: AbortSignal;
}

/** A configuration with every default filled in. */
export interface Settings {
  readonly version: string;
  readonly ddl: (db: unknown) => unknown;
  /** The plan that `ddl` replays, if it was given as one. */
  readonly plan: SchemaPlanData | undefined;
  readonly marker: string;
  readonly schema: string | undefined;
  readonly dialect: Dialect | undefined;
  readonly logger: Logger;
  readonly batch: AtomicBatch | undefined;
  readonly assumeFresh: boolean;
  readonly strategy: Strategy | 'auto';
  readonly waitTimeoutMs: number;
  readonly leaseMs: number;
  readonly onContention: 'wait' | 'return';
  readonly signal: AbortSignal | undefined;
}

const FIELDS = new Set([
  'version',
  'ddl',
  'marker',
  'schema',
  'dialect',
  'logger',
  'batch',
  'assumeFresh',
  'strategy',
  'waitTimeoutMs',
  'leaseMs',
  'onContention',
  'signal',
]);

// The longest delay that timers of every runtime keep.
const LONGEST_MS = 2_147_483_647;

/**
 * Checks a configuration and fills in its defaults.
 *
 * @throws {TypeError} A field is missing, unknown or of the wrong type.
 * @throws {RangeError} A field is of the right type and out of range.
 */
export function parseConfig(config: unknown, extraFields: readonly string[] = []): Settings {
  if (typeof config !== 'object' || config === null) {
    throw new TypeError(problem('config', 'be an object', config));
  }
  for (const field of Object.keys(config)) {
    if (!FIELDS.has(field) && !extraFields.includes(field)) {
      throw new TypeError(`Cannot bootstrap the schema as '${field}' is not a field of the config`);
    }
  }
  const given = config as Record<string, unknown>;
  const waitTimeoutMs = milliseconds(given, 'waitTimeoutMs', 30_000);
  const leaseMs = milliseconds(given, 'leaseMs', Math.min(10_000, waitTimeoutMs / 2));
  if (leaseMs >= waitTimeoutMs) {
    throw new RangeError(problem('leaseMs', `be below waitTimeoutMs (${waitTimeoutMs})`, leaseMs));
  }
  return {
    version: text(
      given,
      'version',
      isVersion,
      'be 1 to 255 characters without NUL or lone surrogates',
    ),
    ...ddlFields(given),
    marker: given.marker === undefined ? 'migrations' : text(
      given,
      'marker',
      isMarker,
      'match [a-zA-Z_][a-zA-Z0-9_]* and have at most 63 characters',
    ),
    schema: given.schema === undefined
      ? undefined
      : text(given, 'schema', isSchema, 'be 1 to 63 bytes without NUL or lone surrogates'),
    dialect: given.dialect === undefined
      ? undefined
      : choice(given, 'dialect', ['sqlite', 'postgres'] as const),
    logger: logger(given),
    ...batchFields(given),
    strategy: choice(given, 'strategy', ['auto', 'batch', 'transaction', 'lease'] as const),
    waitTimeoutMs,
    leaseMs,
    onContention: choice(given, 'onContention', ['wait', 'return'] as const),
    signal: signalOf(given),
  };
}

function batchFields(
  given: Record<string, unknown>,
): Pick<Settings, 'batch' | 'assumeFresh'> {
  const batch = batchOf(given);
  const assumeFresh = given.assumeFresh ?? false;
  if (typeof assumeFresh !== 'boolean') {
    throw new TypeError(problem('assumeFresh', 'be a boolean', assumeFresh));
  }
  return { batch, assumeFresh };
}

/** Checks an optional batch. */
export function batchOf(given: Record<string, unknown>): AtomicBatch | undefined {
  const batch = given.batch as Partial<AtomicBatch> | undefined;
  if (batch === undefined) return undefined;
  const isObject = typeof batch?.database === 'object' || typeof batch?.database === 'function';
  if (!isObject || typeof batch.execute !== 'function') {
    throw new TypeError(problem('batch', "have 'database' and 'execute', as d1Batch() has", batch));
  }
  return batch as AtomicBatch;
}

/** Checks one duration. */
export function milliseconds(
  given: Record<string, unknown>,
  field: string,
  fallback: number,
  least = 1,
): number {
  const value = given[field] ?? fallback;
  if (typeof value !== 'number') throw new TypeError(problem(field, 'be a number', value));
  if (!(value >= least && value <= LONGEST_MS)) {
    throw new RangeError(
      problem(field, `be a number of milliseconds from ${least} to ${LONGEST_MS}`, value),
    );
  }
  return value;
}

/** Checks an optional signal. */
export function signalOf(given: Record<string, unknown>): AbortSignal | undefined {
  const value = given.signal;
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw new TypeError(problem('signal', 'be an AbortSignal', value));
  }
  return value;
}

/** The one grammar of every message about bad input. */
export function problem(field: string, rule: string, value: unknown): string {
  return `Cannot bootstrap the schema as '${field}' must ${rule}: current value is ${show(value)}`;
}

function show(value: unknown): string {
  const shown = typeof value === 'string'
    ? JSON.stringify(value)
    : typeof value === 'function'
    ? 'a function'
    : typeof value === 'object' && value !== null
    ? 'an object'
    : String(value);
  return shown.length > 80 ? `${shown.slice(0, 79)}… (${String(value).length} characters)` : shown;
}

// A lone surrogate is not text: every engine would store the same replacement character for it.
const UNSTORABLE = /[\0\p{Surrogate}]/u;

function isVersion(value: string): boolean {
  return value.length >= 1 && value.length <= 255 && !UNSTORABLE.test(value);
}

function isMarker(value: string): boolean {
  return /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/.test(value) && !value.includes('\n');
}

function isSchema(value: string): boolean {
  const bytes = new TextEncoder().encode(value).length;
  return bytes >= 1 && bytes <= 63 && !UNSTORABLE.test(value);
}

function text(
  given: Record<string, unknown>,
  field: string,
  isValid: (value: string) => boolean,
  rule: string,
): string {
  const value = given[field];
  if (typeof value !== 'string') throw new TypeError(problem(field, 'be a string', value));
  if (!isValid(value)) throw new RangeError(problem(field, rule, value));
  return value;
}

function choice<T extends string>(
  given: Record<string, unknown>,
  field: string,
  choices: readonly [T, ...T[]],
): T {
  const value = given[field] ?? choices[0];
  if (typeof value !== 'string') throw new TypeError(problem(field, 'be a string', value));
  if (!(choices as readonly string[]).includes(value)) {
    throw new RangeError(problem(field, `be one of ${choices.join(', ')}`, value));
  }
  return value as T;
}

function ddlFields(given: Record<string, unknown>): Pick<Settings, 'ddl' | 'plan'> {
  const { ddl } = given;
  if (typeof ddl === 'function') return { ddl: ddl as Settings['ddl'], plan: undefined };
  const plan = ddl as SchemaPlanData | null | undefined;
  if (typeof plan !== 'object' || !Array.isArray(plan?.statements)) {
    throw new TypeError(problem('ddl', 'be a function or a plan', ddl));
  }
  return { ddl: (db) => replay(db as Handle, statementsOfPlan(plan)), plan };
}

function logger(given: Record<string, unknown>): Logger {
  const value = given.logger ?? {};
  if (typeof value !== 'object') throw new TypeError(problem('logger', 'be an object', value));
  for (const method of ['log', 'error'] as const) {
    const part = (value as Logger)[method];
    if (part !== undefined && typeof part !== 'function') {
      throw new TypeError(problem(`logger.${method}`, 'be a function', part));
    }
  }
  return value as Logger;
}
