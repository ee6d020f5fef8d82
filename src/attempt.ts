/**
 * One try to install: claim, DDL, finish, wrapped in a transaction or in a renewed lease.
 *
 * @module
 */

import { type Call, readRows } from './call.ts';
import { isAbortedTransaction, isMissingTable } from './contention.ts';
import {
  DdlStalledError,
  LeaseLostError,
  StatementRefusedError,
  TransactionAbortedError,
} from './errors.ts';
import { checkedInstance, type Database, gatedTransaction } from './kysely.ts';
import type { Checksums, LedgerRow } from './ledger.ts';
import { checksumOf } from './plan_data.ts';
import { beginPolitely, isSchemaMissing } from './postgres.ts';
import { refusalInUnit } from './sql_text.ts';
import { patiently } from './patiently.ts';
import { Backoff, sleep } from './wait.ts';
import { type Work, workFor } from './work.ts';

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
  readonly #work: Work;
  readonly #names: readonly string[];
  readonly #texts: { sql: string }[] = [];
  #phase: Phase = 'claim';
  #finishingSince = 0;
  #renewedAt = 0;
  #isClaimSent = false;
  #isLost = false;
  #inFlight = 0;
  #renewal: Promise<void> | undefined;
  #lastFailure: { error: unknown } | undefined;
  #abandoned: { error: unknown } | undefined;
  #giveUp!: (error: unknown) => void;
  readonly #givenUp = new Promise<never>((_, reject) => this.#giveUp = reject);

  constructor(call: Call, strategy: 'transaction' | 'lease', work: Work) {
    this.#call = call;
    this.#work = work;
    this.#names = work.entries.map(({ name }) => name);
    this.#isTransaction = strategy === 'transaction';
    this.#givenUp.catch(() => {});
    call.owners.add(this.owner);
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
    const { ledger, patience, dialect, settings: { schema, leaseMs } } = this.#call;
    this.begun = true;
    patience.check();
    const session = dialect === 'postgres' && this.#isTransaction
      ? await beginPolitely(this.#call, handle)
      : undefined;
    if (session?.isLocked === false) return [];
    if (isLedgerMissing) {
      if (schema !== undefined && await isSchemaMissing(handle, schema)) {
        await handle.executeQuery(ledger.createSchema(schema));
      }
      await handle.executeQuery(ledger.create());
    }

    this.#renewedAt = performance.now();
    this.#isClaimSent = true;
    await handle.executeQuery(ledger.claim(this.#work.entries, this.owner, leaseMs));
    let rows = await readRows(this.#call, handle, session?.restore);
    if (rows.some((row) => row.expired)) {
      this.#renewedAt = performance.now();
      await handle.executeQuery(ledger.takeOver(this.#names, this.owner, leaseMs));
      rows = await readRows(this.#call, handle);
    }
    if (!this.#hasAll(rows, false) || !this.#isStillRight(rows)) {
      // Part of a line is no claim, and must not be left to others as one.
      if (rows.some((row) => row.owner === this.owner)) {
        await handle.executeQuery(ledger.release(this.#names, this.owner));
      }
      return rows;
    }

    patience.check();
    await this.#runDdl(handle);
    return await this.#finish(handle);
  }

  #hasAll(rows: readonly LedgerRow[], installed: boolean): boolean {
    return this.#names.every((name) =>
      rows.some((row) =>
        row.name === name && row.owner === this.owner && row.installed === installed
      )
    );
  }

  /** Whether the steps that were chosen are still the right ones, now that nothing can change. */
  #isStillRight(rows: readonly LedgerRow[]): boolean {
    const others = rows.filter((row) => row.owner !== this.owner);
    const { settings, details } = this.#call;
    return workFor(settings, others, details).from === this.#work.from;
  }

  async #runDdl(handle: Database): Promise<void> {
    const { leaseMs } = this.#call.settings;
    const instance = this.#isTransaction
      ? gatedTransaction(handle, {
        enter: (sql) => this.#enter(sql),
        leave: (failure) => this.#leave(failure),
      })
      : checkedInstance(handle, () => this.#checkLease());
    const run = async () => {
      try {
        await this.#work.ddl(instance);
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
    this.#texts.push({ sql });
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
    const { ledger, settings: { leaseMs } } = this.#call;
    const sentAt = performance.now();
    const renewal = async () => {
      await handle.executeQuery(ledger.renew(this.#names, this.owner, leaseMs));
      if (this.#hasAll(await readRows(this.#call, handle), false)) this.#renewedAt = sentAt;
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
  async #finish(handle: Database): Promise<LedgerRow[]> {
    const { ledger, settings: { leaseMs } } = this.#call;
    const checksums = await this.#checksums();
    const backoff = new Backoff();
    for (;;) {
      try {
        await handle.executeQuery(ledger.finish(this.#names, this.owner, checksums));
        const rows = await readRows(this.#call, handle);
        if (this.#hasAll(rows, true)) return rows;
        throw this.#notMine(rows.find((row) => this.#names.includes(row.name)));
      } catch (error) {
        const isOver = performance.now() - this.#finishingSince > leaseMs;
        if (error instanceof LeaseLostError || this.#isTransaction || isOver) {
          throw isAbortedTransaction(error) ? this.#aborted(error) : error;
        }
        await sleep(backoff.next());
      }
    }
  }

  async #checksums(): Promise<Checksums> {
    const { settings: { version }, dialect, checksum } = this.#call;
    const isSeen = this.#work.from === undefined && this.#isTransaction;
    const known = checksum ?? (isSeen ? await checksumOf(this.#texts, dialect) : undefined);
    return known === undefined ? {} : { [version]: known };
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
  async #settle(error: unknown): Promise<LedgerRow[]> {
    const { logError } = this.#call;
    if (this.#phase === 'finish' && !this.ddlError) {
      const rows = await patiently(() => readRows(this.#call)).catch((second) => {
        logError('the ledger could not be read after an unclear answer', second);
        return [];
      });
      if (this.#hasAll(rows, true)) return rows;
    }
    // In a real transaction there is nothing left to release; but not every dialect has one.
    if (this.#isClaimSent) await this.#release();
    throw error;
  }

  async #release(): Promise<void> {
    const { db, ledger, logError } = this.#call;
    const send = () => db.executeQuery(ledger.release(this.#names, this.owner));
    await patiently(send).catch((second) => {
      if (!isMissingTable(second)) logError('a claim was not released', second);
    });
  }

  /** Whether the deadline or the signal may end this try now, and with which error. */
  #cut(): { error: unknown } | undefined {
    const end = this.#call.patience.exhausted();
    const isStalled = this.#phase === 'ddl' && this.#isTransaction && this.#texts.length === 0;
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
    steps: (trx: Database) => Promise<LedgerRow[]>,
  ): Promise<LedgerRow[]> {
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
