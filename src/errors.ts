/**
 * The conditions that a caller may want to catch, one class each.
 *
 * @module
 */

/** The stable `code` of each {@linkcode SchemaError}. */
export type SchemaErrorCode =
  | 'WAIT_TIMEOUT'
  | 'LEASE_LOST'
  | 'FOREIGN_TABLE'
  | 'STATEMENT_REFUSED'
  | 'TRANSACTION_ABORTED'
  | 'DDL_STALLED'
  | 'NOT_RECORDABLE'
  | 'NO_UPGRADE_PATH'
  | 'NEWER_SCHEMA'
  | 'DRIFT'
  | 'NOT_ADOPTABLE';

/** Where an error happened. */
export interface SchemaErrorDetails {
  /** The ledger table; absent where no database is involved, as in planning. */
  readonly marker?: string;
  /** The schema of the ledger, where one was named. */
  readonly schema?: string | undefined;
  /** The version that it is about; absent likewise, and where a whole ledger is read. */
  readonly version?: string;
  /** What caused it, where something did. */
  readonly cause?: unknown;
  /**
   * What could not be done to the version.
   *
   * @default {'bootstrap'}
   */
  readonly action?: string;
}

/**
 * The base of every error that the library itself raises about a database. Errors of the caller's
 * own DDL are never wrapped in it, and a wrong configuration is a `TypeError` or `RangeError`.
 *
 * @example
 * ```ts
 * import { SchemaError } from '@arraypress/db-migrate';
 *
 * function isRetryable(error: unknown): boolean {
 *   return error instanceof SchemaError && error.code === 'WAIT_TIMEOUT';
 * }
 * ```
 */
export class SchemaError extends Error {
  /** Tells the condition, the same in every release. */
  declare readonly code: SchemaErrorCode;
  /** The ledger table, where there is one. */
  readonly marker: string | undefined;
  /** The version that it is about, where there is one. */
  readonly version: string | undefined;

  /** Made by the library: `problem` says what was found and what to do. */
  constructor(problem: string, details: SchemaErrorDetails) {
    const { marker, version, cause, action = 'bootstrap' } = details;
    const task = marker === undefined
      ? 'plan the schema'
      : `${version === undefined ? 'read' : action} ${subjectOf(details)}`;
    super(`Cannot ${task}: ${problem}`, cause === undefined ? undefined : { cause });
    // Its own, too: what prints or copies an error leaves out what is inherited.
    Object.assign(this, { code: this.code });
    this.marker = marker;
    this.version = version;
  }
}

/** Who held the claim when a wait ended. */
export interface Holder {
  /** The random name of the try that holds the claim. */
  readonly owner: string;
  /** When it claimed, by the database's clock. */
  readonly since: Date;
  /** Until when its claim holds without being renewed, by the database's clock. */
  readonly leaseUntil: Date;
}

/**
 * When `waitTimeoutMs` had passed, another caller was still installing, or the database was busy or
 * had not answered yet. Nothing is lost: call again. Its `cause` is the last "busy" error of the
 * database, if there was one.
 */
export class WaitTimeoutError extends SchemaError {
  /** Who holds the claim, where the ledger shows it (inside a transaction it does not). */
  readonly holder: Holder | undefined;

  /** Made by the library: `problem` says how long it waited, and for what. */
  constructor(problem: string, holder: Holder | undefined, details: SchemaErrorDetails) {
    super(problem, details);
    this.holder = holder;
  }
}

/**
 * The claim of this caller ran out while its DDL was running, so that another may have taken it
 * over (strategy `'lease'`, or a dialect whose transactions are none). The DDL was stopped where
 * it stood; whoever holds the claim now runs it from the start. Call again to wait for them.
 */
export class LeaseLostError extends SchemaError {}

/** The table named by `marker` belongs to another tool. It has not been touched. */
export class ForeignTableError extends SchemaError {}

/**
 * A statement of the DDL cannot be part of the one unit that the schema is installed in, is past a
 * limit of the batch, was not awaited, or was returned without being executed. The unit is rolled
 * back, even if the DDL has caught this error; a lease has none. The statement was not sent, unless
 * it was under way already when the DDL returned.
 */
export class StatementRefusedError extends SchemaError {
  /** The statement, without its parameters; `'(still under way)'` for one that was sent already. */
  readonly sql: string;

  /** Made by the library: `reason` says why `sql` was refused. */
  constructor(sql: string, reason: string, details: SchemaErrorDetails) {
    super(`the statement "${shorten(sql)}" was refused: ${reason}`, details);
    this.sql = sql;
  }
}

/**
 * The transaction of the DDL could not be committed: a statement failed and its error was caught, a
 * statement rolled the transaction back, the database did, as on a full disk, or its session was
 * lost. Nothing was installed. The error that was met first is the `cause`, where it is known.
 */
