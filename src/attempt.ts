/**
 * One try to install: claim, DDL, finish, wrapped in a transaction or in a renewed lease.
 *
 * @module
 */

import { type Call, readRows } from './call.ts';
import { Claim } from './claim.ts';
import {
  contentionOf,
  isAbortedTransaction,
  isMissingTable,
  isTransactionGone,
} from './contention.ts';
import {
  DdlStalledError,
  LeaseLostError,
  StatementRefusedError,
  TransactionAbortedError,
} from './errors.ts';
import { checkedInstance, type Database, gatedTransaction, type Handle } from './kysely.ts';
import type { LedgerRow } from './ledger.ts';
import { patiently } from './patiently.ts';
import { checksumOf } from './plan_data.ts';
import { beginPolitely, createSchema, isSchemaMissing } from './postgres.ts';
import { isRead, refusalInUnit, type Statement, statementsOf } from './sql_text.ts';
import { type Work, workFor } from './work.ts';

/** One try. */
export class Attempt {
  /** True once a transaction has begun. */
  begun = false;
  /** The error that came out of the caller's DDL. */
  ddlError: { readonly error: unknown } | undefined;

  readonly #call: Call;
  readonly #work: Work;
  readonly #claim: Claim;
  readonly #isTransaction: boolean;
  #phase: 'claim' | 'ddl' | 'finish' | 'over' = 'claim';
  #finishingSince = 0;
  /** True once the DDL has issued a statement through the instance it was given. */
  #hasIssued = false;
  /** True once one has been sent. */
  #hasSent = false;
  /** What the DDL has changed: what a recorder would record. */
  readonly #changes: Statement[] = [];
  #inFlight = 0;
  #lastFailure: { error: unknown } | undefined;
  /** Why no further statement is sent: the transaction is gone, or nobody waits for it. */
  #end: { error: unknown } | undefined;
  #giveUp!: (error: unknown) => void;
  readonly #givenUp = new Promise<never>((_, reject) => this.#giveUp = reject);

  constructor(call: Call, strategy: 'transaction' | 'lease', work: Work) {
    this.#call = call;
    this.#work = work;
    this.#claim = new Claim(call, work.entries);
    this.#isTransaction = strategy === 'transaction';
    this.#givenUp.catch(() => {});
  }

  /** Runs the try. Resolves with the rows that it read last: its own, or another caller's. */
  async run(isLedgerMissing: boolean): Promise<LedgerRow[]> {
    const unit = this.#isTransaction
      ? this.#inTransaction((trx) => this.#steps(trx, isLedgerMissing))
      : this.#steps(this.#call.db, isLedgerMissing);
    return await this.#call.patience.race(
      unit.catch((error) => this.#settle(error)).finally(() => this.#phase = 'over'),
      () => this.#cut(),
      this.#call.settings.leaseMs,
    );
  }

