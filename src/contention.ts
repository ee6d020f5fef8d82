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
type Contention = 'race' | 'busy' | 'exists';

/**
 * All that an error says, in one text: its codes in angle brackets; for each of its causes the table
 * that it names in curly ones, the constraint in square ones, the message. Errors arrive wrapped: D1
 * keeps the engine's text in the cause, libSQL its code in a field, Sequelize and Prisma have the
 * driver's own error in places of theirs.
 */
function said(error: unknown): string {
  let codes = '';
  let text = '';
  for (let at: unknown = error, depth = 0; isObject(at) && depth < 5; at = innerOf(at), depth++) {
    const fields = isObject(at.fields) ? at.fields : {};
    // node:sqlite has one code for everything and the engine's own number beside it.
    const number = typeof at.errcode === 'number' && `SQLITE:${at.errcode & 0xff}`;
    // Bun's own client has the code of the engine there, and in `code` one of Bun's.
    const { code, originalCode, errno, routine } = at;
    for (const one of [code, originalCode, fields.code, errno, number, routine]) {
      if (typeof one === 'string') codes += `<${one}>`;
    }
    const named = (field: string) => at[field] ?? at[`${field}_name`] ?? fields[field] ?? '';
    const message = ends(`${at.message ?? at.originalMessage ?? ''}`);
    text += `{${named('schema')}.${named('table')}} [${named('constraint')}] ${message} `;
  }
  return codes + text;
}

/**
 * The beginning and the end of a message, which may quote a whole statement: the signs below take the
 * square of its length, where it is made for that.
 */
function ends(message: string): string {
  if (message.length <= 10_000) return message;
  return `${message.slice(0, 5_000)} ${message.slice(-5_000)}`;
}

function innerOf({ cause, original, meta }: Record<string, unknown>): unknown {
  return cause ?? original ?? (isObject(meta) ? meta.driverAdapterError : undefined);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** Apart from what else is busy: a statement that met a lock has certainly had no effect. */
const LOCKED =
  /<55P03>|<SQLITE:[56]>|SQLITE_(BUSY|LOCKED)|database( table| schema)? is (locked|busy)/;

const SIGNS: readonly (readonly [Contention, RegExp])[] = [
  // Serialization failure, deadlock; a concurrent update of a Postgres catalogue.
  ['race', /<(40001|40P01)>|<XX000>.*tuple concurrently/s],
  // A caller's own index may be called alike, but not lie there.
  ['race', /<23505>.*\{(pg_catalog)?\.[^{]*["[]pg_\w+_index["\]]/s],
  // sqld rolls a transaction back after 5 s if another caller wants the write lock.
  ['race', /TRANSACTION_TIMEOUT|STREAM_EXPIRED|LibSqlTxTimeout/],
  ['busy', LOCKED],
  // The only connection of a libSQL client is in a transaction; the start of a WAL was lost to others.
  ['busy', /TRANSACTION_ACTIVE|<SQLITE:15>|SQLITE_PROTOCOL/],
  // A prepared probe of a ledger that another caller has given its new columns meanwhile. What
  // Kysely before 0.28.7 makes of a `begin` that libSQL refuses as busy: it rolls back.
  ['busy', /<0A000>.*(cached plan|RevalidateCachedQuery)|No transaction to rollback/s],
  // What D1's documentation says to try again, where that is harmless; here it always is.
  // https://developers.cloudflare.com/d1/observability/debug-d1/
  ['busy', /Network connection lost|object to be reset|code was updated|D1 DB is overloaded/],
  ['busy', /transient issue on remote node/],
  ['exists', /<(42P06|42P07|42710|42701|42723)>|duplicate column name/],
];

// Codes that tell all: the text beside them may be that of a trigger of the caller's.
const FINAL = /<((?!0A000|23505)(\d\w{4}|P0\w{3})>|SQLITE(_CONSTRAINT|:19>))/;

/** What kind of contention an error reports; undefined for any other failure. */
export function contentionOf(error: unknown): Contention | undefined {
  // It may quote such an error, or have one as its cause, and is final all the same.
  if (error instanceof SchemaError) return undefined;
  const all = said(error);
  const text = FINAL.test(all) ? all.slice(0, all.indexOf('{')) : all;
  return SIGNS.find(([, sign]) => sign.test(text))?.[0];
}

function says(sign: RegExp): (error: unknown) => boolean {
  return (error) => sign.test(said(error));
}

/** True if a statement was refused without any effect: by a lock, or as this caller may only read. */
export const isRefused = says(
  new RegExp(`${LOCKED.source}|<25006>|<42501>|readonly database`),
);

/** True if Postgres says that this role has no right to something. */
export const isForbidden = says(/<42501>/);

/** True if a table is not there. */
export const isMissingTable = says(/<42P01>|no such table/);

/** True if a column is not there, as in a ledger of an older release or another tool's table. */
export const isMissingColumn = says(/<42703>|no such column|has no column named/);

/** True if Postgres says that a statement failed earlier in this transaction. */
export const isAbortedTransaction = says(/<25P02>/);

/** True if there is no transaction any more, since the engine has ended it itself. */
export const isTransactionGone = says(/no transaction is active|TRANSACTION_CLOSED/);

/** True if a driver says that it has no transactions, rather than that one failed. */
export const isTransactionUnsupported = says(
  /transactions?\b.*(\bnot|n't|\bun)\s?(be |yet |currently )?support|(not|n't) support.*\btransactions?|state\.storage\.transaction/i,
);

/** True if advisory locks are not to be had, as through Hyperdrive, or what their key is made with. */
export function isAdvisoryLockUnsupported(error: unknown): boolean {
  // Some drivers quote the whole statement.
  return contentionOf(error) === undefined && /advisory.?(xact.?)?lock|hashtext/i.test(said(error));
}

/**
 * True if a row with the same key is in `table` already. The names of its keys may be those of a table
 * that it was renamed from, or have a number where another table had them first.
 */
export function isUniqueViolation(error: unknown, table: string): boolean {
  const text = said(error).toLowerCase();
  const name = table.toLowerCase();
  if (text.includes(`unique constraint failed: ${name}.`)) return true;
  // Postgres cuts a name of its own making to 63 bytes.
  const keys = [`${name.slice(0, 58)}_pkey`, `${name.slice(0, 50)}_previous_key`];
  const isNamed = keys.some((key) => text.includes(`[${key}`) || text.includes(`"${key}`));
  return text.includes('<23505>') && (isNamed || text.includes(`.${name}}`));
}
