/**
 * One try to install: claim, DDL, finish, wrapped in a transaction or in a renewed lease.
 *
 * @module
 */

import { type Call, readRows, watchDdl } from './call.ts';
import { Claim } from './claim.ts';
import {
  contentionOf,
  isAbortedTransaction,
  isMissingTable,
  isTransactionGone,
} from './contention.ts';
import { DdlStalledError, NO_STATEMENT } from './errors.ts';
import { DdlGate } from './gate.ts';
import { checkedInstance, gatedTransaction } from './instances.ts';
import type { Database, Handle } from './kysely.ts';
import type { LedgerRow } from './ledger_row.ts';
import { beginPolitely, creation, hurried } from './postgres.ts';
import { runAll } from './run.ts';
import { abortedError, inTransaction } from './transaction.ts';
import { patiently } from './wait.ts';
import { checksumToKeep, type Work, workFor } from './work.ts';

const MAY_WAIT = `. It may be waiting for the connection that its own transaction holds: use the ` +
  `instance it was given`;

const MAY_QUEUE = '. Its statement under way may be waiting for a lock';

export class Attempt {
  readonly #call: Call;
  readonly #work: Work;
  readonly #claim: Claim;
  /** Only in a transaction: under a lease the DDL's statements go their own way. */
  readonly #gate: DdlGate | undefined;
  #phase: 'claim' | 'ddl' | 'finish' = 'claim';
  /** What a try that has not got the claim has read instead. */
  #others: LedgerRow[] | undefined;
  /** The error of the DDL, once it has failed: all that is waited for is the end of the unit. */
  #failure: { readonly error: unknown } | undefined;
  #finishingSince = 0;
  readonly #givenUp = Promise.withResolvers<never>();

  constructor(call: Call, strategy: 'transaction' | 'lease', work: Work) {
    this.#call = call;
    this.#work = work;
    this.#claim = new Claim(call, work.entries);
    this.#gate = strategy === 'transaction' ? new DdlGate(call, this.#claim) : undefined;
    this.#givenUp.promise.catch(() => {});
  }

