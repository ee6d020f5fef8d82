/**
 * One process of {@link CallerProcess}.
 *
 * @module
 */

import { sql } from 'kysely';

import { type AtomicBatch, libsqlBatch, postgresBatch } from '../../mod.ts';
import { marked, schemaAgain } from '../batch/ddl.ts';
import type { Engine } from '../engines/engine.ts';
import { observeBatch } from '../engines/observe.ts';
import { block, report as write, takeOrders } from '../support/orders.ts';
import { createTable, schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Db } from './call.ts';
import type { CallOrder, OpenOrder, Order, Report } from './caller_messages.ts';

let caller: Caller | undefined;
let close: () => unknown = () => {};
let onStatement: () => void = () => {};

const report: (message: Report) => void = write;
takeOrders(obey);

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'open':
      caller = await open(order);
      return report({ kind: 'opened' });
    case 'call':
      return report(await call(order));
    case 'close':
      await close();
      return report({ kind: 'closed' });
  }
}

async function open({ engine, address, busyTimeoutMs = 0, journal }: OpenOrder): Promise<Caller> {
  const options = { busyTimeoutMs, onStatement: () => onStatement() };
  const db = await (await engineOf(engine)).open!(address, options);
  if (journal) await sql.raw(`pragma journal_mode = ${journal}`).execute(db).catch(() => {});
  const { batch, end } = await batchOf(engine, address, busyTimeoutMs);
  close = async () => {
    await end();
    await db.destroy();
  };
  return { db, batch: batch && observeBatch(batch, options) };
}

// Only the driver that is needed: loading all of them takes longer than a race.
async function engineOf(name: OpenOrder['engine']): Promise<Engine> {
  if (name === 'postgres') return (await import('../engines/postgres.ts')).pg;
  if (name === 'sqlite') return (await import('../engines/sqlite.ts')).sqlite;
  const { libsqlFile, libsqlHttp } = await import('../engines/libsql.ts');
  return name === 'libsql-file' ? libsqlFile : libsqlHttp;
}

async function batchOf(
  engine: OpenOrder['engine'],
  address: string,
  timeout: number,
): Promise<{ batch?: AtomicBatch; end: () => unknown }> {
  if (engine === 'postgres') {
    const { default: pg } = await import('pg');
    const pool = new pg.Pool({ connectionString: address });
    return { batch: postgresBatch(pool), end: () => pool.end() };
  }
  if (engine === 'libsql-file') {
    const { createClient } = await import('@libsql/client');
    const client = createClient({ url: `file:${address}`, timeout });
    return { batch: libsqlBatch(client), end: () => client.close() };
  }
  if (engine === 'libsql-http') {
    const { openClient } = await import('../engines/libsql.ts');
    const client = await openClient(address);
    return { batch: libsqlBatch(client), end: () => client.close() };
  }
  return { end: () => {} };
}

async function call(order: CallOrder): Promise<Report> {
  const { strategy, tables, at, leaseMs, waitTimeoutMs, isVerbose, halt } = order;
  if (at !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(at - Date.now(), 0)));
  }
  if (isVerbose) report({ kind: 'called' });
  let statements = 0;
  onStatement = () => {
    const index = ++statements;
    if (isVerbose) report({ kind: 'statement', index });
    if (index === halt?.beforeStatement) stand();
  };
  const { db, batch } = caller!;
  const given = strategy === 'batch' && batch ? { db, batch } : { db };
  const resolved = (outcome: string) => {
    onStatement = () => {};
    if (isVerbose) report({ kind: 'resolved', outcome });
    if (halt) stand();
  };
  const settled = await callAndUse({ ...given, resolved }, {
    strategy,
    tables,
    ddl: ddlOf(order),
    ...(leaseMs && { leaseMs }),
    ...(waitTimeoutMs && { waitTimeoutMs }),
  });
  onStatement = () => {};
  return { kind: 'settled', settled, statements };
}

function ddlOf({ tables, mark, isHeld, isIdempotent }: CallOrder): (db: Db) => Promise<void> {
  if (isHeld) return hold;
  const schema = isIdempotent ? schemaAgain(tables) : schemaOf(tables);
  return mark === undefined ? schema : marked(schema, mark);
}

async function hold(db: Db): Promise<void> {
  await createTable(db, 1);
  report({ kind: 'inside' });
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}

function stand(): void {
  report({ kind: 'halted' });
  block();
}
