/**
 * One process of {@link CallerProcess}: takes orders from stdin and reports on stdout.
 *
 * @module
 */

import { writeSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';

import { type AtomicBatch, libsqlBatch } from '../../mod.ts';
import { schemaAgain } from '../batch/ddl.ts';
import type { Engine } from '../engines/engine.ts';
import { createTable, schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Db, type Settled } from './call.ts';
import type { Order, Report } from './caller_messages.ts';

let caller: Caller | undefined;
let close: () => unknown = () => {};

const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => void obey(JSON.parse(line)));
orders.on('close', () => process.exit());
report({ kind: 'ready' });

async function obey(order: Order): Promise<void> {
  switch (order.kind) {
    case 'open':
      caller = await open(order);
      return report({ kind: 'opened' });
    case 'call':
      return report({ kind: 'settled', settled: await call(order) });
    case 'close':
      await close();
      return report({ kind: 'closed' });
  }
}

async function open(
  { engine, address, busyTimeoutMs = 0 }: Extract<Order, { kind: 'open' }>,
): Promise<Caller> {
  const db = await (await engineOf(engine)).open!(address, { busyTimeoutMs });
  close = () => db.destroy();
  if (engine !== 'libsql-file') return { db };
  const { createClient } = await import('@libsql/client');
  const client = createClient({ url: `file:${address}`, timeout: busyTimeoutMs });
  close = async () => {
    client.close();
    await db.destroy();
  };
  return { db, batch: libsqlBatch(client) as AtomicBatch };
}

// Only the driver that is needed: loading all of them takes longer than a race.
async function engineOf(name: string): Promise<Engine> {
  if (name === 'postgres') return (await import('../engines/postgres.ts')).pg;
  const { libsqlFile, libsqlHttp } = await import('../engines/libsql.ts');
  return name === 'libsql-file' ? libsqlFile : libsqlHttp;
}

async function call(order: Extract<Order, { kind: 'call' }>): Promise<Settled> {
  const { strategy, tables, at, leaseMs, waitTimeoutMs, isIdempotent, isHeld } = order;
  if (at !== undefined) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(at - Date.now(), 0)));
  }
  const { db, batch } = caller!;
  return await callAndUse(strategy === 'batch' && batch ? { db, batch } : { db }, {
    strategy,
    tables,
    ddl: isHeld ? hold : isIdempotent ? schemaAgain(tables) : schemaOf(tables),
    ...(leaseMs && { leaseMs }),
    ...(waitTimeoutMs && { waitTimeoutMs }),
  });
}

async function hold(db: Db): Promise<void> {
  await createTable(db, 1);
  report({ kind: 'inside' });
  await new Promise((resolve) => setTimeout(resolve, 600_000));
}

// Synchronous, so that a report is out before anything that comes after it.
function report(message: Report): void {
  writeSync(1, JSON.stringify(message) + '\n');
}
