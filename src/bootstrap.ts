/**
 * The story: probe, claim, run the DDL, finish; or wait for whoever does.
 *
 * @module
 */

import { Attempt } from './attempt.ts';
import { attemptBatch } from './batch_attempt.ts';
import { type Call, callOn, type DdlHooks, readRows, timeoutError, watchDdl } from './call.ts';
import type { BootstrapConfig, Strategy } from './config.ts';
import { isForbidden, isMissingTable, isTransactionUnsupported } from './contention.ts';
import { databaseOf } from './database.ts';
import { messageOf } from './errors.ts';
import { checkInstalled } from './installed.ts';
import type { Database, KyselyLike } from './kysely.ts';
import type { LedgerRow } from './ledger_row.ts';
import { modernizeLedger } from './old_ledger.ts';
import { checkPlan, checksumOf } from './plan_data.ts';
import { whetherFree } from './postgres.ts';
import { record } from './recorder.ts';
import { Recovery } from './recovery.ts';
import type { BootstrapResult } from './result.ts';
import { TAKES_NONE } from './run.ts';
import { parseConfig, type Settings, strategyOf } from './settings.ts';
import { holderIn, type Work, workFor } from './work.ts';

/**
 * Installs a schema exactly once, however many callers start at the same moment, and resolves when
 * it is there: whole, committed and visible to the caller. Sends one statement, a read, where it
 * is installed already. A caller that dies half-way leaves nothing to repair.
 *
 * Two callers race for a row in the ledger table; the one that inserts it runs `ddl`, in one
 * transaction with the row wherever the driver has transactions. The others wait, holding nothing.
 * `ddl` may be called more than once: with a batch by each caller that finds nothing, with `onDrift`
 * on each cold start, and again where a race, or what looks like one, has rolled it back. What it does
 * outside the database is not undone.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { bootstrapSchema } from '@arraypress/db-migrate';
 *
 * interface Database {
 *   users: { id: number; email: string };
 * }
 *
 * export async function ready(db: Kysely<Database>): Promise<void> {
 *   await bootstrapSchema(db, {
 *     version: '0001_initial',
 *     ddl: async (db) => {
 *       await db.schema.createTable('users')
 *         .addColumn('id', 'integer', (column) => column.primaryKey())
 *         .addColumn('email', 'text', (column) => column.notNull().unique())
 *         .execute();
 *     },
 *   });
 * }
 * ```
 *
 * @param db The caller's Kysely instance, not a transaction of it.
 * @param config What to install, and how.
 * @returns What the call came to.
 * @throws {TypeError} A field of the configuration, or `db`, is missing, unknown or of the wrong
 * type; no statement was sent. Or the driver of `db`, or `batch`, keeps the rows of raw SQL to itself.
 * @throws {RangeError} A field is out of range; no statement was sent.
 * @throws {WaitTimeoutError} Another caller was still installing, or the database was busy or had
 * not answered, after `waitTimeoutMs`.
 * @throws {LeaseLostError} This caller's claim ran out while its DDL was running.
 * @throws {TransactionAbortedError} The DDL caught the error of a statement that failed.
 * @throws {StatementRefusedError} The DDL holds a statement that cannot be part of one unit, or
 * that was not awaited or executed.
 * @throws {DdlStalledError} The DDL had not returned after `waitTimeoutMs`, and had issued no
 * statement through the instance it was given, or was being recorded.
 * @throws {ForeignTableError} The table named by `marker` belongs to another tool.
 * @throws {NotRecordableError} A batch or `onDrift` needs DDL that can be recorded.
 * @throws {NoUpgradePathError} The database is at a version that `upgrades` does not know, or past
 * one that came into the line later.
 * @throws {NewerSchemaError} The database is at a later version, and `onNewer` is `'error'`.
 * @throws {DriftError} The DDL was edited without a new version, and `onDrift` is `'error'`.
 * @throws The reason of `signal`; the error of the DDL, unchanged; any other error of the driver.
 */
export async function bootstrapSchema<K extends KyselyLike>(
  db: K,
  config: BootstrapConfig<NoInfer<K>>,
): Promise<BootstrapResult> {
  return await bootstrap(db, parseConfig(config));
}

/** As {@linkcode bootstrapSchema}, for whoever tells callers of each other's failures. */
export async function bootstrap(
  db: unknown,
  settings: Settings,
  hooks: DdlHooks = {},
): Promise<BootstrapResult> {
  return await new Bootstrap(databaseOf(db), settings, hooks).run();
}

class Bootstrap {
  readonly #call: Call;
  readonly #settings: Settings;
  readonly #recovery: Recovery;
  #strategy: Strategy;
  #isLedgerMissing: boolean;
  #seen: readonly LedgerRow[] = [];
  #work: Work | undefined;

