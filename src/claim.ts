/**
 * A claim: rows of the ledger that carry one random owner, from taking to finishing them.
 *
 * @module
 */

import { type Call, readRows } from './call.ts';
import { contentionOf, isMissingColumn, isMissingTable, isRefused } from './contention.ts';
import { LeaseLostError, type SchemaError } from './errors.ts';
import type { CompiledQuery, Handle } from './kysely.ts';
import type { Entry, Ledger } from './ledger.ts';
import { type LedgerRow, rowsOf } from './ledger_row.ts';
import { CLAIM_EXTRAS, pathRestored } from './postgres.ts';
import { patiently, stopwatch } from './wait.ts';
import { deadOwners } from './work.ts';

/** One claim. Its owner is new, so nothing that a former try left behind can be mistaken for it. */
export class Claim {
  /** The random name that its rows carry. */
  readonly owner: string = crypto.randomUUID();
  /** The first error that the DDL got in place of a statement: it may have caught it, or not awaited. */
  refusal: SchemaError | undefined;
  readonly #call: Call;
  readonly #entries: readonly Entry[];
  readonly #names: readonly string[];
  #ledger: Ledger;
  /** True once rows of it may be there. */
  #mayStand = false;
  /** True once the database has shown that a transaction takes its rows along as it ends. */
  #isInUnit = false;
  #isLost = false;
  /** How long ago it was claimed or renewed, in milliseconds. */
  #ageMs = stopwatch();
  #renewal: Promise<void> | undefined;

  constructor(call: Call, entries: readonly Entry[]) {
    this.#call = call;
    this.#entries = entries;
    this.#names = entries.map(({ name }) => name);
    this.#ledger = call.ledger;
    call.owners.add(this.owner);
  }

