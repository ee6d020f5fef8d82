/**
 * One call of the library: what every try of it shares.
 *
 * @module
 */

import type { Strategy } from './config.ts';
import { contentionOf } from './contention.ts';
import { type Placed, placedOf } from './database.ts';
import {
  DdlStalledError,
  LeaseLostError,
  messageOf,
  subjectOf,
  WaitTimeoutError,
} from './errors.ts';
import { checkLedger } from './foreign_table.ts';
import type { Database, Handle } from './kysely.ts';
import type { Ledger } from './ledger.ts';
import { type LedgerRow, rowsOf } from './ledger_row.ts';
import type { Settings } from './settings.ts';
import { Patience } from './wait.ts';

export interface DdlHooks {
  /** The error that the DDL has just had with another caller, which ends this one's wait. */
  failure?(): { error: unknown } | undefined;
  /** Hears of an error of the DDL that reaches the caller, perhaps twice. */
  onError?(error: unknown): void;
}

export interface Call extends Placed {
  readonly settings: Settings;
  readonly patience: Patience;
  /** The random names of all tries so far: a row that carries one of them is this caller's. */
  readonly owners: Set<unknown>;
  /** True where other versions than this one matter, too. */
  readonly isWhole: boolean;
  /** True once the ledger was found, or made, to have all of this release's columns. */
  isModern: boolean;
  readonly hooks: DdlHooks;
  /** The errors that came out of the caller's DDL. */
  readonly ddlErrors: Set<unknown>;
  /** True once a try has begun: a driver without transactions has said so, a ddl was recorded. */
  hasBegun: boolean;
  /** True once a statement has found the database busy, or another caller with the advisory lock. */
  hasMetContention: boolean;
  /** False from a look that saw another caller with the advisory lock on until the next read. */
  isFree: boolean;
  /** The checksum of the canonical DDL, where `onDrift` has had it recorded beforehand. */
  checksum: string | undefined;
  /** False but on Postgres, and once the server has turned out to have no advisory locks. */
  useAdvisoryLock: boolean;
  readonly log: (message: string) => void;
  readonly warn: (message: string) => void;
  /** Reports a second error, in place of which the first one reaches the caller. */
  readonly logError: (message: string, error: unknown) => void;
}

/** A call that begins now; `timeout` makes the error for the time when its deadline has passed. */
export function callOn(
  db: Database,
  settings: Settings,
  strategy: Strategy,
  hooks: DdlHooks,
  timeout: () => unknown,
): Call {
  const { batch, logger, onNewer, signal, upgrades, version, waitTimeoutMs } = settings;
  // With a batch, everything goes through it: no probe reads a stale replica after a write.
  const placed = placedOf(db, { ...settings, batch: strategy === 'batch' ? batch : undefined });
  const details = { ...placed.details, version };
  const tell = (part: 'log' | 'error') => async (message: string) => {
    try {
      await logger[part]?.(`db-migrate: ${subjectOf(details)}: ${message}`);
    } catch {
      // Out of a timer, what one throws that was closed would end the process.
    }
  };
  const warn = tell('error');
  return {
    ...placed,
    settings,
    details,
    patience: new Patience(waitTimeoutMs, signal, timeout, hooks.failure),
    owners: new Set(),
    ddlErrors: new Set(),
    hooks,
    hasBegun: false,
    hasMetContention: false,
    isFree: true,
    checksum: undefined,
    isWhole: upgrades.length > 0 || onNewer !== 'ignore',
    isModern: false,
    useAdvisoryLock: placed.dialect === 'postgres',
    log: tell('log'),
    warn,
    logError: (message, error) => warn(`${message}: ${messageOf(error)}`),
  };
}

/** The error for a call that `row`, a claim, or `cause`, a busy database, was in the way of. */
export function timeoutError(
  { details, patience, settings: { waitTimeoutMs } }: Call,
  row: LedgerRow | undefined,
  cause: unknown,
): WaitTimeoutError {
  const holder = row && {
    owner: `${row.owner}`,
    since: new Date(row.since ?? 0),
    leaseUntil: new Date(row.leaseUntil ?? 0),
  };
  const found = holder
    ? `${JSON.stringify(holder.owner)} has held the claim since ` +
      `${holder.since.toISOString()}, and its lease runs until ${holder.leaseUntil.toISOString()}`
    : cause !== undefined
    ? `the last try ended with: ${messageOf(cause)}`
    : 'another caller is installing in a transaction, the database does not answer, or no ' +
      'connection is free, as in a transaction of your own';
  const problem = `not installed after waiting ${Math.round(patience.elapsedMs)} ms, where ` +
    `'waitTimeoutMs' is ${waitTimeoutMs}; ${found}. Call again, or raise ` +
    `'waitTimeoutMs' if the schema takes longer`;
  return new WaitTimeoutError(problem, holder, { ...details, cause });
}

/** Runs the DDL, or records it, and keeps its error in mind as one of the caller's. */
export async function watchDdl<T>(call: Call, run: () => Promise<T>): Promise<T> {
  const { hooks, patience, settings: { signal }, ddlErrors } = call;
  try {
    return await run();
  } catch (error) {
    // That this caller waits no longer, or has lost its claim, says nothing about the DDL to others.
    const isCut = error instanceof DdlStalledError || error instanceof LeaseLostError ||
      error instanceof WaitTimeoutError || (patience.isAborted && error === signal?.reason);
    if (isCut) throw error;
    ddlErrors.add(error);
    // At once, as others of this process may be next in the queue for the connection.
    if (contentionOf(error) === undefined) hooks.onError?.(error);
    throw error;
  }
}

/**
 * Reads the row of the version, or the whole ledger, and with `look` whether a try may be worth it.
 *
 * @throws {ForeignTableError} The table belongs to another tool.
 * @throws {TypeError} The driver never returns rows of raw SQL, as some do unless they are set up to.
 */
export async function readRows(
  call: Call,
  handle: Handle = call.handle,
  ledger: Ledger = call.ledger,
  look?: string,
): Promise<LedgerRow[]> {
  const query = ledger.probe(call.isWhole ? undefined : call.settings.version, look);
  const { rows: [first], rows: answers } = await handle.executeQuery(query);
  if (!first) {
    throw new TypeError(
      `Cannot use 'db' as its driver, or the 'batch', keeps the rows of raw SQL to itself`,
    );
  }
  call.isFree = first.free !== false;
  const rows = rowsOf(answers);
  if (rows.some((row) => row.isUnfamiliar)) await checkLedger({ ...call, handle, ledger });
  return rows;
}