  constructor(db: Database, settings: Settings, hooks: DdlHooks) {
    this.#settings = settings;
    this.#strategy = strategyOf(settings);
    this.#isLedgerMissing = settings.assumeFresh;
    const timeout = () =>
      timeoutError(this.#call, holderIn(settings, this.#seen), this.#recovery.lastContention);
    this.#call = callOn(db, settings, this.#strategy, hooks, timeout);
    this.#recovery = new Recovery(this.#call);
  }

  async run(): Promise<BootstrapResult> {
    const { patience, settings, dialect } = this.#call;
    patience.check();
    for (const plan of settings.plans) await checkPlan(plan, dialect, settings.schema);
    if (settings.onDrift !== 'ignore') {
      const ddl = await watchDdl(
        this.#call,
        () => record(this.#call.db, [settings.ddl], this.#call),
      );
      this.#call.checksum = await checksumOf(ddl.map(({ sql }) => sql), dialect);
    }
    let isOutdated = false;
    for (let isFirst = true;; isFirst = false) {
      patience.check();
      try {
        if (isOutdated) {
          this.#call.isModern = await patience.race(modernizeLedger(this.#call));
          isOutdated = false;
          if (!this.#call.isModern) await patience.pause();
        }
        const isAssumed = isFirst && settings.assumeFresh;
        if (!isAssumed) this.#seen = await patience.race(this.#probe());
        // Before this call has tried anything, so by somebody else.
        const wasThere = isAssumed || this.#target !== undefined;
        const isPointless = this.#target || holderIn(this.#settings, this.#seen);
        const found = isPointless ? this.#seen : await this.#attempt();
        if (found) {
          this.#seen = found;
          this.#recovery.lastContention = undefined;
        }
        if (this.#target) return this.#installed(this.#target, isFirst && wasThere);
        // It was not fresh, and nobody has looked yet at what it is.
        if (isAssumed) continue;
      } catch (error) {
        const next = this.#recovery.after(error, this.#strategy);
        if (next === 'modernize') isOutdated = true;
        if (next !== 'pause') continue;
      }
      if (settings.onContention === 'return') return this.#result('pending');
      await patience.pause();
    }
  }

  get #target(): LedgerRow | undefined {
    return this.#seen.find(({ name, installed }) => installed && name === this.#settings.version);
  }

  /** The result for a version that is there: put there by this call, or by another one. */
  #installed(target: LedgerRow, isAtFirstLook: boolean): BootstrapResult {
    if (this.#call.owners.has(target.owner)) {
      this.#call.log('installed');
      const { from, steps } = this.#work!;
      if (from === undefined) return this.#result('installed');
      return { ...this.#result('upgraded'), from, steps };
    }
    checkInstalled(this.#call, target, this.#seen);
    return this.#result(isAtFirstLook ? 'already-installed' : 'waited');
  }

  /**
   * One statement where the ledger is there. A missing table is an answer, not a failure. Once another
   * caller was met it looks at the lock, too, so as not to try in vain; but a lease runs beside others.
   */
  async #probe(isToLook = true): Promise<LedgerRow[]> {
    const { handle, dialect, ledger, hasMetContention, useAdvisoryLock } = this.#call;
    const isWorthIt = hasMetContention && useAdvisoryLock && this.#strategy !== 'lease' && isToLook;
    const look = isWorthIt ? whetherFree(this.#call) : undefined;
    this.#call.isFree = true;
    try {
      const isNew = this.#isLedgerMissing && dialect === 'postgres';
      if (isNew) {
        const { rows: [first] } = await handle.executeQuery(ledger.table.exists(look));
        this.#call.isFree = first?.free !== false;
        if (!first?.found) return [];
      }
      // Whoever has made it is through, and 50 callers who go through all locks keep a server busy.
      const rows = await readRows(this.#call, handle, ledger, isNew ? undefined : look);
      this.#isLedgerMissing = false;
      return rows;
    } catch (error) {
      // It may be the look, which is for politeness only, that this role has no right to.
      if (look && isForbidden(error)) return await this.#probe(false);
      if (!isMissingTable(error)) throw error;
      this.#isLedgerMissing = true;
      return [];
    }
  }

  /** Resolves with what the try has read; undefined if there was none, as it would be in vain. */
  async #attempt(): Promise<readonly LedgerRow[] | undefined> {
    const isAuto = this.#settings.strategy === 'auto';
    // Before the first try: after one it is a lease that was fallen back on.
    if (isAuto && this.#strategy === 'lease' && !this.#work) {
      this.#call.log(
        `a lease is used, as ${TAKES_NONE}; if it uses the instance it was given, set ` +
          `strategy: 'transaction'`,
      );
    }
    const work = this.#work = workFor(this.#call, this.#seen);
    if (!this.#call.isFree) return undefined;
    if (this.#strategy === 'batch') {
      return await attemptBatch(this.#call, work, this.#isLedgerMissing, this.#seen);
    }
    try {
      return await new Attempt(this.#call, this.#strategy, work).run(this.#isLedgerMissing);
    } catch (error) {
      if (!isAuto || this.#call.hasBegun || !isTransactionUnsupported(error)) throw error;
      this.#strategy = 'lease';
      this.#call.log(
        `a lease is used, as there are no transactions (${messageOf(error)}); a batch, which on ` +
          `D1 is d1Batch(env.DB), would make the install atomic`,
      );
      return await this.#attempt();
    }
  }

  #result(outcome: BootstrapResult['outcome']): BootstrapResult {
    const installed = outcome === 'installed' || outcome === 'upgraded';
    const { version } = this.#settings;
    const durationMs = this.#call.patience.elapsedMs;
    const strategy = this.#strategy;
    return { installed, wonClaim: installed, version, outcome, strategy, durationMs };
  }
}
