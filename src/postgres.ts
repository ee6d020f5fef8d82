/**
 * What Postgres needs: politeness towards the pool and the server's log, and schemas. For SQLite
 * statements pass through here as they are.
 *
 * @module
 */

import type { BatchStatement } from './batch.ts';
import type { Call } from './call.ts';
import { type CompiledQuery, type Handle, plain } from './kysely.ts';
import type { ClaimExtras } from './ledger.ts';
import type { LedgerTable } from './ledger_table.ts';
import { escaped, quote } from './sql.ts';

// How long a statement of ours may queue behind another transaction with a connection in hand. Whoever
// queues keeps later ones behind it: measured, a change of a ledger that ten others read all the time
// gets in at the second or third try, and with 25 ms never.
const LOCK_TIMEOUT = '200ms';

// Likewise, where another caller is known to install. Measured with 50 callers of a batch, each 20 ms
// away: those that wait for no time at all come 15 % later, and 200 ms keep a pool of ten from its app.
const SHORT_LOCK_TIMEOUT = '25ms';

/** The library's own number, which is the first half of the key of an advisory lock. */
const LOCK_CLASS = 0x64626d67;

/** Sets it for as long as the transaction lasts, which may be that of one statement. */
const HURRY = hurry(`'${LOCK_TIMEOUT}'`);

// Settings are local to the transaction, since poolers hand the session on. The caller's own
// `lock_timeout`, under which its DDL runs, is kept in one of ours meanwhile. So is its search path:
// a dump sets another one for the whole session, which would not find the ledger from then on.
//
// The advisory lock makes losers wait outside instead of queueing in the database, each with a
// connection in hand: measured, ten of them starve a pool of ten. It is never the guard, which is the
// claim's row: CockroachDB has only a stub of it and Hyperdrive none.
function politeness(call: Call): CompiledQuery {
  const { schema, useAdvisoryLock, settings: { leaseMs } } = call;
  const limit = `case when ${lock(call)} then '${LOCK_TIMEOUT}' else '${SHORT_LOCK_TIMEOUT}' end`;
  const columns = [
    `set_config('db_migrate.search_path', '=' || current_setting('search_path'), true)`,
    `set_config('db_migrate.lock_timeout', current_setting('lock_timeout'), true)`,
    useAdvisoryLock ? `${hurry(limit)} as hurry` : HURRY,
    // So that a client that vanished without a word does not hold the claim for hours. PGlite has
    // none, and what Postgres does then is an endless loop there (measured with 0.5.16).
    `set_config('idle_in_transaction_session_timeout', case when version() like '%wasm%' ` +
    `then '0' else '${Math.ceil(leaseMs)}' end, true)`,
    ...(schema === undefined ? [] : [ahead(schema)]),
  ];
  return plain(`select ${columns.join(', ')}`);
}

// Nothing is kept where `begin` has silently done nothing; our own is over with its statement then.
const THEIRS = `nullif(current_setting('db_migrate.lock_timeout', true), '')`;
const RESTORED =
  `set_config('lock_timeout', coalesce(${THEIRS}, current_setting('lock_timeout')), true)`;

// Likewise; the "=" tells a path that is empty from one that was not kept.
const KEPT_PATH = `current_setting('db_migrate.search_path', true)`;

/** Gives the session its search path back if the DDL has set another: poolers hand on what is set. */
export function pathRestored(schema: string | undefined): string {
  const theirs = `substr(${KEPT_PATH}, 2)`;
  const isOther = `current_setting('search_path') <> ${withAhead(schema, theirs)}`;
  return `case when ${KEPT_PATH} like '=%' and ${isOther} ` +
    `then set_config('search_path', ${theirs}, false) end`;
}

/**
 * What else a claim returns: in which schema the ledger is, since the DDL may set another
 * `search_path`. With its last row it also takes our `lock_timeout` back, which without a transaction
 * around it the claim itself must set. And whether there is one: what `politeness` has kept is there.
 */
