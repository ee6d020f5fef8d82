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

/** One step of a line of upgrades. */
export interface UpgradeStep<K extends KyselyLike = KyselyLike> {
  /** The version that the step starts from. */
  readonly from: string;
  /** Leads to the next version: a function, see {@linkcode Ddl}, or a plan made of one. */
  readonly ddl: Ddl<K> | SchemaPlanData;
}

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
  /**
   * The steps that lead a database at an older version to `version`, in order; each leads to the
   * `from` of the next one, the last to `version`. A line: no branches, no shortcuts. A fresh
   * database takes `ddl` instead, and its ledger records the versions that this includes. Without
   * `upgrades` a new version simply runs its `ddl`.
   *
   * @default {[]}
   */
  readonly upgrades?: readonly UpgradeStep<K>[];
  /**
   * What code does that finds its own version installed and a later one that it does not know:
   * nothing, a message to the logger, or a `NewerSchemaError`.
   *
   * @default {'ignore'}
   */
  readonly onNewer?: 'ignore' | 'warn' | 'error';
  /**
   * What to do if `ddl` was edited since this version was installed: nothing, a message to the
   * logger, or a `DriftError`. Other than `'ignore'` it needs DDL that can be recorded, as for a
   * batch: on a cold start the DDL is recorded and its checksum compared with the ledger's, without
   * a statement more. What was installed without a known checksum never counts as edited.
   *
   * @default {'ignore'}
   */
  readonly onDrift?: 'ignore' | 'warn' | 'error';
  /** Ends a wait at once, with the signal's reason. It never cuts a DDL that has issued a statement. */
  readonly signal?: AbortSignal;
}

type Optional = 'schema' | 'dialect' | 'batch' | 'signal';

/** A configuration with every default filled in. */
export type Settings =
  & Required<Omit<BootstrapConfig, 'ddl' | 'upgrades' | Optional>>
  & Pick<BootstrapConfig, Optional>
  & {
    readonly ddl: (db: unknown) => unknown;
    readonly upgrades: readonly { readonly from: string; readonly ddl: Settings['ddl'] }[];
    /** The plans among `ddl` and the steps, which are replayed. */
    readonly plans: readonly SchemaPlanData[];
  };

/** What a field must be: its type, what else must hold, and both in words. */
interface Rule {
  readonly type: 'string' | 'number' | 'boolean' | 'object' | 'function';
  readonly holds?: (value: never) => boolean;
  readonly words: string;
}

// The longest delay that timers of every runtime keep.
const LONGEST_MS = 2_147_483_647;

// A lone surrogate is not text: every engine would store the same replacement character for it.
const UNSTORABLE = /[\0\p{Surrogate}]/u;

/** What each field must be. */
export const RULES: Readonly<Record<keyof BootstrapConfig, Rule>> = {
  version: {
    type: 'string',
    holds: (value: string) => /^[^]{1,255}$/.test(value) && !UNSTORABLE.test(value),
    words: 'be a string of 1 to 255 characters without NUL or lone surrogates',
  },
  ddl: { type: 'function', words: 'be a function or a plan' },
  marker: {
    type: 'string',
    holds: (value: string) => /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/.test(value) && !/\s/.test(value),
    words: 'be a string that matches [a-zA-Z_][a-zA-Z0-9_]* and has at most 63 characters',
  },
  schema: {
    type: 'string',
    holds: (value: string) =>
      /^[^]{1,63}$/.test(value) && new TextEncoder().encode(value).length <= 63 &&
      !UNSTORABLE.test(value),
    words: 'be a string of 1 to 63 bytes without NUL or lone surrogates',
  },
  dialect: oneOf('sqlite', 'postgres'),
  logger: {
    type: 'object',
    holds: ({ log, error }: Partial<Record<'log' | 'error', unknown>>) =>
      [log, error].every((part) => part === undefined || typeof part === 'function'),
    words: "be an object whose 'log' and 'error' are functions, if it has them",
  },
  batch: {
    type: 'object',
    holds: ({ database, execute }: Partial<AtomicBatch>) =>
      (typeof database === 'object' || typeof database === 'function') &&
      typeof execute === 'function',
    words: "be an object with 'database' and 'execute', as d1Batch() makes one",
  },
  assumeFresh: { type: 'boolean', words: 'be a boolean' },
  strategy: oneOf('auto', 'batch', 'transaction', 'lease'),
  waitTimeoutMs: duration(1),
  leaseMs: duration(1),
  onContention: oneOf('wait', 'return'),
  upgrades: {
    type: 'object',
    holds: (steps: unknown) => Array.isArray(steps),
    words: 'be a list of steps, each with a version as its `from` and a `ddl`',
  },
  onNewer: oneOf('ignore', 'warn', 'error'),
  onDrift: oneOf('ignore', 'warn', 'error'),
  signal: {
    type: 'object',
    holds: (value: object) => value instanceof AbortSignal,
    words: 'be an AbortSignal',
  },
};

