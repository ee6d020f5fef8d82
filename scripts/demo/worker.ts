/**
 * One process of the demo: takes jobs from stdin, reports on stdout, ends when stdin does, so that
 * it does not outlive the demo, however the demo ends.
 *
 * @module
 */

import type { Kysely } from 'kysely';
import { bootstrapSchema } from '../../mod.ts';
import { createTable, tableName } from '../../tests/support/schema.ts';
import { openSqlite } from '../../tests/support/sqlite.ts';
import { claimThenDdl } from '../claim_then_ddl.ts';
import { type Job, type Message, readLines, toLine } from './messages.ts';
import { TABLES } from './database.ts';

const version = '0001_initial';

report({ kind: 'ready' });
for await (const job of readLines<Job>(Deno.stdin.readable)) await runJob(job);

async function runJob(job: Job): Promise<void> {
  const db = openSqlite(job.path, { busyTimeoutMs: job.busyTimeoutMs });
  await rest(job.at - Date.now());
  report({ kind: 'called', at: Date.now() });
  try {
    const { installed, outcome } = await bootstrap(db, job);
    const at = Date.now();
    const error = await lastTableError(db);
    report({ kind: 'settled', at, outcome, installed, error });
  } catch (error) {
    const at = Date.now();
    report({ kind: 'settled', at, outcome: 'threw', installed: false, error: messageOf(error) });
  }
  await db.destroy();
}

// deno-lint-ignore no-explicit-any
async function bootstrap(db: Kysely<any>, { protocol, pauseMs }: Job) {
  const ddl = slowDdl(pauseMs);
  if (protocol === 'bootstrapSchema') return await bootstrapSchema(db, { version, ddl });
  const { installed } = await claimThenDdl(db, { version, ddl });
  return { installed, outcome: installed ? 'installed' : 'returned' };
}

/** The DDL of every scene, telling the demo how far it is. */
function slowDdl(pauseMs: number) {
  // deno-lint-ignore no-explicit-any
  return async (db: Kysely<any>): Promise<void> => {
    report({ kind: 'ddl', statements: 0, at: Date.now() });
    for (let n = 1; n <= TABLES; n++) {
      await rest(pauseMs);
      await createTable(db, n);
      report({ kind: 'ddl', statements: n, at: Date.now() });
    }
  };
}

// deno-lint-ignore no-explicit-any
async function lastTableError(db: Kysely<any>): Promise<string | undefined> {
  try {
    await db.selectFrom(tableName(TABLES)).selectAll().execute();
  } catch (error) {
    return messageOf(error);
  }
}

// Synchronous, so that a report is out before the next statement, and so before any kill after it.
function report(message: Message): void {
  Deno.stdout.writeSync(toLine(message));
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
