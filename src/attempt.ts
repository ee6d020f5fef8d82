/**
 * One try to install: claim, DDL, finish, wrapped in a transaction or in a renewed lease.
 *
 * @module
 */

import { type Call, readRow } from './call.ts';
import { contentionOf, isAbortedTransaction, isMissingTable } from './contention.ts';
import {
  DdlStalledError,
  LeaseLostError,
  StatementRefusedError,
  TransactionAbortedError,
} from './errors.ts';
import { checkedInstance, type Database, gatedTransaction } from './kysely.ts';
import type { LedgerRow } from './ledger.ts';
import { beginPolitely, isSchemaMissing } from './postgres.ts';
import { refusalInUnit } from './sql_text.ts';
import { Backoff, sleep } from './wait.ts';

type Phase = 'claim' | 'ddl' | 'finish' | 'over';

/** One try. Its owner is new, so that nothing a former try left behind can be mistaken for it. */
export class Attempt {
  /** The random name that its claim carries. */
  readonly owner: string = crypto.randomUUID();
  /** True once a transaction has begun or a statement of ours was sent. */
  begun = false;
  /** The error that came out of the caller's DDL. */
  ddlError: { readonly error: unknown } | undefined;

  readonly #call: Call;
  readonly #isTransaction: boolean;
  #phase: Phase = 'claim';
  #finishingSince = 0;
  #renewedAt = 0;
  #isClaimSent = false;
  #isLost = false;
  #statements = 0;
  #inFlight = 0;
  #renewal: Promise<void> | undefined;
  #lastFailure: { error: unknown } | undefined;
  #abandoned: { error: unknown } | undefined;
  #giveUp!: (error: unknown) => void;
  readonly #givenUp = new Promise<never>((_, reject) => this.#giveUp = reject);

  constructor(call: Call, strategy: 'transaction' | 'lease') {
    this.#call = call;
    this.#isTransaction = strategy === 'transaction';
    this.#givenUp.catch(() => {});
    call.owners.add(this.owner);
  }

  /**
   * Runs the try. Resolves with the row that it read last: installed by this owner, or whatever
   * another caller has there. `isLedgerMissing` is what the probe found.
   */
  async run(isLedgerMissing: boolean): Promise<LedgerRow | undefined> {
    const unit = this.#isTransaction
      ? this.#inTransaction((trx) => this.#steps(trx, isLedgerMissing))
      : this.#steps(this.#call.db, isLedgerMissing);
    return await this.#call.patience.race(
      unit.catch((error) => this.#settle(error)).finally(() => this.#phase = 'over'),
      () => this.#cut(),
      this.#call.settings.leaseMs,
    );
  }