/**
 * Checks a configuration and fills in its defaults.
 *
 * @throws {TypeError} A field is missing, unknown or of the wrong type.
 * @throws {RangeError} A field is of the right type and out of range.
 */
export function parseConfig(config: unknown): Settings {
  const given = checkFields('config', config, RULES) as Partial<BootstrapConfig>;
  if (given.version === undefined) {
    throw new TypeError(problem('version', RULES.version, undefined));
  }
  const waitTimeoutMs = given.waitTimeoutMs ?? 30_000;
  const leaseMs = given.leaseMs ?? Math.min(10_000, waitTimeoutMs / 2);
  if (leaseMs >= waitTimeoutMs) {
    const words = `be below 'waitTimeoutMs', which is ${waitTimeoutMs}`;
    throw new RangeError(problem('leaseMs', { words }, leaseMs));
  }
  if (given.ddl === undefined) throw new TypeError(problem('ddl', RULES.ddl, undefined));
  const steps = [...given.upgrades ?? []].map((step) => {
    const { from, ddl } = checkFields('upgrades', step, { from: RULES.version, ddl: RULES.ddl });
    if (!from || !ddl) throw new TypeError(problem('upgrades', RULES.upgrades, step));
    return { from, ddl } as UpgradeStep;
  });
  const line = [...steps.map(({ from }) => from), given.version];
  const twice = line.find((name, at) => line.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new RangeError(problem('upgrades', { words: 'name each version once' }, twice));
  }
  return {
    marker: 'migrations',
    logger: {},
    strategy: 'auto',
    assumeFresh: false,
    onContention: 'wait',
    onNewer: 'ignore',
    onDrift: 'ignore',
    ...given,
    version: given.version,
    waitTimeoutMs,
    leaseMs,
    ddl: functionOf(given.ddl),
    upgrades: steps.map(({ from, ddl }) => ({ from, ddl: functionOf(ddl) })),
    plans: [given.ddl, ...steps.map(({ ddl }) => ddl)].filter((ddl) => typeof ddl === 'object'),
  };
}

function functionOf(ddl: Ddl<KyselyLike> | SchemaPlanData): Settings['ddl'] {
  if (typeof ddl === 'function') return ddl as unknown as Settings['ddl'];
  if (!Array.isArray(ddl.statements)) throw new TypeError(problem('ddl', RULES.ddl, ddl));
  return (db) => replay(db as Handle, statementsOfPlan(ddl));
}

/**
 * Checks each field of an object by its rule; leaves out what is undefined.
 *
 * @throws {TypeError} It is not an object, or a field is unknown or of the wrong type.
 * @throws {RangeError} A field is of the right type and out of range.
 */
export function checkFields(
  name: string,
  value: unknown,
  rules: Readonly<Record<string, Rule>>,
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(problem(name, { words: 'be an object' }, value));
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  for (const [field, given] of fields) {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined;
    if (!rule) {
      throw new TypeError(`Cannot bootstrap the schema as '${name}' has no field '${field}'`);
    }
    const isPlan = field === 'ddl' && typeof given === 'object';
    if (given === null || (typeof given !== rule.type && !isPlan)) {
      throw new TypeError(problem(field, rule, given));
    }
    if (rule.holds?.(given as never) === false) {
      const Problem = rule.type === 'object' ? TypeError : RangeError;
      throw new Problem(problem(field, rule, given));
    }
  }
  return Object.fromEntries(fields);
}

/** The rule of a duration in milliseconds. */
export function duration(least: number): Rule {
  return {
    type: 'number',
    holds: (value: number) => value >= least && value <= LONGEST_MS,
    words: `be a number of milliseconds from ${least} to ${LONGEST_MS}`,
  };
}

/** The one grammar of every message about bad input. */
export function problem(field: string, rule: Pick<Rule, 'words'>, value: unknown): string {
  return `Cannot bootstrap the schema as '${field}' must ${rule.words}: ` +
    `current value is ${show(value)}`;
}

function oneOf(...choices: string[]): Rule {
  return {
    type: 'string',
    holds: (value: string) => choices.includes(value),
    words: `be one of ${choices.join(', ')}`,
  };
}

function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return 'an object';
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return shown.length > 80 ? `${shown.slice(0, 79)}… (${shown.length} characters)` : shown;
}