export const CLAIM_EXTRAS: ClaimExtras = {
  columns: `, case when name = cast($1 as text)::json -> -1 ->> 0 then ${RESTORED} end, ` +
    `(select nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n ` +
    `on n.oid = c.relnamespace where c.oid = tableoid) as schema, ` +
    `case when ${KEPT_PATH} like '=%' then 1 end as unit`,
  source: `, (select ${HURRY} limit 1) as hurry`,
};

/**
 * A statement that has no transaction around it, and no parameters, on Postgres with a `lock_timeout`
 * of ours: whoever waits for a lock waits with a connection in hand, and others behind it.
 */
export function hurried({ dialect }: Call, query: CompiledQuery): CompiledQuery {
  if (dialect !== 'postgres') return query;
  return plain(`do ${escaped(`begin perform ${HURRY}; ${query.sql}; end`)}`);
}

/**
 * One round trip at the start of a transaction.
 *
 * @returns False if another caller is installing: end the transaction, and wait outside.
 */
export async function beginPolitely(call: Call, handle: Handle): Promise<boolean> {
  const { rows } = await handle.executeQuery(politeness(call));
  // Which is set for whoever has not got the lock, and is answered as Postgres writes it.
  return rows[0]?.hurry !== SHORT_LOCK_TIMEOUT;
}

/**
 * A condition in SQL: nobody is installing in one unit, as far as the advisory lock tells. It is looked
 * at and not tried, as some drivers put a transaction around each query.
 */
export function whetherFree({ ledger }: Call): string {
  return `not exists (select from pg_catalog.pg_locks ` +
    `where locktype = 'advisory' and classid = '${LOCK_CLASS}' ` +
    `and objid = cast(${hashOf(ledger.table)} as oid) and database = ` +
    `(select oid from pg_catalog.pg_database where datname = current_database()))`;
}

/**
 * What makes a ledger that is not there, and its schema if that is missing, too: which is looked at
 * first, as "if not exists" needs the right to create one even so.
 */
export async function creation(call: Call, handle: Handle): Promise<CompiledQuery[]> {
  const { settings: { assumeFresh }, schema, ledger } = call;
  if (schema === undefined) return [ledger.table.create()];
  const look = plain(`select cast(to_regnamespace(${escaped(quote(schema))}) as text) as found`);
  const isThere = !assumeFresh && (await handle.executeQuery(look)).rows[0]?.found;
  if (isThere) return [ledger.table.create()];
  return [plain(`create schema if not exists ${quote(schema)}`), ledger.table.create()];
}

/**
 * A whole batch: our statements and the DDL, with what makes them polite. It holds no conversation,
 * so it cannot try the lock and leave; but without it, it hardly waits for what another caller has.
 * Nor does it hold the claim for hours where its client vanished between two requests.
 */
export function politely(
  call: Call,
  ours: readonly BatchStatement[],
  ddl: readonly BatchStatement[],
): BatchStatement[] {
  if (call.dialect !== 'postgres') return [...ours, ...ddl];
  return [
    politeness(call),
    ...ours,
    plain(`select ${RESTORED}`),
    ...ddl,
    plain(`select ${pathRestored(call.schema)}`),
  ];
}

/** Puts a schema ahead of the search path, until the transaction ends. */
function ahead(schema: string): string {
  const path = withAhead(schema, `current_setting('search_path')`);
  return `set_config('search_path', ${path}, true)`;
}

// The space tells it from what the DDL may set: "set" writes none there.
function withAhead(schema: string | undefined, path: string): string {
  if (schema === undefined) return path;
  return `${escaped(` ${quote(schema)}`)} || coalesce(', ' || nullif(${path}, ''), '')`;
}

/** Tries to lock a ledger until the transaction ends. */
function lock({ ledger }: Call): string {
  return `pg_try_advisory_xact_lock(${LOCK_CLASS}, ${hashOf(ledger.table)})`;
}

/** The second half: a number for where a ledger lies. */
function hashOf({ schema, name }: LedgerTable): string {
  const place = schema === undefined
    ? `coalesce(cast(current_schema() as text), '') || ${escaped(`.${name}`)}`
    : escaped(`${schema}.${name}`);
  return `hashtext(${place})`;
}

function hurry(lockTimeout: string): string {
  return `set_config('lock_timeout', ${lockTimeout}, true)`;
}