export class TransactionAbortedError extends SchemaError {}

/**
 * The DDL issued no statement through the instance it was given before `waitTimeoutMs` ran out. It
 * may be using another instance, and waiting for the connection that the transaction around it
 * holds. Statements that it issues on that other instance from now on are outside the library's
 * control. Or the DDL did not return in that time while it was recorded. A DDL under a lease is not
 * cut.
 */
export class DdlStalledError extends SchemaError {}

/**
 * The DDL cannot be recorded, since it needs an answer from the database, even if it has caught this
 * error, or declares no parameter or issues nothing, and so must be using another instance than the one
 * it is given. Nothing of it was sent.
 */
export class NotRecordableError extends SchemaError {
  /** The statement that would have answered, without its parameters; undefined if there is none. */
  readonly sql: string | undefined;

  /** Made by the library: `reason` says why `sql` cannot be recorded. */
  constructor(sql: string | undefined, reason: string, details: SchemaErrorDetails) {
    const about = sql === undefined ? '' : `"${shorten(sql)}" cannot be recorded: `;
    super(`${about}${reason}`, details);
    this.sql = sql;
  }
}

/**
 * The database holds a version that is not of the line of `upgrades`, or was led by a step past one
 * that came into the line later. Nothing was run.
 */
export class NoUpgradePathError extends SchemaError {
  /** The versions that the database holds. */
  readonly held: readonly string[];
  /** The line that this code knows, the target last. */
  readonly line: readonly string[];

  /** Made by the library: `held` is in the database, `line` in the code. */
  constructor(held: readonly string[], line: readonly string[], details: SchemaErrorDetails) {
    super(
      `the database holds ${list(held)}, and this code knows the line ${list(line)}. Nothing was ` +
        `run. Add the missing step to 'upgrades', move one that came in later to its end, or deploy ` +
        `the code that knows it; another app needs a 'marker' of its own`,
      details,
    );
    this.held = held;
    this.line = line;
  }
}

/** The database holds a later version of the line, and `onNewer` is `'error'`. */
export class NewerSchemaError extends SchemaError {}

/** The DDL was edited without a new version, and `onDrift` is `'error'`. */
export class DriftError extends SchemaError {
  /** The checksum of the DDL that was installed. */
  readonly installed: string;
  /** The checksum of the DDL that this code has. */
  readonly current: string;

  /** Made by the library: `installed` is in the ledger, `current` is the code's. */
  constructor(problem: string, installed: string, current: string, details: SchemaErrorDetails) {
    super(problem, details);
    this.installed = installed;
    this.current = current;
  }
}

/** The database cannot be handed over to Kysely's own Migrator. Nothing was changed. */
export class NotAdoptableError extends SchemaError {}

const TYPES: Readonly<Record<SchemaErrorCode, { prototype: SchemaError }>> = {
  WAIT_TIMEOUT: WaitTimeoutError,
  LEASE_LOST: LeaseLostError,
  FOREIGN_TABLE: ForeignTableError,
  STATEMENT_REFUSED: StatementRefusedError,
  TRANSACTION_ABORTED: TransactionAbortedError,
  DDL_STALLED: DdlStalledError,
  NOT_RECORDABLE: NotRecordableError,
  NO_UPGRADE_PATH: NoUpgradePathError,
  NEWER_SCHEMA: NewerSchemaError,
  DRIFT: DriftError,
  NOT_ADOPTABLE: NotAdoptableError,
};

for (const [code, { prototype }] of Object.entries(TYPES)) {
  // As the class is called here: bundlers rename it.
  const name = `${code}_ERROR`.toLowerCase()
    .replace(/(?:^|_)(.)/g, (_, letter: string) => letter.toUpperCase());
  Object.assign(prototype, { name, code });
}

/** What is found of a DDL that uses another instance than its own, or forgets to execute. */
export const NO_STATEMENT = 'the ddl issued no statement through the instance it was given';

/** Why a statement is refused that comes after its DDL. */
export const NOT_AWAITED = 'its ddl had returned, or was given up. Await each statement';

/** What a message is about: the version, and the ledger with its schema, as each tenant may have one. */
export function subjectOf({ marker, schema, version }: SchemaErrorDetails): string {
  const ledger = schema === undefined ? `"${marker}"` : `${JSON.stringify(schema)}."${marker}"`;
  return version === undefined ? ledger : `version ${JSON.stringify(version)} in ${ledger}`;
}

function list(names: readonly string[]): string {
  return names.map((name) => JSON.stringify(name)).join(', ');
}

/** A statement as it stands in a message. */
export function shorten(sql: string): string {
  const text = sql.replace(/\s+/g, ' ').trim();
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The message of anything thrown, and nothing else of it: some drivers attach bound values. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