  async #steps(handle: Database, isLedgerMissing: boolean): Promise<LedgerRow | undefined> {
    const { ledger, patience, dialect, settings: { version, schema, leaseMs } } = this.#call;
    this.begun = true;
    patience.check();
    const session = dialect === 'postgres' && this.#isTransaction
      ? await beginPolitely(this.#call, handle)
      : undefined;
    if (session?.isLocked === false) return undefined;
    if (isLedgerMissing) {
      if (schema !== undefined && await isSchemaMissing(handle, schema)) {
        await handle.executeQuery(ledger.createSchema(schema));
      }
      await handle.executeQuery(ledger.create());
    }

    this.#renewedAt = performance.now();
    this.#isClaimSent = true;
    await handle.executeQuery(ledger.claim(version, this.owner, leaseMs));
    let row = await readRow(this.#call, handle, session?.restore);
    if (row?.expired) {
      this.#renewedAt = performance.now();
      await handle.executeQuery(ledger.takeOver(version, this.owner, leaseMs));
      row = await readRow(this.#call, handle);
    }
    if (row?.owner !== this.owner) return row;

    patience.check();
    await this.#runDdl(handle);
    return await this.#finish(handle);
  }

  async #runDdl(handle: Database): Promise<void> {
    const { ddl, leaseMs } = this.#call.settings;
    const instance = this.#isTransaction
      ? gatedTransaction(handle, {
        enter: (sql) => this.#enter(sql),
        leave: (failure) => this.#leave(failure),
      })
      : checkedInstance(handle, () => this.#checkLease());
    const run = async () => {
      try {
        await ddl(instance);
      } catch (error) {
        this.ddlError = { error };
        throw error;
      }
    };
    this.#phase = 'ddl';
    const stop = every(leaseMs / 3, () => this.#renew(handle));
    try {
      await Promise.race([run(), this.#givenUp]);
    } finally {
      stop();
      this.#phase = 'finish';
      this.#finishingSince = performance.now();
      await this.#renewal;
    }
  }

  /** Lets a statement of the DDL into the transaction, or refuses it. */
  async #enter(sql: string): Promise<void> {
    const reason = refusalInUnit(sql, this.#call.dialect);
    if (reason) throw new StatementRefusedError(sql, reason, this.#call.details);
    // Kysely before 0.28 would send it on a connection that serves somebody else by now.
    if (this.#phase !== 'ddl') {
      throw new StatementRefusedError(
        sql,
        'the install it belonged to is over',
        this.#call.details,
      );
    }
    await this.#renewal;
    if (this.#abandoned) throw this.#abandoned.error;
    this.#throwIfLost();
    this.#statements++;
    this.#inFlight++;
  }

  #leave(failure?: { error: unknown }): void {
    this.#inFlight--;
    if (failure) this.#lastFailure = failure;
  }

  /**
   * Keeps the claim alive while the DDL runs. In a transaction that is its own handle, so only
   * between two statements of the DDL; in a real one nobody sees the row, but the statement tells
   * Postgres that the session is not idle, and a dialect whose `begin` does nothing keeps its lease.
   */
  #renew(handle: Database): void {
    if (this.#renewal || this.#phase !== 'ddl' || this.#inFlight > 0 || this.#isLost) return;
    const { ledger, settings: { version, leaseMs } } = this.#call;
    const sentAt = performance.now();
    const renewal = async () => {
      await handle.executeQuery(ledger.renew(version, this.owner, leaseMs));
      const row = await readRow(this.#call, handle);
      if (row?.owner === this.owner && !row.installed) this.#renewedAt = sentAt;
      else this.#isLost = true;
    };
    this.#renewal = renewal()
      .catch((error) => this.#call.logError('a claim was not renewed', error))
      .finally(() => this.#renewal = undefined);
  }

  /** The fence of a lease: an owner that slept past its claim sends no further statement. */
  #checkLease(): void {
    if (performance.now() - this.#renewedAt > this.#call.settings.leaseMs) this.#isLost = true;
    this.#throwIfLost();
  }

  #throwIfLost(): void {
    if (this.#isLost) throw this.#lost('may have been taken over');
  }

  #lost(found: string): LeaseLostError {
    const { settings: { leaseMs }, details } = this.#call;
    return new LeaseLostError(
      `this caller's claim was not renewed within ${leaseMs} ms and ${found}. Call again to wait ` +
        `for the other caller; if one statement takes longer than this, raise 'leaseMs'`,
      details,
    );
  }

  /**
   * Finishes the claim and reads the proof. Under a lease the DDL's effects are there already, so a
   * busy database or a lost answer leads to another look, never to another run of the DDL.
   */
  async #finish(handle: Database): Promise<LedgerRow> {
    const { ledger, settings: { version, leaseMs } } = this.#call;
    const backoff = new Backoff();
    for (;;) {
      try {
        await handle.executeQuery(ledger.finish(version, this.owner));
        const row = await readRow(this.#call, handle);
        if (row?.owner === this.owner && row.installed) return row;
        throw this.#notMine(row);
      } catch (error) {
        const isOver = performance.now() - this.#finishingSince > leaseMs;
        if (error instanceof LeaseLostError || this.#isTransaction || isOver) {
          throw isAbortedTransaction(error) ? this.#aborted(error) : error;
        }
        await sleep(backoff.next());
      }
    }
  }

  #notMine(row: LedgerRow | undefined): Error {
    if (this.#isTransaction && !row) {
      return this.#aborted(undefined, 'a statement of it rolled the transaction back');
    }
    return this.#lost(row ? `is held by "${row.owner}" now` : 'is gone from the ledger');
  }

  #aborted(error: unknown, found = 'a statement of it failed and the error was caught'): Error {
    return new TransactionAbortedError(
      `the ddl returned, but its transaction cannot be committed: ${found}. Nothing was ` +
        `installed. Let the error of a failed statement through, or avoid the failing statement`,
      { ...this.#call.details, cause: this.#lastFailure?.error ?? error },
    );
  }

  /** What a failed unit comes to: it may have been committed all the same. */
  async #settle(error: unknown): Promise<LedgerRow | undefined> {
    const { logError } = this.#call;
    if (this.#phase === 'finish' && !this.ddlError) {
      const row = await patiently(() => readRow(this.#call)).catch((second) => {
        logError('the ledger could not be read after an unclear answer', second);
        return undefined;
      });
      if (row?.installed && row.owner === this.owner) return row;
    }
    // In a real transaction there is nothing left to release; but not every dialect has one.
    if (this.#isClaimSent) await this.#release();
    throw error;
  }

  async #release(): Promise<void> {
    const { db, ledger, settings: { version }, logError } = this.#call;
    const send = () => db.executeQuery(ledger.release(version, this.owner));
    await patiently(send).catch((second) => {
      if (!isMissingTable(second)) logError('a claim was not released', second);
    });
  }

  /** Whether the deadline or the signal may end this try now, and with which error. */
  #cut(): { error: unknown } | undefined {
    const end = this.#call.patience.exhausted();
    const isStalled = this.#phase === 'ddl' && this.#isTransaction && this.#statements === 0;
    const isUnanswered = this.#phase === 'finish' &&
      performance.now() - this.#finishingSince > this.#call.settings.leaseMs;
    if (!end || !(this.#phase === 'claim' || isStalled || isUnanswered)) return undefined;
    const error = isStalled
      ? new DdlStalledError(
        `the ddl has issued no statement through the instance it was given. It may be waiting for ` +
          `the connection that its own transaction holds: use the instance that 'ddl' receives, ` +
          `or strategy 'lease'. What it does on another instance from now on is not undone`,
        { ...this.#call.details, cause: end.error },
      )
      : end.error;
    this.#abandoned = { error };
    // The transaction must end, or the DDL would wait for its connection for ever.
    this.#giveUp(error);
    return this.#abandoned;
  }

  /** Kysely throws the error of its rollback in place of the first one; this keeps the first. */
  async #inTransaction(
    steps: (trx: Database) => Promise<LedgerRow | undefined>,
  ): Promise<LedgerRow | undefined> {
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
      if (!first || first.error === error) throw error;
      this.#call.logError('the transaction was not rolled back cleanly', error);
      throw first.error;
    }
  }
}

/** Sends a statement that is harmless to repeat until the database is not busy, a few times. */
async function patiently<T>(send: () => Promise<T>, tries = 10): Promise<T> {
  const backoff = new Backoff();
  for (let left = tries;; left--) {
    try {
      return await send();
    } catch (error) {
      if (left === 0 || !contentionOf(error)) throw error;
      await sleep(backoff.next());
    }
  }
}

/** Calls `work` every `ms` milliseconds until the returned function is called. */
function every(ms: number, work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const tick = () => {
    work();
    timer = setTimeout(tick, ms);
  };
  timer = setTimeout(tick, ms);
  return () => clearTimeout(timer);
}
