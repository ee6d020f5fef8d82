/**
 * What only Postgres needs: politeness towards the pool and the server's log, and schemas.
 *
 * @module
 */

import type { Call } from './call.ts';
import { type CompiledQuery, type Database, type Handle, plain } from './kysely.ts';
import type { BatchStatement } from './recorder.ts';
import { quote, quoted } from './sql.ts';

// How long a statement of ours may queue behind another transaction with a connection in hand.
const LOCK_TIMEOUT_MS = 200;

/** What {@linkcode beginPolitely} found. */
export interface Session {
  /** False if another caller is installing: end the transaction, and wait outside. */
  readonly isLocked: boolean;
  /**
   * A column for a `select` of ours that takes our `lock_timeout` back, so that the caller's DDL
   * runs under the caller's own.
   */
  readonly restore: string;
}

/**
 * One round trip at the start of a transaction. The advisory lock makes losers wait outside instead
 * of queueing in the database, each with a connection in hand: measured, ten of them starve a pool
 * of ten. It is never the guard, which is the claim's row: CockroachDB has only a stub of it and
 * Hyperdrive none. Settings are local to the transaction, since poolers hand the session on.
 */
export async function beginPolitely(call: Call, trx: Database): Promise<Session> {
  const { schema, leaseMs } = call.settings;
  const columns = [
    `current_setting('lock_timeout') as timeout`,
    `set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true) as ours`,
    // So that a client that vanished without a word does not hold the claim for hours.
    `set_config('idle_in_transaction_session_timeout', '${Math.ceil(leaseMs)}', true) as idle`,
  ];
  if (schema !== undefined) columns.push(`${ahead(schema)} as path`);
  if (call.useAdvisoryLock) {
    columns.push(`pg_try_advisory_xact_lock(${lockKey(call.ledger.table)}) as locked`);
  }
  const { rows } = await trx.withoutPlugins().executeQuery(plain(`select ${columns.join(', ')}`));
  const timeout = quoted(String(rows[0]?.timeout));
  return {
    isLocked: rows[0]?.locked !== false,
    restore: `, set_config('lock_timeout', ${timeout}, true) as restored`,
  };
}

/** Creates a schema if it is missing. */
export function createSchema(schema: string): CompiledQuery {
  return plain(`create schema if not exists ${quote(schema)}`);
}

/** Looks whether a schema is missing: "if not exists" needs the right to create one even so. */
export async function isSchemaMissing(handle: Handle, schema: string): Promise<boolean> {
  const sql = `select to_regnamespace(${quoted(quote(schema))}) as found`;
  const { rows } = await handle.executeQuery(plain(sql));
  return !rows[0]?.found;
}

/**
 * What a batch begins with. It holds no conversation, so it cannot try a lock and leave; but it
 * need not queue behind another caller with a connection in hand for long, nor hold the claim for
 * hours where its client vanished between two requests.
 */
export function batchPrologue(leaseMs: number): BatchStatement[] {
  const idle = `set local idle_in_transaction_session_timeout = ${Math.ceil(leaseMs)}`;
  return [`set local lock_timeout = ${LOCK_TIMEOUT_MS}`, idle].map((sql) => plain(sql));
}

/** What stands between our statements of a batch and the DDL. */
export function batchEpilogue(schema: string | undefined): BatchStatement[] {
  const path = schema === undefined ? [] : [`select ${ahead(schema)}`];
  return ['set local lock_timeout to default', ...path].map((sql) => plain(sql));
}

/** Puts a schema ahead of the search path, until the transaction ends. */
function ahead(schema: string): string {
  const path = `${quoted(`${quote(schema)}, `)} || current_setting('search_path')`;
  return `set_config('search_path', ${path}, true)`;
}

/** Two 32-bit numbers for a ledger: the library's own, and an FNV-1a hash of the table's name. */
function lockKey(table: { schema?: string; name: string }): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(`${table.schema ?? ''}.${table.name}`)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return `${0x64626d67}, ${hash | 0}`;
}
