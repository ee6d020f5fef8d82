/**
 * One try to install through an atomic batch: ledger row and DDL in one call, all or nothing.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import { type Call, checkAnswers, readRows, watchDdl } from './call.ts';
import { contentionOf, isMissingColumn, isMissingTable, isUniqueViolation } from './contention.ts';
import { StatementRefusedError } from './errors.ts';
import type { LedgerRow } from './ledger_row.ts';
import { creation, politely } from './postgres.ts';
import { record } from './recorder.ts';
import { checksumToKeep, deadOwners, rowsInTheWay, type Work } from './work.ts';

export class BatchAttempt {
  readonly owner: string = crypto.randomUUID();
  readonly #call: Call;
  readonly #work: Work;

  constructor(call: Call, work: Work) {
    this.#call = call;
    this.#work = work;
    call.owners.add(this.owner);
  }

  /** Runs the try, on what the probe found. Resolves with its own row, or with what is there instead. */
  async run(isLedgerMissing: boolean, seen: readonly LedgerRow[]): Promise<LedgerRow[]> {
    const ddl = await this.#record();
    const { ledger, handle, patience, settings: { leaseMs } } = this.#call;
    const { entries } = this.#work;
    const checksum = await checksumToKeep(this.#call, this.#work, ddl.map(({ sql }) => sql));
    const ours: BatchStatement[] = isLedgerMissing
      ? await patience.race(creation(this.#call, handle))
      : [];
    const dead = deadOwners(entries, seen);
    if (dead.length > 0) ours.push(ledger.discard(dead, this.owner));
    // No "on conflict": another caller's row must fail this statement, and so the whole batch.
    ours.push(ledger.install(entries, this.owner, checksum));
    const unit = politely(this.#call, ours, ddl);
    patience.check();
    const sentAt = performance.now();
    const gone = new AbortController();
    try {
      return await patience.race(
        this.#send(unit, ddl, gone.signal),
        (end) => performance.now() - sentAt >= leaseMs ? end : undefined,
        leaseMs,
      );
    } finally {
      gone.abort();
    }
  }

  async #record(): Promise<BatchStatement[]> {
    return await watchDdl(this.#call, async () => {
      const statements = await record(this.#call.db, this.#work.ddl, this.#call);
      for (const statement of statements) this.#checkLimits(statement);
      return statements;
    });
  }

  #checkLimits({ sql, parameters }: BatchStatement): void {
    const { statementBytes = Infinity, parameters: most = Infinity } =
      this.#call.settings.batch?.limits ?? {};
    const check = (size: number, unit: string, limit: number) => {
      if (size <= limit) return;
      const reason = `it has ${size} ${unit}, and the database takes ${limit} at most. Split it`;
      throw new StatementRefusedError(sql, reason, this.#call.details);
    };
    check(new TextEncoder().encode(sql).length, 'bytes', statementBytes);
    check(parameters.length, 'parameters', most);
  }

  async #send(
    unit: readonly BatchStatement[],
    ddl: readonly BatchStatement[],
    gone: AbortSignal,
  ): Promise<LedgerRow[]> {
    const { settings: { batch, version }, ledger: { table } } = this.#call;
    try {
      await batch!.execute(unit.map(({ sql, parameters }) => ({ sql, parameters })), gone);
      return [{ name: version, owner: this.owner, installed: true, expired: false }];
    } catch (error) {
      if (gone.aborted) throw error;
      // Lost to another caller, or committed all the same with the answer lost on its way.
      let isMissing = false;
      let isUnreachable = false;
      const rows = await readRows(this.#call).catch((second) => {
        isMissing = isMissingTable(second);
        isUnreachable = !isMissing && !isMissingColumn(second);
        if (isUnreachable) {
          this.#call.logError('the ledger could not be read afterwards', second);
        }
        return [];
      });
      const met = rowsInTheWay(this.#work.entries, rows);
      const target = rows.find(({ name, installed }) => installed && name === version);
      const contention = contentionOf(error);
      const isDuplicate = isUniqueViolation(error, table.name);
      // A row that was in the way may be gone by now; but DDL may write into such a table, too.
      const isRaced = isDuplicate
        ? met.length > 0 ||
          !ddl.some(({ sql }) => sql.toLowerCase().includes(table.name.toLowerCase()))
        : contention !== undefined && met.some(({ expired }) => !expired);
      if (isRaced) {
        if (rows.length === 0 && !isUnreachable) await checkAnswers(this.#call.handle);
        return rows;
      }
      if (target) {
        if (target.owner !== this.owner) {
          this.#call.logError('a batch that came too late had failed by itself', error);
        }
        return rows;
      }
      // "Already exists" is what a racing ledger gets, and what DDL that clashes gets for good. A
      // column may be missing in the ledger of an older release; this one's has them all.
      const isOurs = (contention !== undefined && contention !== 'exists') || isUnreachable ||
        (isMissingColumn(error) && !isMissing && !this.#call.isModern);
      if (!isOurs) this.#call.ddlErrors.add(error);
      throw error;
    }
  }
}
