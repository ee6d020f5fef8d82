/**
 * Handing over to Kysely's own Migrator.
 *
 * @module
 */

import { databaseOf } from './database.ts';
import { messageOf, NotAdoptableError } from './errors.ts';
import { checkFields, problem } from './fields.ts';
import { builderOf, compile, type Fluent, type KyselyLike } from './kysely.ts';
import { patiently } from './patiently.ts';
import { RULES } from './settings.ts';
import { schemaStatus, type StatusOptions } from './status.ts';

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

/**
 * Records migrations as executed in the tables of Kysely's own `Migrator`, as Kysely makes them, so
 * that an app whose first schema was installed by `bootstrapSchema` moves on to `Migrator` without
 * running its first migration again. Harmless to repeat, and to race. It uses the default names of
 * Migrator's tables, and `schema` is its `migrationTableSchema`.
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
 * @throws {NotAdoptableError} The version is not installed, or Migrator cannot run on this database
 * because it cannot be introspected, as D1 cannot. Nothing was changed.
 * @throws {TypeError} `db` or a field of the options is of the wrong type.
 * @throws {RangeError} A field of the options is out of range.
 */
export async function adoptMigrator(db: KyselyLike, options: AdoptOptions): Promise<AdoptResult> {
  const { migrations, version, ...status } = options;
  checkFields('options', { version }, { version: RULES.version });
  if (version === undefined) throw new TypeError(problem('version', RULES.version, undefined));
  if (!isNames(migrations)) {
    const words = 'be a list of names, at least one and none twice';
    throw new TypeError(problem('migrations', { words }, migrations, 'hand over to Migrator'));
  }
  const details = { marker: options.marker ?? 'migrations', version, action: 'hand over' };
  const entry = (await schemaStatus(db, status)).find((row) => row.version === version);
  if (entry?.state !== 'installed') {
    throw new NotAdoptableError('the version is not installed. Bootstrap it first', details);
  }
  const plain = databaseOf(db).withoutPlugins();
  try {
    await (plain.introspection as Introspection).getTables({ withInternalKyselyTables: true });
  } catch (cause) {
    const found = `Kysely's Migrator cannot run on this database, since it introspects it: ` +
      `${messageOf(cause)}. Use 'upgrades' instead`;
    throw new NotAdoptableError(found, { ...details, cause });
  }
  const placed = builderOf(options.schema ? plain.withSchema(options.schema) : plain);
  const run = (builder: Fluent) => patiently(() => plain.executeQuery(compile(builder)));
  for (const table of tables(placed)) await run(table);
  const ignore = (conflict: Fluent) => conflict.doNothing!();
  await run(
    placed.insertInto!(LOCK).values!({ id: 'migration_lock', is_locked: 0 }).onConflict!(ignore),
  );
  const before = await run(placed.selectFrom!(MIGRATIONS).select!('name'));
  const known = new Set(before.rows.map((row) => row.name));
  const adopted = [...migrations].sort().filter((name) => !known.has(name));
  const start = Date.now();
  // Migrator takes them in the order of their time, so each is a millisecond later than the last.
  const rows = adopted.map((name, at) => ({ name, timestamp: new Date(start + at).toISOString() }));
  if (rows.length > 0) {
    await run(placed.insertInto!(MIGRATIONS).values!(rows).onConflict!(ignore));
  }
  return { adopted };
}

interface Introspection {
  getTables(options: { withInternalKyselyTables: boolean }): Promise<unknown>;
}

/** The tables as every version of Kysely from 0.27 on makes them. */
function tables(placed: Fluent): Fluent[] {
  const required = (column: Fluent) => column.notNull!();
  const key = (column: Fluent) => column.notNull!().primaryKey!();
  return [
    placed.schema!.createTable!(MIGRATIONS).ifNotExists!()
      .addColumn!('name', 'varchar(255)', key)
      .addColumn!('timestamp', 'varchar(255)', required),
    placed.schema!.createTable!(LOCK).ifNotExists!()
      .addColumn!('id', 'varchar(255)', key)
      .addColumn!('is_locked', 'integer', (column: Fluent) => column.notNull!().defaultTo!(0)),
  ];
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.length > 0 && new Set(value).size === value.length &&
    value.every((name) => typeof name === 'string' && name !== '');
}
