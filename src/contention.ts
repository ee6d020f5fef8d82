/**
 * Telling a race from a failure: what the engines and their drivers say when somebody else was
 * faster, or is in the way. Drivers disagree about codes, so texts are looked at too.
 *
 * @module
 */

import { SchemaError } from './errors.ts';

/**
 * - `race`: only a race or an impatient server can cause it, so trying again is always right.
 * - `busy`: somebody else is in the way, or this process is in its own.
 * - `exists`: what a racing `create … if not exists` gets on Postgres, and also a plain mistake.
 */
export type Contention = 'race' | 'busy' | 'exists';

interface Facts {
  readonly codes: ReadonlySet<string>;
  readonly text: string;
  readonly constraint: string;
}

// Errors arrive wrapped: D1 keeps the engine's text in the cause, libSQL its code in a field.
function factsOf(error: unknown): Facts {
  const codes = new Set<string>();
  let text = '';
  let constraint = '';
  for (let at: unknown = error, depth = 0; isObject(at) && depth < 5; at = at.cause, depth++) {
    const fields = isObject(at.fields) ? at.fields : {};
    for (const code of [at.code, at.extendedCode, fields.code]) {
      if (typeof code === 'string') codes.add(code);
    }
    // node:sqlite has one code for everything and the engine's own number beside it.
    if (typeof at.errcode === 'number') codes.add(`SQLITE:${at.errcode & 0xff}`);
    text += ` ${String(at.message ?? '')}`;
    constraint ||= String(at.constraint ?? at.constraint_name ?? fields.constraint ?? '');
  }
  return { codes, text, constraint };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function hasAny(codes: ReadonlySet<string>, wanted: readonly string[]): boolean {
  return wanted.some((code) => codes.has(code));
}

/** What kind of contention an error reports; undefined for any other failure. */
export function contentionOf(error: unknown): Contention | undefined {
  // It may quote such an error, or have one as its cause, and is final all the same.
  if (error instanceof SchemaError) return undefined;
  const facts = factsOf(error);
  const { codes, text } = facts;
  // Serialization failure, deadlock; a concurrent update of a Postgres catalogue.
  if (hasAny(codes, ['40001', '40P01'])) return 'race';
  if (codes.has('XX000') && /tuple concurrently/.test(text)) return 'race';
  if (codes.has('23505') && /^pg_|"pg_/.test(facts.constraint || text)) return 'race';
  // sqld rolls a transaction back after 5 s if another caller wants the write lock.
  if (/TRANSACTION_TIMEOUT|STREAM_EXPIRED|LibSqlTxTimeout/.test([...codes, text].join(' '))) {
    return 'race';
  }
  // A prepared "select *" of a ledger that another caller has given its new columns meanwhile.
  if (codes.has('0A000') && /cached plan/.test(text)) return 'busy';
  if (codes.has('55P03') || hasAny(codes, ['SQLITE:5', 'SQLITE:6'])) return 'busy';
  if ([...codes].some((code) => /^SQLITE_(BUSY|LOCKED)/.test(code))) return 'busy';
  if (/database( table| schema)? is (locked|busy)|SQLITE_(BUSY|LOCKED)/.test(text)) return 'busy';
  // What Kysely before 0.28.7 makes of a `begin` that libSQL refuses as busy: it rolls back.
  if (/No transaction to rollback/.test(text)) return 'busy';
  // What D1's documentation says to try again, where that is harmless; here it always is.
  // https://developers.cloudflare.com/d1/observability/debug-d1/
  if (
    /Network connection lost|object to be reset|code was updated|D1 DB is overloaded/.test(text)
  ) {
    return 'busy';
  }
  if (hasAny(codes, ['42P06', '42P07', '42710', '42701', '42723'])) return 'exists';
  if (/duplicate column name/.test(text)) return 'exists';
  return undefined;
}

/** True if a table (or on Postgres its schema) is not there. */
export function isMissingTable(error: unknown): boolean {
  const { codes, text } = factsOf(error);
  return hasAny(codes, ['42P01', '3F000']) || /no such table/.test(text);
}

/** True if a column is not there, as in a ledger of an older release or another tool's table. */
export function isMissingColumn(error: unknown): boolean {
  const { codes, text } = factsOf(error);
  return codes.has('42703') || /no such column|has no column named/.test(text);
}

/** True if a row with the same key is in `table` already. */
export function isUniqueViolation(error: unknown, table: string): boolean {
  const { codes, text, constraint } = factsOf(error);
  if (text.includes(`UNIQUE constraint failed: ${table}.`)) return true;
  // Postgres cuts a name of its own making to 63 bytes.
  const names = [`${table.slice(0, 58)}_pkey`, `${table.slice(0, 50)}_previous_key`];
  return codes.has('23505') &&
    names.some((name) => constraint === name || text.includes(`"${name}"`));
}

/** True if Postgres says that a statement failed earlier in this transaction. */
export function isAbortedTransaction(error: unknown): boolean {
  return factsOf(error).codes.has('25P02');
}

/** True if a rollback failed since the engine had ended the transaction itself. */
export function isTransactionGone(error: unknown): boolean {
  return /no transaction is active/.test(factsOf(error).text);
}

/** True if a driver says that it has no transactions, rather than that one failed. */
export function isTransactionUnsupported(error: unknown): boolean {
  const { text } = factsOf(error);
  return /transactions?\b.*\b(not|n't|un)\s?(be |yet )?support|(not|n't) support.*\btransactions?/i
    .test(text) || /use the state\.storage\.transaction/.test(text);
}

/** True if advisory locks are not to be had, as through Hyperdrive. */
export function isAdvisoryLockUnsupported(error: unknown): boolean {
  const { text } = factsOf(error);
  return /advisory/i.test(text);
}