  /** Runs the try. Resolves with the rows that it read last: its own, or another caller's. */
  async run(isLedgerMissing: boolean): Promise<LedgerRow[]> {
    const unit = this.#gate
      ? inTransaction(this.#call, (trx) => this.#steps(trx, isLedgerMissing))
      : this.#steps(this.#call.db, isLedgerMissing);
    return await this.#call.patience.race(
      unit.catch((error) => this.#settle(error)).then((rows) => this.#committed(rows)),
      (end) => this.#cut(end),
      this.#call.settings.leaseMs,
    );
  }

  async #steps(handle: Database, isLedgerMissing: boolean): Promise<LedgerRow[]> {
    const { patience, dialect } = this.#call;
    this.#call.hasBegun = true;
    patience.check();
    const own = handle.withoutPlugins();
    if (dialect === 'postgres' && this.#gate && !(await beginPolitely(this.#call, own))) {
      this.#call.hasMetContention = true;
      return this.#others = [];
    }
    if (isLedgerMissing) {
      for (const query of await creation(this.#call, own)) {
        await own.executeQuery(this.#gate ? query : hurried(this.#call, query));
      }
    }
    const rows = await this.#claim.take(own);
    if (!this.#claim.holds(rows, 'installing') || !this.#isStillRight(rows)) {
      // Part of a line is no claim, and must not be left to others as one.
      if (this.#claim.mayHold(rows)) await this.#claim.giveBack(own);
      return this.#others = rows;
    }
    patience.check();
    const { log } = this.#call;
    log(`installing as "${this.#claim.owner}"`);
    await this.#runDdl(handle, own);
    if (this.#gate?.hasIssued === false) log(NO_STATEMENT);
    return await this.#finish(own);
  }

  /** Whether the steps that were chosen are still the right ones, now that nothing can change. */
  #isStillRight(rows: readonly LedgerRow[]): boolean {
    const others = rows.filter(({ owner }) => owner !== this.#claim.owner);
    return workFor(this.#call, others).from === this.#work.from;
  }

  async #runDdl(handle: Database, own: Handle): Promise<void> {
    const gate = this.#gate;
    const instance = gate
      ? gatedTransaction(handle, gate)
      : checkedInstance(handle, () => this.#claim.checkTime(own));
    // The gate hears of a failed renewal before the DDL's next statement gets the connection, which
    // may run outside of the transaction that has just been ended.
    const listener = gate && { fail: (error: unknown) => gate.fail(error) };
    const renewing = listener ? gatedTransaction(handle, listener).withoutPlugins() : own;
    gate?.open();
    this.#phase = 'ddl';
    // In a transaction only between two statements of the DDL. In a real one nobody sees the row,
    // but the statement tells Postgres that the session is not idle; and a dialect whose `begin`
    // does nothing keeps its lease.
    const renewal = setInterval(() => {
      if (gate?.isIdle ?? true) this.#claim.renew(renewing);
    }, this.#call.settings.leaseMs / 3);
    try {
      const ran = runAll(this.#work.ddl, instance, this.#call.details);
      // Raced, so that what it throws after it was given up is nobody's unhandled rejection.
      await watchDdl(this.#call, () => Promise.race([ran, this.#givenUp.promise]));
    } catch (error) {
      this.#failure = { error };
      throw error;
    } finally {
      clearInterval(renewal);
      gate?.close();
      this.#phase = 'finish';
      this.#finishingSince = performance.now();
      await this.#claim.settled();
    }
    // Whatever the DDL made of it, or a last renewal has found.
    if (gate?.end) throw gate.end.error;
  }

  async #finish(handle: Handle): Promise<LedgerRow[]> {
    const checksum = await checksumToKeep(this.#call, this.#work, this.#gate?.changes);
    // A statement was held back, so the schema is not whole, whoever has the claim.
    if (this.#claim.refusal) throw this.#claim.refusal;
    if (!this.#gate) return await this.#claim.finishPatiently(handle, checksum);
    try {
      const rows = await this.#claim.finish(handle, checksum);
      // One may have come too late, while this was under way.
      if (this.#claim.refusal) throw this.#claim.refusal;
      if (rows) return rows;
    } catch (error) {
      const failure = this.#gate.lastFailure;
      // The table that was made for the claim is gone with its transaction.
      const isGone = isTransactionGone(error) || isMissingTable(error);
      if (isGone && this.#call.dialect === 'postgres') throw this.#gate.goneError(error);
      if (!isAbortedTransaction(error) && !(failure && isGone)) throw error;
      const caught = abortedError(this.#call, 'caught', failure?.error ?? error);
      this.#call.ddlErrors.add(caught);
      throw caught;
    }
    throw this.#gate.goneError();
  }

  /** What a failed unit comes to: it may have been committed all the same. */
  async #settle(error: unknown): Promise<LedgerRow[]> {
    if (this.#others) {
      this.#call.logError('a try that changed nothing did not end well', error);
      return this.#others;
    }
    const isOurs = this.#phase === 'finish' && !this.#call.ddlErrors.has(error);
    const rows = isOurs ? await this.#readAfterwards() : undefined;
    if (rows && this.#claim.holds(rows, 'installed')) return rows;
    // In a real transaction there is nothing left to release; but not every dialect has one. Under a
    // lease no read can tell that: it may be of a replica that lags.
    await this.#claim.release(this.#gate && rows);
    throw error;
  }

  /**
   * Measured: a connection of libSQL to a file that has met a lock commits nothing any more, and yet
   * reads what it has written. Nothing under a lease would tell, so an empty transaction does: its
   * commit fails on such a connection, and takes back what was never committed.
   */
  async #committed(rows: LedgerRow[]): Promise<LedgerRow[]> {
    const { dialect, hasMetContention, settings: { leaseMs } } = this.#call;
    const mayBeStuck = !this.#gate && dialect === 'sqlite' && hasMetContention;
    if (!mayBeStuck || !this.#claim.holds(rows, 'installed')) return rows;
    let isOpen = false;
    const isLocked = (error: unknown) => !isOpen && contentionOf(error) !== undefined;
    const nothing = () => {
      isOpen = true;
      return Promise.resolve();
    };
    try {
      await patiently(() => inTransaction(this.#call, nothing), leaseMs, isLocked);
    } catch (error) {
      // No transactions, or an answer that is lost, tell nothing.
      if (contentionOf(error) !== undefined) throw error;
    }
    return rows;
  }

  async #readAfterwards(): Promise<LedgerRow[] | undefined> {
    try {
      return await patiently(() => readRows(this.#call));
    } catch (error) {
      if (isMissingTable(error)) return [];
      this.#call.logError('the ledger could not be read afterwards', error);
      return undefined;
    }
  }

  /** Whether the deadline or the signal may end this try now, and with which error. */
  #cut(end: { error: unknown }): { error: unknown } | undefined {
    if (this.#failure) return this.#failure;
    const gate = this.#gate;
    const isUnsent = this.#phase === 'ddl' && gate !== undefined && !gate.hasSent;
    const isUnanswered = this.#phase === 'finish' &&
      performance.now() - this.#finishingSince >= this.#call.settings.leaseMs;
    if (this.#phase !== 'claim' && !isUnsent && !isUnanswered) {
      if (this.#phase === 'ddl') {
        const why = !gate ? '' : gate.isIdle ? MAY_WAIT : MAY_QUEUE;
        this.#call.log(
          `the ddl is still running past 'waitTimeoutMs' or an aborted 'signal'${why}`,
        );
      }
      return undefined;
    }
    const isStalled = isUnsent && !gate.hasIssued && !this.#call.patience.isAborted;
    const cut = isStalled ? { error: this.#stalled() } : end;
    if (gate) gate.end = cut;
    // The transaction must end, or the DDL would wait for its connection for ever.
    this.#givenUp.reject(cut.error);
    return cut;
  }

  #stalled(): DdlStalledError {
    return new DdlStalledError(
      `${NO_STATEMENT}${MAY_WAIT}, or strategy 'lease'. What it does elsewhere from now on is not ` +
        'undone',
      this.#call.details,
    );
  }
}