  async #steps(handle: Database, isLedgerMissing: boolean): Promise<LedgerRow[]> {
    const { ledger, patience, dialect, settings } = this.#call;
    this.begun = true;
    patience.check();
    const session = dialect === 'postgres' && this.#isTransaction
      ? await beginPolitely(this.#call, handle)
      : undefined;
    if (session?.isLocked === false) return [];
    if (isLedgerMissing) {
      if (settings.schema !== undefined && await isSchemaMissing(handle, settings.schema)) {
        await handle.executeQuery(createSchema(settings.schema));
      }
      await handle.executeQuery(ledger.create());
    }
    const rows = await this.#claim.take(handle, session?.restore);
    if (!this.#claim.holds(rows, 'installing') || !this.#isStillRight(rows)) {
      // Part of a line is no claim, and must not be left to others as one.
      if (this.#claim.mayHold(rows)) await this.#claim.release(handle);
      return rows;
    }
    patience.check();
    await this.#runDdl(handle);
    return await this.#finish(handle);
  }

  /** Whether the steps that were chosen are still the right ones, now that nothing can change. */
  #isStillRight(rows: readonly LedgerRow[]): boolean {
    const { settings, details } = this.#call;
    const others = rows.filter(({ owner }) => owner !== this.#claim.owner);
    return workFor(settings, others, details).from === this.#work.from;
  }

  async #runDdl(handle: Database): Promise<void> {
    const instance = this.#isTransaction
      ? gatedTransaction(handle, {
        enter: (sql, connection) => this.#enter(sql, connection),
        leave: (failure) => this.#leave(failure),
      })
      : checkedInstance(handle, () => this.#claim.checkTime(handle));
    this.#phase = 'ddl';
    // In a transaction only between two statements of the DDL. In a real one nobody sees the row,
    // but the statement tells Postgres that the session is not idle; and a dialect whose `begin`
    // does nothing keeps its lease.
    const renewal = setInterval(() => {
      if (this.#inFlight > 0 || this.#end) return;
      this.#claim.renew(handle, (error) => this.#doom(error));
    }, this.#call.settings.leaseMs / 3);
    try {
      await Promise.race([this.#ddl(instance), this.#givenUp]);
    } finally {
      clearInterval(renewal);
      this.#phase = 'finish';
      this.#finishingSince = performance.now();
      await this.#claim.settled();
    }
    // Whatever the DDL made of it, or a last renewal has found.
    if (this.#end) throw this.#end.error;
  }

  async #ddl(instance: Database): Promise<void> {
    try {
      await this.#work.ddl(instance);
    } catch (error) {
      if (!(error instanceof LeaseLostError)) this.ddlError = { error };
      throw error;
    }
  }

  /** Lets a statement of the DDL into the transaction, or refuses it. */
  async #enter(sql: string, connection: Handle): Promise<void> {
    const { dialect, details } = this.#call;
    const statements = statementsOf(sql, dialect);
    this.#hasIssued = true;
    this.#checkOpen(sql);
    const reason = refusalInUnit(statements);
    if (reason) throw new StatementRefusedError(sql, reason, details);
    await this.#claim.check(connection, (error) => this.#doom(error));
    // Again, as a renewal may have taken its time, or have found the transaction gone.
    this.#checkOpen(sql);
    this.#hasSent = true;
    if (!isRead(statements)) this.#changes.push(...statements);
    this.#inFlight++;
  }

  /** Throws if no further statement of the DDL may be sent. */
  #checkOpen(sql: string): void {
    if (this.#phase !== 'ddl') {
      // Kysely before 0.28 would send it on a connection that serves somebody else by now.
      const reason = 'the install that it belonged to is over';
      throw new StatementRefusedError(sql, reason, this.#call.details);
    }
    if (this.#end) throw this.#end.error;
  }

  #leave(failure?: { error: unknown }): void {
    this.#inFlight--;
    if (!failure) return;
    this.#lastFailure = failure;
    this.#doom(failure.error);
  }

  /** After an error that only a race can cause, the transaction is gone, whoever catches it. */
  #doom(error: unknown): void {
    if (this.#isTransaction && contentionOf(error) === 'race') this.#end ??= { error };
  }

  async #finish(handle: Database): Promise<LedgerRow[]> {
    const checksum = await this.#checksum();
    if (!this.#isTransaction) return await this.#claim.finishPatiently(handle, checksum);
    let cause: unknown;
    try {
      const rows = await this.#claim.finish(handle, checksum);
      if (rows) return rows;
    } catch (error) {
      if (!isAbortedTransaction(error)) throw error;
      cause = this.#lastFailure?.error ?? error;
    }
    const found = cause === undefined
      ? 'a statement of it rolled the transaction back'
      : 'a statement of it failed and the error was caught';
    throw new TransactionAbortedError(
      `the ddl returned, but its transaction cannot be committed: ${found}. Nothing was ` +
        `installed. Let the error of a failed statement through, or avoid the failing statement`,
      { ...this.#call.details, cause },
    );
  }

  /** The checksum of a canonical DDL: recorded, or of the statements that were just seen. */
  async #checksum(): Promise<string | null> {
    const { checksum } = this.#call;
    if (checksum !== undefined) return checksum;
    // Steps are not the canonical DDL, and under a lease nobody sees the statements.
    if (this.#work.from !== undefined || !this.#isTransaction) return null;
    return await checksumOf(this.#changes);
  }

  /** What a failed unit comes to: it may have been committed all the same. */
  async #settle(error: unknown): Promise<LedgerRow[]> {
    if (this.#phase === 'finish' && !this.ddlError) {
      const rows = await patiently(() => readRows(this.#call)).catch((second) => {
        const isAnswer = isMissingTable(second);
        if (!isAnswer) this.#call.logError('the ledger could not be read afterwards', second);
        return [];
      });
      if (this.#claim.holds(rows, 'installed')) return rows;
    }
    // In a real transaction there is nothing left to release; but not every dialect has one.
    await this.#claim.release(this.#call.db);
    throw error;
  }

  /** Whether the deadline or the signal may end this try now, and with which error. */
  #cut(): { error: unknown } | undefined {
    const end = this.#call.patience.exhausted();
    const isUnsent = this.#phase === 'ddl' && this.#isTransaction && !this.#hasSent;
    const isUnanswered = this.#phase === 'finish' &&
      performance.now() - this.#finishingSince > this.#call.settings.leaseMs;
    if (!end || !(this.#phase === 'claim' || isUnsent || isUnanswered)) return undefined;
    this.#end = isUnsent && !this.#hasIssued ? { error: this.#stalled(end.error) } : end;
    // The transaction must end, or the DDL would wait for its connection for ever.
    this.#giveUp(this.#end.error);
    return this.#end;
  }

  #stalled(cause: unknown): DdlStalledError {
    return new DdlStalledError(
      `the ddl has issued no statement through the instance it was given. It may be waiting for ` +
        `the connection that its own transaction holds: use the instance that 'ddl' receives, or ` +
        `strategy 'lease'. What it does on another instance from now on is not undone`,
      { ...this.#call.details, cause },
    );
  }

  /** Kysely throws the error of its rollback in place of the first one; this keeps the first. */
  async #inTransaction(steps: (trx: Database) => Promise<LedgerRow[]>): Promise<LedgerRow[]> {
    let first: { error: unknown } | undefined;
    try {
      return await this.#call.db.transaction().execute(async (trx) => {
        try {
          return await steps(trx);
        } catch (error) {
          first = { error };
          throw error;
        }
      });
    } catch (error) {
      if (!first && isTransactionGone(error)) throw this.#rolledBack(error);
      if (!first || first.error === error) throw error;
      this.#call.logError('the transaction was not rolled back cleanly', error);
      throw first.error;
    }
  }

  /** SQLite ends a transaction itself when it cannot commit, and Kysely's rollback then fails. */
  #rolledBack(cause: unknown): TransactionAbortedError {
    return new TransactionAbortedError(
      `the database rolled the transaction back when it was to be committed, as it does when the ` +
        `disk is full or cannot be written, and Kysely keeps its error back. Nothing was installed`,
      { ...this.#call.details, cause },
    );
  }
}
