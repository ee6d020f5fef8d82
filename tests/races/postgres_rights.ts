/**
 * Roles that may not do everything, and statements that cannot run everywhere.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { type Kysely, sql } from 'kysely';

import { bootstrapSchema, postgresBatch, type Strategy } from '../../mod.ts';
import { within } from '../cases/support.ts';
import { callerOn, onPostgres } from '../batch/subjects.ts';
import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import { pg } from '../engines/postgres.ts';
import { schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Db, type SettledError } from './call.ts';
import { FEW_TABLES } from './counts.ts';
import { assertOneInstall } from './tally.ts';

const ASK = { tables: FEW_TABLES, ddl: schemaOf(FEW_TABLES) };

/** A role that may read, and neither create tables nor schemas. */
export function readOnlyRole(strategy: Strategy): Promise<void> {
  return inDatabase(pg, async (database) => {
    const role = `reader_${crypto.randomUUID().replaceAll('-', '')}`;
    await database.run(`create role ${role}; revoke create on schema public from public`);
    try {
      const reader = await callerAs(database, role, strategy);
      const owner = callerOn(onPostgres, database);
      for (const schema of [undefined, 'tenant']) {
        const ask = { ...ASK, strategy, ...(schema && { schema }) };
        assertDenied((await callAndUse(reader, ask)).error);
        assertOneInstall([await callAndUse(owner, ask)]);
        const place = schema ?? 'public';
        await database.run(`grant usage on schema ${place} to ${role};
          grant select on all tables in schema ${place} to ${role}`);
        assert.equal((await callAndUse(reader, ask)).outcome, 'already-installed');
        assertDenied((await callAndUse(reader, { ...ask, version: '0002' })).error);
      }
    } finally {
      await database.run(`drop owned by ${role}; drop role ${role}`);
    }
  });
}

/** A caller whose every statement is sent as this role. */
async function callerAs(
  database: TestDatabase,
  role: string,
  strategy: Strategy,
): Promise<Caller> {
  const pool = database.handle!({ connections: 1 }) as {
    query(text: string): Promise<unknown>;
  };
  await pool.query(`set role ${role}`);
  const { Kysely, PostgresDialect } = await import('kysely');
  const db: Kysely<unknown> = new Kysely({ dialect: new PostgresDialect({ pool: pool as never }) });
  return { db, ...(strategy === 'batch' && { batch: postgresBatch(pool as never) }) };
}

function assertDenied(error: SettledError | undefined): void {
  assert.equal(error?.code, '42501', JSON.stringify(error));
  assert.match(error.message, /permission denied/);
}

async function indexConcurrently(db: Db): Promise<void> {
  await db.schema.createTable('t001').ifNotExists().addColumn('id', 'integer').execute();
  await sql`create index concurrently if not exists by_id on t001 (id)`.execute(db);
}

/** Refused where there is a transaction, by a message that says what to do. */
export function refuseConcurrently(strategy: 'auto' | 'transaction' | 'batch'): Promise<void> {
  return inDatabase(pg, async (database) => {
    const { db, batch } = callerOn(onPostgres, database);
    const failing = bootstrapSchema(db, {
      version: '0001',
      ddl: indexConcurrently,
      strategy,
      ...(strategy === 'batch' && { batch }),
    });
    await assert.rejects(failing, { code: 'STATEMENT_REFUSED', message: /strategy 'lease'/ });
    assert.deepEqual(await database.tables(), []);
  });
}

/** Works under a lease, also while others wait: it waits for every transaction that is open. */
export function indexConcurrentlyAmongOthers(): Promise<void> {
  return inDatabase(pg, async (database) => {
    const calls = Array.from(
      { length: 10 },
      () =>
        callAndUse({ db: database.connect() }, {
          tables: 1,
          ddl: indexConcurrently,
          strategy: 'lease',
        }),
    );
    assertOneInstall(await within(30_000, Promise.all(calls)));
    const indexes = await database.run(`select indisvalid as valid from pg_index
      where indexrelid = 'by_id'::regclass`);
    assert.deepEqual(indexes.map((row) => ({ ...row as object })), [{ valid: true }]);
  });
}
