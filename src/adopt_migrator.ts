/**
 * Handing over to Kysely's own Migrator.
 *
 * @module
 */

import { contentionOf } from './contention.ts';
import { databaseOf } from './database.ts';
import { messageOf, NotAdoptableError } from './errors.ts';
import { checkFields, type Rule } from './fields.ts';
import { builderOf, type Fluent, type KyselyLike } from './kysely.ts';
import { RULES } from './settings.ts';
import { schemaStatus, STATUS_RULES, type StatusOptions } from './status.ts';
import { patiently } from './wait.ts';

/** What {@linkcode adoptMigrator} takes. */
export interface AdoptOptions extends StatusOptions {
  /** The version that must be installed, whose effects the migrations stand for. */
  readonly version: string;
  /** The names of the migrations to record as executed, in any order: Migrator sorts them. */
  readonly migrations: readonly string[];
}

/** What {@linkcode adoptMigrator} came to. */
export interface AdoptResult {
  /** The migrations that were recorded by this call; those that were there already are not. */
  readonly adopted: readonly string[];
}

const MIGRATIONS = 'kysely_migration';
const LOCK = 'kysely_migration_lock';
const DAY_MS = 86_400_000;

const NAMES: Rule = {
  type: 'object',
  holds: (value: unknown) =>
    Array.isArray(value) && value.length > 0 && new Set(value).size === value.length &&
    value.every((name) => typeof name === 'string' && name !== ''),
  words: 'be a list of one or more distinct names',
  isRequired: true,
};

/**
 * Records migrations as executed in the tables of Kysely's own `Migrator`, as Kysely makes them, so
 * that an app whose first schema was installed by `bootstrapSchema` moves on to `Migrator` without
 * running its first migration again. Harmless to repeat, and to race, with the same list or one that
 * goes on where that ends. It uses the default names of Migrator's tables, and `schema` is its
 * `migrationTableSchema`.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { adoptMigrator } from '@arraypress/db-migrate';
 *
 * export async function handOver(db: Kysely<unknown>): Promise<void> {
 *   await adoptMigrator(db, { version: '0001_initial', migrations: ['0001_initial'] });
 *   // from here on: new Migrator({ db, provider }).migrateToLatest()
 * }
 * ```
 *
 * @param db The caller's Kysely instance.
 * @param options Which version is installed, and the migrations that it stands for.
 * @returns The migrations that were recorded.
 * @throws {NotAdoptableError} The version is not installed, or a later one of its line is, or Migrator
 * cannot run on this database because it cannot be introspected, as D1 cannot. Nothing was changed.
 * @throws {ForeignTableError} The table named by `marker` belongs to another tool, and has rows.
 * @throws {TypeError} `db` or a field of the options is missing, unknown or of the wrong type.
 * @throws {RangeError} A field of the options is out of range.
 */
export async function adoptMigrator(db: KyselyLike, options: AdoptOptions): Promise<AdoptResult> {
  checkFields('options', options, { ...STATUS_RULES, version: RULES.version, migrations: NAMES });
  const { migrations, version, ...status } = options;
  const { marker = 'migrations', schema } = status;
  const details = { marker, schema, version, action: 'hand over' };
  const entries = await patiently(() => schemaStatus(db, status));
  const entry = entries.find((row) => row.version === version);
  if (entry?.state !== 'installed') {
    throw new NotAdoptableError('the version is not installed. Bootstrap it first', details);
  }
  const next = entries.find((row) => row.state === 'installed' && row.previous === version);
  if (next) {
    const found = `the database holds version ${JSON.stringify(next.version)}, which comes after ` +
      'it. Hand that over, with its migrations';
    throw new NotAdoptableError(found, details);
  }
  const database = databaseOf(db);
  const plain = database.withoutPlugins();
  try {
    await patiently(() => plain.introspection.getTables({ withInternalKyselyTables: true }));
  } catch (cause) {
    if (contentionOf(cause) !== undefined) throw cause;
    const found = `Migrator needs to introspect the database: ${messageOf(cause)}. Use 'upgrades'`;
    throw new NotAdoptableError(found, { ...details, cause });
  }
  // With the caller's plugins, as Migrator has them.
  const placed = builderOf(schema ? database.withSchema(schema) : database);
  const run = (builder: Fluent) =>
    patiently(() => builder.execute!() as unknown as Promise<Record<string, unknown>[]>);
  for (const table of tables(placed)) await run(table);
  const ignore = (conflict: Fluent) => conflict.doNothing!();
  await run(
    placed.insertInto!(LOCK).values!({ id: 'migration_lock', is_locked: 0 }).onConflict!(ignore),
  );
  const before = await run(placed.selectFrom!(MIGRATIONS).selectAll!());
  const known = new Map(
    before.map(({ name, timestamp }) => [String(name), Date.parse(String(timestamp)) || 0]),
  );
  // The same for all callers, and long past by any of their clocks.
  const fromMs = (entry.since?.getTime() ?? DAY_MS) - DAY_MS;
  const rows = rowsBetween(known, migrations, Math.min(fromMs, Date.now() - DAY_MS / 2));
  if (rows.length === 0) return { adopted: [] };
  const insert = placed.insertInto!(MIGRATIONS).values!(rows).onConflict!(ignore);
  const made = await run(insert.returning!('name'));
  return { adopted: made.flatMap(({ name }) => typeof name === 'string' ? name : []) };
}

/**
 * Rows for the migrations that are not known yet, from `fromMs` on. Migrator takes them in the order
 * of their time, and demands that of their names, by code units: so each has a time after that of the
 * one before it, and before those of the known ones behind it. Where these leave no room it has the same
 * time, among which Migrator goes by name in the order of a language. None is in the future, where what
 * Migrator runs right afterwards would come before it.
 */
function rowsBetween(
  known: ReadonlyMap<string, number>,
  migrations: readonly string[],
  fromMs: number,
): { name: string; timestamp: string }[] {
  const names = [...new Set([...known.keys(), ...migrations])].sort();
  let next = Date.now();
  const latest = names.toReversed().map((name) =>
    next = Math.min(next - 1, known.get(name) ?? next)
  );
  const rows: { name: string; timestamp: string }[] = [];
  let at = fromMs - 1;
  let floor = 0;
  for (const name of names) {
    floor = Math.max(floor, known.get(name) ?? floor);
    at = Math.max(Math.min(at + 1, latest.pop()!), floor);
    if (!known.has(name)) rows.push({ name, timestamp: new Date(at).toISOString() });
  }
  return rows;
}

/** The tables as every version of Kysely from 0.27 on makes them. */
function tables(placed: Fluent): Fluent[] {
  const key = (column: Fluent) => column.notNull!().primaryKey!();
  return [
    placed.schema!.createTable!(MIGRATIONS).ifNotExists!()
      .addColumn!('name', 'varchar(255)', key)
      .addColumn!('timestamp', 'varchar(255)', (column: Fluent) => column.notNull!()),
    placed.schema!.createTable!(LOCK).ifNotExists!()
      .addColumn!('id', 'varchar(255)', key)
      .addColumn!('is_locked', 'integer', (column: Fluent) => column.notNull!().defaultTo!(0)),
  ];
}