  /**
   * Claims rows that are not there, or stand on a claim that has run out; reads what came of it.
   * Such a claim is deleted first, with any on another branch, so that nothing of it is inherited.
   */
  async take(handle: Handle): Promise<LedgerRow[]> {
    const { settings: { leaseMs }, isWhole, dialect } = this.#call;
    const extras = dialect === 'postgres' ? CLAIM_EXTRAS : undefined;
    const claim = () => {
      this.#ageMs = stopwatch();
      const guard = this.#ledger.claim(this.#entries, this.owner, leaseMs, extras);
      return this.#prove(handle, guard, 'installing', !isWhole);
    };
    const rows = await claim();
    const dead = deadOwners(this.#entries, rows);
    if (dead.length === 0) return rows;
    // With what it has got of a line already, which would run out before the rest.
    await handle.executeQuery(this.#ledger.discard(dead, this.owner));
    return await claim();
  }

  /**
   * Sends a guard. The rows that it returns are the proof that it took effect, which saves a read.
   * Without them the ledger tells who holds it, or that the driver has just kept them to itself.
   */
  async #prove(
    handle: Handle,
    guard: CompiledQuery,
    state: 'installing' | 'installed',
    isEnough = true,
  ): Promise<LedgerRow[]> {
    const answer = await handle.executeQuery(guard).catch((error) => {
      this.#mayStand ||= !isRefused(error);
      this.#call.hasMetContention ||= contentionOf(error) !== undefined;
      throw error;
    });
    this.#mayStand = true;
    const schema = answer.rows[0]?.schema;
    if (typeof schema === 'string') this.#ledger = this.#ledger.within(schema);
    this.#isInUnit ||= Number(answer.rows[0]?.unit) === 1;
    const rows = rowsOf(answer.rows);
    return isEnough && this.holds(rows, state) ? rows : await this.read(handle);
  }

  read(handle: Handle): Promise<LedgerRow[]> {
    return readRows(this.#call, handle, this.#ledger);
  }

  /** True if a row is this owner's, or may be and was not seen, as on a replica that lags. */
  mayHold(rows: readonly LedgerRow[]): boolean {
    return rows.some(({ owner }) => owner === this.owner) ||
      this.#names.some((name) => !rows.some((row) => row.name === name));
  }

  /** True if every row is this owner's, and in that state. */
  holds(rows: readonly LedgerRow[], state: 'installing' | 'installed'): boolean {
    return this.#names.every((name) =>
      rows.some((row) =>
        row.name === name && row.owner === this.owner && row.installed === (state === 'installed')
      )
    );
  }

  /** Renews the claim now, if it is not being renewed already; a failure is logged. */
  renew(handle: Handle): void {
    if (this.#renewal || this.#isLost) return;
    this.#renewal = this.#renewNow(handle)
      .catch((error) => this.#call.logError('a claim was not renewed', error))
      .finally(() => this.#renewal = undefined);
  }

  async #renewNow(handle: Handle): Promise<void> {
    const ageMs = stopwatch();
    const guard = this.#ledger.renew(this.owner, this.#call.settings.leaseMs);
    const rows = await this.#prove(handle, guard, 'installing');
    if (this.holds(rows, 'installing')) this.#ageMs = ageMs;
    else this.#isLost = true;
  }

  async settled(): Promise<void> {
    await this.#renewal;
  }

  /**
   * Throws if the claim is lost. An owner that slept past its lease, which no timer can prevent,
   * renews it first: that shows whether another caller was faster. If it does not, as the answer is
   * lost, its error is thrown.
   */
  async check(handle: Handle): Promise<void> {
    if (!this.#isLost && this.#isOverdue) await this.#renewNow(handle);
    this.#throwIfLost();
  }

  /**
   * As {@linkcode check} where there is no time to ask: throws if the lease has run out. Renews it
   * early, as DDL on a driver that never yields lets no timer do so.
   */
  checkTime(handle: Handle): void {
    this.#throwIfLost();
    if (this.#ageMs() > this.#call.settings.leaseMs / 3) this.renew(handle);
  }

  // An answer that took as long as the lease proves nothing about it.
  #throwIfLost(): void {
    if (this.#isOverdue) this.#isLost = true;
    if (!this.#isLost) return;
    const lost = this.#lost('may have been taken over');
    this.refusal ??= lost;
    throw lost;
  }

  get #isOverdue(): boolean {
    return this.#ageMs() > this.#call.settings.leaseMs;
  }

  /**
   * Turns the rows into installed ones and reads the proof; `undefined` if they are gone.
   *
   * @throws {LeaseLostError} They are another owner's now.
   */
  async finish(handle: Handle, checksum: string | null): Promise<LedgerRow[] | undefined> {
    const { dialect, schema } = this.#call;
    const further = dialect === 'postgres' ? `, ${pathRestored(schema)}` : '';
    const guard = this.#ledger.finish(this.owner, this.#names.at(-1)!, checksum, further);
    const rows = await this.#prove(handle, guard, 'installed');
    if (this.holds(rows, 'installed')) return rows;
    const taken = this.lossIn(rows);
    if (taken) throw taken;
    return undefined;
  }

  /** The error for rows that are another owner's now; undefined if none of them is. */
  lossIn(rows: readonly LedgerRow[]): LeaseLostError | undefined {
    const row = rows.find(({ name, owner }) => this.#names.includes(name) && owner !== this.owner);
    return row && this.#lost(`is held by ${JSON.stringify(row.owner)} now`);
  }

  /**
   * As {@linkcode finish}, for a lease. The DDL's effects are there already, so a busy database or a
   * lost answer leads to another look until the lease has run out, never to another run of the DDL.
   */
  async finishPatiently(handle: Handle, checksum: string | null): Promise<LedgerRow[]> {
    return await patiently(
      async () => {
        const rows = await this.finish(handle, checksum);
        if (rows) return rows;
        throw this.#lost('is gone from the ledger');
      },
      this.#call.settings.leaseMs,
      (error) => !(error instanceof LeaseLostError),
    );
  }

  async giveBack(handle: Handle): Promise<void> {
    await handle.executeQuery(this.#ledger.release(this.owner));
  }

  /**
   * As {@linkcode giveBack}, if anything may be there, and with patience, so not where a connection is
   * held. `seen` is what was read after its transaction had ended: without a row of it, nothing is
   * there. A failure is logged, as the lease runs out anyway.
   */
  async release(seen?: readonly LedgerRow[]): Promise<void> {
    if (!this.#mayStand || this.#isInUnit) return;
    if (seen && !seen.some(({ owner }) => owner === this.owner)) return;
    await patiently(() => this.giveBack(this.#call.handle)).catch((error) => {
      if (!isMissingTable(error) && !isMissingColumn(error)) {
        this.#call.logError('a claim was not released', error);
      }
    });
  }

  #lost(found: string): LeaseLostError {
    const { settings: { leaseMs }, details } = this.#call;
    return new LeaseLostError(
      `this caller's claim ${found}: it was not renewed for ${leaseMs} ms, or somebody has changed ` +
        `its row. Call again, or raise 'leaseMs' if one statement takes longer`,
      details,
    );
  }
}
