/**
 * Races, deaths and waits on a real Postgres server, through PgBouncer too, and on PGlite.
 *
 * @module
 */

import { Kysely, PostgresDialect } from 'kysely';
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Pool } from 'pg';

import { bootstrapSchema } from '../mod.ts';
import { onPostgres } from './batch/subjects.ts';
import { sleep } from './cases/support.ts';
import { inDatabase } from './engines/engine.ts';
import { pglite } from './engines/pglite.ts';
import { pg, postgresJs } from './engines/postgres.ts';
import { poolerCases } from './races/pooler_cases.ts';
import {
  ENDINGS,
  endInOrder,
  shutDownMidWait,
  underEach,
  waitForNothing,
  waitForSlowBatch,
  waitForWinner,
} from './races/postgres_barrier.ts';
import {
  indexConcurrentlyAmongOthers,
  readOnlyRole,
  refuseConcurrently,
} from './races/postgres_rights.ts';
import { stampede, stampedeOnPGlite } from './races/postgres_stampede.ts';
import { bootstrapTenants, shareThings } from './races/postgres_together.ts';
import {
  comeBack,
  vanishAfterCommit,
  vanishBeforeCommit,
  vanishInBatch,
  vanishInside,
} from './races/postgres_vanish.ts';
import { findInstalled, raceStale, SESSIONS } from './races/stale.ts';
import { killChildren } from './support/child.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };
const STRATEGIES = ['transaction', 'batch', 'lease'] as const;

after(killChildren);

for (const strategy of STRATEGIES) {
  test(`a stampede installs once [postgres, ${strategy}]`, options, () => stampede(pg, strategy));
}
for (const strategy of ['transaction', 'lease'] as const) {
  test(
    `a stampede installs once [postgres-js, ${strategy}]`,
    options,
    () => stampede(postgresJs, strategy),
  );
}
for (const strategy of STRATEGIES) {
  test(
    `a stampede installs once [pglite, ${strategy}]`,
    options,
    () => stampedeOnPGlite(strategy),
  );
}

for (const ending of ENDINGS) {
  test(
    `ten wait for a winner that ${ending.name}, and the app's queries do not`,
    options,
    () => underEach((strategy) => waitForWinner(pg, strategy, ending)),
  );
}
// `postgres` only here: it throws outside of any promise when a connection that it has reserved is
// ended by the server and used again. https://github.com/porsager/postgres/issues/1208
for (const engine of [pg, postgresJs]) {
  test(
    `ten wait for a winner that hangs, and end in time [${engine.name}]`,
    options,
    () => underEach((strategy) => waitForNothing(engine, strategy)),
  );
}
test(
  'deadlines and signals end waits in their order',
  options,
  () => underEach((strategy) => endInOrder(pg, strategy)),
);
test(
  'the server ends every connection while ten wait',
  options,
  () => underEach((strategy) => shutDownMidWait(pg, strategy)),
);
test(
  'a client that vanishes inside its ddl holds its claim for a lease at most',
  options,
  () => underEach((strategy) => vanishInside(pg, strategy)),
);
test('ten who wait for a slow batch leave the app its connections', options, waitForSlowBatch);
test('a client that vanishes in the middle of its batch', options, vanishInBatch);
test('a client that vanishes before its COMMIT', options, () => vanishBeforeCommit(pg));
test('a client that vanishes after its COMMIT', options, () => vanishAfterCommit(pg));
test('a lease owner that comes back too late changes nothing', options, () => comeBack(pg));

for (const how of ['at once', 'slowly'] as const) {
  test(
    `two apps that create the same things if they are missing, ${how}`,
    options,
    () => shareThings(how),
  );
}
for (const connections of ['own', 'shared'] as const) {
  test(
    `tenants at once are each installed once, ${connections} connections`,
    options,
    () => bootstrapTenants(connections),
  );
}

for (const strategy of STRATEGIES) {
  test(
    `a role that may only read is told so by the server [${strategy}]`,
    options,
    () => readOnlyRole(strategy),
  );
  for (const session of SESSIONS) {
    test(
      `a replica that lags makes nobody install again [${strategy}, ${session}]`,
      options,
      () => findInstalled(onPostgres, strategy, session),
    );
    test(
      `callers on replicas that lag install once [${strategy}, ${session}]`,
      options,
      () => raceStale(onPostgres, strategy, session),
    );
  }
}
for (const strategy of ['auto', 'transaction', 'batch'] as const) {
  test(
    `"create index concurrently" is refused with the advice to use a lease [${strategy}]`,
    options,
    () => refuseConcurrently(strategy),
  );
}
test(
  '"create index concurrently" works under a lease while others wait',
  options,
  indexConcurrentlyAmongOthers,
);

for (const when of ['in the middle of the ddl', 'at its end']) {
  for (const ledger of ['a ledger', 'none']) {
    test(
      `a transaction that is gone after a pause is noticed: ${when}, with ${ledger} there`,
      options,
      () => loseSession(when === 'at its end', ledger === 'none'),
    );
  }
}

for (const { name, run } of poolerCases()) {
  test(`through PgBouncer: ${name}`, options, run);
}

test('the servers stop', options, async () => {
  for (const engine of [pg, postgresJs, pglite]) await (await engine.start()).stop();
});

/** As `postgres` does it where the server has ended a session: it connects anew without a word. */
async function loseSession(isAtItsEnd: boolean, isFresh: boolean): Promise<void> {
  await inDatabase(pg, async (database) => {
    const pool = database.handle!() as Pool;
    const table = (db: Kysely<unknown>, name: string) =>
      db.schema.createTable(name).addColumn('id', 'integer').execute();
    if (!isFresh) {
      const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
      await bootstrapSchema(db, { version: '0000', ddl: (db) => table(db, 'zero') });
    }
    const before = await database.tables();
    const [first, second] = [await pool.connect(), await pool.connect()];
    let session = first;
    const client = { query: (...given: [string]) => session.query(...given), release: () => {} };
    const one = { connect: () => Promise.resolve(client), end: () => Promise.resolve() };
    const lost = bootstrapSchema(
      new Kysely<unknown>({ dialect: new PostgresDialect({ pool: one as never }) }),
      {
        version: '0001',
        strategy: 'transaction',
        ddl: async (db) => {
          await table(db, 'one');
          await first.query('rollback');
          session = second;
          if (isAtItsEnd) return;
          await sleep(150);
          await table(db, 'two');
        },
      },
    );
    const told = { name: 'TransactionAbortedError', message: /connected anew: call again/ };
    await assert.rejects(lost, told).finally(() => {
      first.release();
      second.release();
    });
    assert.deepEqual(await database.tables(), before);
  });
}
