/**
 * The gate that every statement of the caller's DDL passes on its way into the transaction.
 *
 * @module
 */

import type { Call } from './call.ts';
import type { Claim } from './claim.ts';
import {
  contentionOf,
  isAbortedTransaction,
  isMissingTable,
  isTransactionGone,
} from './contention.ts';
import { NOT_AWAITED, StatementRefusedError, type TransactionAbortedError } from './errors.ts';
import type { Gate } from './instances.ts';
import { type CompiledQuery, type Handle, kindOf } from './kysely.ts';
import { isRead, refusalInUnit, statementsOf } from './sql_text.ts';
import { abortedError } from './transaction.ts';

export class DdlGate implements Gate {
  /** True once the DDL has issued a statement through the instance it was given. */
  hasIssued = false;
  /** True once one has been sent: a renewal of the claim may hold the first one up. */
  hasSent = false;
  /** The texts of what the DDL has changed: what a recorder would record. */
  readonly changes: string[] = [];
  lastFailure: { readonly error: unknown } | undefined;
  /** Why no further statement is sent: the transaction is gone, or nobody waits for it. */
  end: { readonly error: unknown } | undefined;
  readonly #call: Call;
  readonly #claim: Claim;
  /** Whether the DDL is running: no statement passes before or after. */
  #isOpen = false;
  #inFlight = 0;
  #isDoubtful = false;
  #answeredAt = 0;

  constructor(call: Call, claim: Claim) {
    this.#call = call;
    this.#claim = claim;
  }

  /** True if no statement is under way and further ones may come. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.end;
  }

  open(): void {
    this.#isOpen = true;
    this.#answeredAt = performance.now();
  }

  /** Lets no statement in any more, since the DDL has returned: what comes now was not awaited. */
  close(): void {
    this.#isOpen = false;
    if (this.#inFlight > 0) this.#refused('(still under way)', NOT_AWAITED);
  }

  async enter(query: CompiledQuery, connection: Handle): Promise<void> {
    const { dialect } = this.#call;
    const { sql } = query;
    this.hasIssued = true;
    this.#check(sql);
    // What Kysely has built is one statement, changes something and controls no transaction: reading
    // it would be for nothing. But it may hold a piece of raw SQL.
    const isBuilt = !sql.includes(';') && !/^(Raw|SelectQuery)Node$/.test(kindOf(query));
    const statements = isBuilt ? [] : statementsOf(sql, dialect);
    const reason = refusalInUnit(statements) ??
      (dialect === 'sqlite' && statements.length > 1 ? SEVERAL : undefined);
    if (reason) throw this.#refused(sql, reason);
    if (this.#isDoubtful || this.#hasPaused) await this.#verify(connection);
    await this.#claim.check(connection).catch((error) => {
      this.fail(error);
      throw error;
    });
    // Again, as a renewal may have taken its time.
    this.#check(sql);
    this.hasSent = true;
    if (isBuilt || !isRead(statements)) this.changes.push(sql);
    this.#inFlight++;
  }

  fail(error: unknown): void {
    // The first one is kept: that the transaction is aborted, or that renewals find it gone, follows.
    const isFirst = !this.#isDoubtful && !isAbortedTransaction(error);
    if (isFirst) this.lastFailure = { error };
    // On Postgres the transaction is of no use any more, and every further statement says so.
    this.#isDoubtful = this.#call.dialect === 'sqlite';
    // After an error that only a race can cause, the transaction is gone, whoever catches it.
    if (contentionOf(error) === 'race') this.end ??= { error };
  }

  leave(): void {
    this.#inFlight--;
    this.#answeredAt = performance.now();
  }

  // Measured: `postgres` connects anew, without a word, where a session has ended in a pause.
  get #hasPaused(): boolean {
    return this.#call.dialect === 'postgres' && performance.now() - this.#answeredAt > PAUSE_MS;
  }

  /**
   * Looks whether the transaction is still there: SQLite ends it at some errors, as of a full disk or
   * "or rollback", and what comes next would be committed by itself.
   */
  async #verify(connection: Handle): Promise<void> {
    const rows = await this.#claim.read(connection).catch((error) => {
      if (!isMissingTable(error) && !isTransactionGone(error)) throw error;
      return [];
    });
    this.#isDoubtful = false;
    if (this.#claim.holds(rows, 'installing')) return;
    const lost = this.#call.dialect === 'postgres' ? this.#claim.lossIn(rows) : undefined;
    this.end ??= { error: lost ?? this.goneError() };
    throw this.end.error;
  }

  /** The error for a transaction that has ended, and its claim with it. */
  goneError(cause?: unknown): TransactionAbortedError {
    const how = this.#call.dialect === 'sqlite' ? 'ended' : 'lost';
    return abortedError(this.#call, how, this.lastFailure?.error ?? cause);
  }

  #check(sql: string): void {
    // Kysely before 0.28 would send it on a connection that serves somebody else by now.
    if (!this.#isOpen) throw this.#refused(sql, NOT_AWAITED);
    if (this.end) throw this.end.error;
  }

  #refused(sql: string, reason: string): StatementRefusedError {
    const error = new StatementRefusedError(sql, reason, this.#call.details);
    this.#claim.refusal ??= error;
    this.#call.ddlErrors.add(error);
    return error;
  }
}

/** Within this time nobody connects anew, or hardly anybody. */
const PAUSE_MS = 100;

const SEVERAL = 'it is several statements in one text. Send them one by one';
