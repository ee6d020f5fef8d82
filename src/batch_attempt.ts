/**
 * One try to install through an atomic batch: ledger row and DDL in one call, all or nothing.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import { type Call, readRows, watchDdl } from './call.ts';
import {
  contentionOf,
  isAdvisoryLockUnsupported,
  isMissingColumn,
  isMissingTable,
  isRefused,
  isUniqueViolation,
} from './contention.ts';
import { StatementRefusedError } from './errors.ts';
import type { LedgerRow } from './ledger_row.ts';
import { creation, politely } from './postgres.ts';
import { record } from './recorder.ts';
import { checksumToKeep, deadOwners, rowsInTheWay, type Work } from './work.ts';

/** Makes the try, on what the probe found. Resolves with its own row, or with what is there instead. */
export async function attemptBatch(
  call: Call,
  work: Work,
  isLedgerMissing: boolean,
  seen: readonly LedgerRow[],
): Promise<LedgerRow[]> {
  const { ledger, handle, patience, settings: { batch, leaseMs, version } } = call;
  const owner = crypto.randomUUID();
  call.owners.add(owner);
  patience.check();
  const ddl = await watchDdl(call, async () => {
    const statements = await record(call.db, work.ddl, call);
    for (const statement of statements) checkLimits(call, statement);
    return statements;
  });
  call.hasBegun = true;
  const checksum = await checksumToKeep(call, work, ddl.map(({ sql }) => sql));
  const ours: BatchStatement[] = isLedgerMissing ? await patience.race(creation(call, handle)) : [];
  const dead = deadOwners(work.entries, seen);
  if (dead.length > 0) ours.push(ledger.discard(dead, owner));
  // No "on conflict": another caller's row must fail this statement, and so the whole batch.
  ours.push(ledger.install(work.entries, owner, checksum));
  const unit = politely(call, ours, ddl).map(({ sql, parameters }) => ({ sql, parameters }));
  patience.check();
  const sentAt = performance.now();
  const gone = new AbortController();
  const send = async (): Promise<LedgerRow[]> => {
    try {
      await batch!.execute(unit, gone.signal);
      // All of it is committed, so there is nothing to read back.
      return [{ name: version, owner, installed: true, expired: false }];
    } catch (error) {
      if (gone.signal.aborted) throw error;
      return await settle(call, work, ddl, error);
    }
  };
  try {
    return await patience.race(
      send(),
      (end) => performance.now() - sentAt >= leaseMs ? end : undefined,
      leaseMs / 10,
    );
  } finally {
    gone.abort();
  }
}

function checkLimits({ settings: { batch }, details }: Call, statement: BatchStatement): void {
  const { statementBytes, parameters: most = Infinity } = batch?.limits ?? {};
  const { sql, parameters } = statement;
  const check = (size: number, unit: string, limit: number) => {
    if (size <= limit) return;
    const reason = `it has ${size} ${unit}, and the database takes ${limit} at most. Split it`;
    throw new StatementRefusedError(sql, reason, details);
  };
  if (statementBytes) check(new TextEncoder().encode(sql).length, 'bytes', statementBytes);
  check(parameters.length, 'parameters', most);
}

/** What a failed batch comes to: lost to another caller, or committed with its answer lost. */
async function settle(
  call: Call,
  work: Work,
  ddl: readonly BatchStatement[],
  error: unknown,
): Promise<LedgerRow[]> {
  const { settings: { version }, ledger: { table } } = call;
  const contention = contentionOf(error);
  // It met a lock, so it has had no effect that could be read.
  if (contention === 'busy' && isRefused(error)) throw error;
  let isMissing = false;
  let isUnreachable = false;
  const rows = await readRows(call).catch((second) => {
    isMissing = isMissingTable(second);
    isUnreachable = !isMissing && !isMissingColumn(second);
    if (isUnreachable) call.logError('the ledger could not be read afterwards', second);
    return [];
  });
  const met = rowsInTheWay(work.entries, rows);
  const target = rows.find(({ name, installed }) => installed && name === version);
  const isDuplicate = isUniqueViolation(error, table.name);
  // A row that was in the way may be gone by now; but DDL may write into such a table, too.
  const isRaced = isDuplicate
    ? met.length > 0 ||
      !ddl.some(({ sql }) => sql.toLowerCase().includes(table.name.toLowerCase()))
    : contention !== undefined && met.some(({ expired }) => !expired);
  if (isRaced) return rows;
  if (target) {
    if (!call.owners.has(target.owner)) {
      call.logError('a batch that came too late had failed by itself', error);
    }
    return rows;
  }
  // "Already exists" is what a racing ledger gets, and what DDL that clashes gets for good. A
  // column may be missing in the ledger of an older release; this one's has them all.
  const isOurs = (contention !== undefined && contention !== 'exists') || isUnreachable ||
    (isMissingColumn(error) && !isMissing && !call.isModern) ||
    (isAdvisoryLockUnsupported(error) && call.useAdvisoryLock);
  if (!isOurs) call.ddlErrors.add(error);
  throw error;
}
