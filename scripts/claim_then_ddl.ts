/**
 * The usual way to bootstrap a schema, kept short and faithful: what the demo, the benchmarks and
 * the checker compare the library with. Not for use.
 *
 * @module
 */

import type { Kysely } from 'kysely';

/** What {@link claimThenDdl} needs to know. */
export interface ClaimThenDdlConfig {
  /** The name of this schema, and the row that marks it as claimed. */
  version: string;
  // deno-lint-ignore no-explicit-any
  ddl: (db: Kysely<any>) => Promise<void>;
  /** The table of claims. Default `'migrations'`. */
  marker?: string;
}

/** What a caller of {@link claimThenDdl} is told. */
export interface ClaimThenDdlResult {
  installed: boolean;
  wonClaim: boolean;
  version: string;
}

/**
 * Claim, then DDL: whoever inserts the marker row runs the DDL, everyone else returns.
 *
 * The row says "claimed" and is read as "installed". So those who find it return before the schema
 * is there, and a winner that dies leaves it behind for good. Racing callers may also throw:
 * `create table if not exists` is not race-safe on Postgres.
 */
export async function claimThenDdl(
  // deno-lint-ignore no-explicit-any
  db: Kysely<any>,
  { version, ddl, marker = 'migrations' }: ClaimThenDdlConfig,
): Promise<ClaimThenDdlResult> {
  const lost = { installed: false, wonClaim: false, version };
  await db.schema
    .createTable(marker)
    .ifNotExists()
    .addColumn('name', 'varchar(255)', (column) => column.primaryKey())
    .execute();
  const found = await db
    .selectFrom(marker)
    .select('name')
    .where('name', '=', version)
    .executeTakeFirst();
  if (found) return lost;

  const claim = await db
    .insertInto(marker)
    .values({ name: version })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirstOrThrow();
  if (claim.numInsertedOrUpdatedRows !== 1n) return lost;

  try {
    await ddl(db);
  } catch (error) {
    await db.deleteFrom(marker).where('name', '=', version).execute();
    throw error;
  }
  return { installed: true, wonClaim: true, version };
}
