/**
 * What a caller can say.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';
import type { KyselyLike } from './kysely.ts';
import type { SchemaPlanData } from './plan_data.ts';
import type { Dialect } from './sql_text.ts';

/** How the claim, the DDL and the finish are held together. */
export type Strategy = 'batch' | 'transaction' | 'lease';

/** Where the library says what it does: `console`, or any part of it. */
export interface Logger {
  /** What happened: who installed, what was tried again and why. */
  readonly log?: ((message: string) => void) | undefined;
  /**
   * The warnings of `onNewer` and `onDrift`, a second error behind one that the caller gets, and what
   * has failed and changes no outcome.
   */
  readonly error?: ((message: string) => void) | undefined;
}

/**
 * The caller's DDL. It receives the Kysely instance to use: a transaction where there is one, and
 * awaits each statement. Statements on any other instance are outside the unit, and may wait for a
 * connection for ever.
 */
export type Ddl<K extends KyselyLike> = (this: void, db: K) => unknown;

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
  readonly marker?: string | undefined;
  /**
   * Postgres only: the schema of the ledger and of the DDL, 1 to 63 bytes of UTF-8, created in the
   * same unit where it is missing. `ddl` receives an instance that uses it; under strategy
   * `'transaction'` or `'batch'` raw SQL finds it too, through a transaction-local `search_path`.
   */
  readonly schema?: string | undefined;
  /**
   * `'sqlite'` for SQLite, D1 and libSQL, or `'postgres'`; taken at its word.
   *
   * @default Detected from the SQL that the instance compiles.
   */
  readonly dialect?: Dialect | undefined;
  /** Where to report what happens. Silent where absent. */
  readonly logger?: Logger | undefined;
  /**
   * Sends several statements as one atomic unit, on the same database as `db`. The DDL is recorded
   * and sent with the ledger's row in one call; every other statement of the library goes through
   * it too. Needed on D1, and the fewest round trips elsewhere. Not used if `strategy` names another.
   */
  readonly batch?: AtomicBatch | undefined;
  /**
   * With a batch only: the caller has just created this database, so no look is needed before the
   * install. Where it turns out to be installed, the call ends as `'already-installed'`.
   *
   * @default {false}
   */
  readonly assumeFresh?: boolean | undefined;
  /**
   * - `'batch'`: the DDL is recorded and sent through `batch`.
   * - `'transaction'`: claim, DDL and finish in one transaction.
   * - `'lease'`: statements of their own under a renewed claim, for drivers without transactions
   *   and for DDL that cannot run in one. The DDL must be idempotent, since it runs again after a
   *   crash, or where one of its statements finds the database busy.
   * - `'auto'`: `'batch'` if there is one, else `'transaction'`; `'lease'` if the driver says that it
   *   has no transactions, or if `ddl` or a step declares no parameter, since then it must be using
   *   an instance of its own.
   *
   * @default {'auto'}
   */
  readonly strategy?: Strategy | 'auto' | undefined;
  /**
   * The deadline of a call until its own DDL runs, in milliseconds, from 1 to 2 147 483 647: for
   * connecting, looking, and waiting for another caller's install. It never cuts a DDL that has
   * sent a statement, nor one under a lease. A batch that was handed to the driver, and the finish
   * and commit after a DDL, are given up then, but not within `leaseMs`.
   *
   * @default {30000}
   */
  readonly waitTimeoutMs?: number | undefined;
  /**
   * How long a claim is honoured after it was last renewed, in milliseconds, below
   * `waitTimeoutMs`. It is renewed every third of it. On Postgres also the transaction's
   * `idle_in_transaction_session_timeout`, so that a client which vanished without a word does not
   * hold the claim for longer.
   *
   * @default 10 000, or half of `waitTimeoutMs` if that is less.
   */
  readonly leaseMs?: number | undefined;
  /**
   * What to do where another caller is installing, or the database is busy: `'wait'` until it has,
   * or `'return'` with `outcome: 'pending'`, when nothing is known to be ready. A connection is
   * waited for even so.
   *
   * @default {'wait'}
   */
  readonly onContention?: 'wait' | 'return' | undefined;
  /**
   * The steps that lead a database at an older version to `version`, in order; each leads to the
   * `from` of the next one, the last to `version`. A line: no branches, no shortcuts. Those that a
   * database lacks run as one unit. A fresh database takes `ddl` instead, and its ledger records the
   * versions that this includes. Without `upgrades` a new version simply runs its `ddl`.
   *
   * @default {[]}
   */
  readonly upgrades?: readonly UpgradeStep<K>[] | undefined;
  /**
   * What to do on a cold start that finds this version installed and, of its line, a later one that
   * this code does not know: nothing, a message to the logger, or a `NewerSchemaError`.
   *
   * @default {'ignore'}
   */
  readonly onNewer?: 'ignore' | 'warn' | 'error' | undefined;
  /**
   * What to do if `ddl` was edited since this version was installed: nothing, a message to the
   * logger, or a `DriftError`. Other than `'ignore'` it needs DDL that can be recorded, as for a
   * batch: on a cold start the DDL is recorded and its checksum compared with the ledger's, without
   * a statement more. What was installed without a known checksum never counts as edited.
   *
   * @default {'ignore'}
   */
  readonly onDrift?: 'ignore' | 'warn' | 'error' | undefined;
  /** Ends a wait at once, with the signal's reason; a DDL or a batch only as `waitTimeoutMs` does. */
  readonly signal?: AbortSignal | undefined;
}
