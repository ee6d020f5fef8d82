/**
 * One process of the tests.
 *
 * @module
 */

import process from 'node:process';
import { type Kysely, sql } from 'kysely';

import { bootstrapSchema } from '../../mod.ts';
import { claimThenDdl } from '../../scripts/claim_then_ddl.ts';
import { block, report as write, takeOrders } from '../support/orders.ts';
import { schemaOf, tableName } from '../support/schema.ts';
import { openSqlite } from '../support/sqlite.ts';
import type { CallOrder, Halt, OpenOrder, Order, Report, Settled } from './messages.ts';

const VERSION = '0001_initial';

/** How long a reader holds its lock, and how long it rests on average. */
const HOLD_MS = 2;
const PAUSE_MS = 20;

// deno-lint-ignore no-explicit-any
let db: Kysely<any> | undefined;
let onStatement: ((sql: string) => void) | undefined;
let isReading = false;
let ward: number | null = null;

const report: (message: Report) => void = write;
takeOrders(obey, leave);

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'open':
      db = open(order);
      return report({ kind: 'opened' });
    case 'call':
      return report(await call(order));
    case 'read':
      return await read();
    case 'rest':
      isReading = false;
      return;
    case 'close':
      await db?.destroy();
      db = undefined;
      return report({ kind: 'closed' });
    case 'guard':
      ward = order.pid;
      return report({ kind: 'guarding' });
  }
}

// deno-lint-ignore no-explicit-any
function open({ path, busyTimeoutMs, readOnly }: OpenOrder): Kysely<any> {
  return openSqlite(path, {
    busyTimeoutMs,
    readOnly,
    onStatement: (sql) => onStatement?.(sql),
  });
}

async function call(order: CallOrder): Promise<Settled> {
  const log: string[] = [];
  let statements = 0;
  let hasHalted = false;
  let ddlRuns = 0;
  let ddlAt: number | undefined;
  onStatement = (sql) => {
    statements++;
    if (order.isVerbose) report({ kind: 'statement', index: statements, sql });
    const { beforeStatement, beforeSql } = order.halt ?? {};
    haltIf(beforeStatement === statements);
    haltIf(beforeSql !== undefined && sql.startsWith(beforeSql));
  };
  const haltIf = (isHere: boolean) => {
    if (!isHere || hasHalted) return;
    hasHalted = true;
    halt(order.halt!);
  };
  const run = order.isIdempotent
    ? idempotentSchemaOf(order, (n) => haltIf(order.halt?.afterTable === n))
    : schemaOf(order.tables);
  // deno-lint-ignore no-explicit-any
  const ddl = async (db: Kysely<any>) => {
    ddlRuns++;
    ddlAt = Date.now();
    await run(db);
  };

  if (order.at !== undefined) await rest(Math.max(order.at - Date.now(), 0));
  if (order.isVerbose) report({ kind: 'called' });
  const calledAt = Date.now();
  let ended: Pick<Settled, 'installed' | 'outcome' | 'error'>;
  let unusable: Settled['unusable'] = { count: 0 };
  try {
    ended = await bootstrap(order, ddl, log);
    onStatement = undefined;
    // How many statements a lease takes depends on how often it was renewed.
    haltIf(order.halt?.beforeStatement !== undefined);
    // At once: whatever happens between the call and this read would hide that it came too early.
    unusable = await unusableTables(order.tables);
  } catch (error) {
    const { name, message } = error as Error;
    ended = { installed: false, outcome: 'threw', error: { name, message } };
  }
  onStatement = undefined;
  const durationMs = Date.now() - calledAt;
  const counts = { statements, ddlRuns, ddlAt, durationMs };
  return { kind: 'settled', calledAt, ...ended, ...counts, unusable, log };
}

async function bootstrap(
  { protocol, strategy, leaseMs }: CallOrder,
  // deno-lint-ignore no-explicit-any
  ddl: (db: Kysely<any>) => Promise<void>,
  log: string[],
): Promise<Pick<Settled, 'installed' | 'outcome'>> {
  if (protocol === 'claim-then-ddl') {
    const { installed } = await claimThenDdl(db!, { version: VERSION, ddl });
    return { installed, outcome: installed ? 'installed' : 'returned' };
  }
  const logger = {
    log: (message: string) => void log.push(message),
    error: (message: string) => void log.push(message),
  };
  const { installed, outcome } = await bootstrapSchema(db!, {
    version: VERSION,
    ddl,
    logger,
    strategy,
    leaseMs,
  });
  return { installed, outcome };
}

function idempotentSchemaOf({ tables, pauseMs }: CallOrder, onTable: (n: number) => void) {
  // deno-lint-ignore no-explicit-any
  return async (db: Kysely<any>): Promise<void> => {
    for (let n = 1; n <= tables; n++) {
      await db.schema
        .createTable(tableName(n))
        .ifNotExists()
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('slug', 'varchar(200)', (column) => column.notNull().unique())
        .execute();
      if (pauseMs !== undefined) await rest(pauseMs);
      onTable(n);
    }
  };
}

/** Reads every table; one that is merely busy is read again, one that is not there counts. */
async function unusableTables(tables: number): Promise<Settled['unusable']> {
  const unusable: Settled['unusable'] = { count: 0 };
  for (let n = 1; n <= tables; n++) {
    try {
      await db!.selectFrom(tableName(n)).select(['id', 'slug']).execute();
    } catch (error) {
      const { message } = error as Error;
      if (/locked|busy/i.test(message)) {
        await rest(1);
        n--;
        continue;
      }
      unusable.count++;
      unusable.reason ??= message;
    }
  }
  return unusable;
}

/**
 * Takes the shared lock for a moment, again and again. The pauses are such that a COMMIT finds it
 * free about every other time: without any, fifteen readers would let no writer through at all.
 */
async function read(): Promise<void> {
  isReading = true;
  report({ kind: 'reading' });
  let reads = 0;
  while (isReading) {
    try {
      await db!.transaction().execute(async (trx) => {
        await sql`select count(*) from sqlite_master`.execute(trx);
        await rest(HOLD_MS);
      });
      reads++;
    } catch {
      // Busy: a caller is committing at this moment.
    }
    await rest(Math.random() * 2 * PAUSE_MS);
  }
  report({ kind: 'rested', reads });
}

function halt({ by }: Halt): void {
  report({ kind: 'halted' });
  if (by === 'stop') process.kill(process.pid, 'SIGSTOP');
  else block();
}

function leave(): void {
  try {
    if (ward !== null) process.kill(ward, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
