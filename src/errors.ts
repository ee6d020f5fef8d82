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
  | 'NOT_RECORDABLE';

/** Where an error happened. */
export interface SchemaErrorDetails {
  /** The ledger table. */
  readonly marker: string;
  /** The version that was to be installed. */
  readonly version: string;
  /** What caused it, where something did. */
  readonly cause?: unknown;
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
  readonly code: SchemaErrorCode;
  /** The ledger table. */
  readonly marker: string;
  /** The version that was to be installed. */
  readonly version: string;

  /**
   * Made by the library; callers only catch it.
   *
   * @param code The condition.
   * @param problem What was found and what to do, after "Cannot bootstrap version … in …: ".
   * @param details Marker, version and cause.
   */
  constructor(code: SchemaErrorCode, problem: string, details: SchemaErrorDetails) {
    const { marker, version, cause } = details;
    super(
      `Cannot bootstrap version ${JSON.stringify(version)} in "${marker}": ${problem}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = new.target.name;
    this.code = code;
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
 * Another caller was still installing, or the database was still busy, when `waitTimeoutMs` had
 * passed. Nothing is lost: call again. Its `cause` is the last "busy" error of the database, if
 * there was one.
 */
export class WaitTimeoutError extends SchemaError {
  /** How long the caller was ready to wait, in milliseconds. */
  readonly waitTimeoutMs: number;
  /** Who holds the claim, where the ledger shows it (inside a transaction it does not). */
  readonly holder: Holder | undefined;

  /** Made by the library; callers only catch it. */
  constructor(waitTimeoutMs: number, holder: Holder | undefined, details: SchemaErrorDetails) {
    const found = holder
      ? `"${holder.owner}" has held the claim since ${holder.since.toISOString()}, its lease runs ` +
        `until ${holder.leaseUntil.toISOString()}`
      : details.cause === undefined
      ? 'another caller is installing in a transaction, or the database did not answer'
      : `the database was busy: ${messageOf(details.cause)}`;
    super(
      'WAIT_TIMEOUT',
      `not installed after waiting ${waitTimeoutMs} ms; ${found}. Call again, or raise ` +
        `'waitTimeoutMs' if the schema takes longer than this`,
      details,
    );
    this.waitTimeoutMs = waitTimeoutMs;
    this.holder = holder;
  }
}

/**
 * The claim of this caller ran out while its DDL was running, so that another may have taken it
 * over (strategy `'lease'`, or a dialect whose transactions are none). The DDL was stopped where
 * it stood; whoever holds the claim now runs it from the start. Call again to wait for them.
 */
export class LeaseLostError extends SchemaError {
  /** Made by the library; callers only catch it. */
  constructor(leaseMs: number, found: string, details: SchemaErrorDetails) {
    super(
      'LEASE_LOST',
      `this caller's claim was not renewed within ${leaseMs} ms and ${found}. Call again to wait ` +
        `for the other caller; if one statement takes longer than this, raise 'leaseMs'`,
      details,
    );
  }
}

/** The table named by `marker` belongs to another tool. It has not been touched. */
export class ForeignTableError extends SchemaError {
  /** Made by the library; callers only catch it. */
  constructor(key: readonly string[], details: SchemaErrorDetails) {
    const found = key.length ? `its primary key is "${key.join('", "')}"` : 'it has no primary key';
    super(
      'FOREIGN_TABLE',
      `the table "${details.marker}" belongs to another tool: ${found}, where a ledger has "name". ` +
        `It was left as it is. Choose another 'marker'`,
      details,
    );
  }
}

/**
 * A statement of the DDL cannot be part of the one unit that the schema is installed in. It has
 * not been sent, and the unit is rolled back.
 */
export class StatementRefusedError extends SchemaError {
  /** The statement as it was refused, without its parameters. */
  readonly sql: string;

  /** Made by the library; callers only catch it. */
  constructor(sql: string, reason: string, details: SchemaErrorDetails) {
    super('STATEMENT_REFUSED', `the statement "${shorten(sql)}" was not sent: ${reason}`, details);
    this.sql = sql;
  }
}

/**
 * The DDL returned, but its transaction can no longer be committed: a statement of it failed and
 * the error was caught, or a statement rolled the transaction back. Nothing was installed. The
 * error that was caught is the `cause`, where it is known.
 */
export class TransactionAbortedError extends SchemaError {
  /** Made by the library; callers only catch it. */
  constructor(found: string, details: SchemaErrorDetails) {
    super(
      'TRANSACTION_ABORTED',
      `the ddl returned, but its transaction cannot be committed: ${found}. Nothing was ` +
        `installed. Let the error of a failed statement through, or avoid the failing statement`,
      details,
    );
  }
}

/**
 * The DDL issued no statement through the instance it was given before `waitTimeoutMs` ran out or
 * the signal was aborted. It may be using another instance, and waiting for the connection that
 * the transaction around it holds. Statements that it issues on that other instance from now on
 * are outside the library's control.
 */
export class DdlStalledError extends SchemaError {
  /** Made by the library; callers only catch it. */
  constructor(details: SchemaErrorDetails) {
    super(
      'DDL_STALLED',
      `the ddl has issued no statement through the instance it was given. It may be waiting for ` +
        `the connection that its own transaction holds: use the instance that 'ddl' receives, or ` +
        `strategy 'lease'. What it does on another instance from now on is not undone`,
      details,
    );
  }
}

/** The DDL cannot be recorded, since it needs an answer from the database. Nothing was sent. */
export class NotRecordableError extends SchemaError {
  /** The statement that would have answered, without its parameters; undefined if there is none. */
  readonly sql: string | undefined;

  /** Made by the library; callers only catch it. */
  constructor(sql: string | undefined, reason: string, details: SchemaErrorDetails) {
    const about = sql === undefined ? '' : `"${shorten(sql)}" cannot be recorded: `;
    super('NOT_RECORDABLE', `${about}${reason}`, details);
    this.sql = sql;
  }
}

function shorten(sql: string): string {
  const text = sql.replace(/\s+/g, ' ').trim();
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

/** The message of anything thrown, and nothing else of it: some drivers attach bound values. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
