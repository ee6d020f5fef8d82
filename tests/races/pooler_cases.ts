/**
 * Everything through a pooler that hands each transaction another connection.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { Kysely, sql } from 'kysely';

import type { Strategy } from '../../mod.ts';
import { callerOn, onPostgres } from '../batch/subjects.ts';
import { gate, sleep, within } from '../cases/support.ts';
import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import { pg } from '../engines/postgres.ts';
import { createTable, schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Db } from './call.ts';
import { COUNTS, FEW_TABLES, TABLES, WAITS } from './counts.ts';
import { findPgBouncer, type Pooler, startPgBouncer } from './pgbouncer.ts';
import { race } from './postgres_stampede.ts';
import { assertOneInstall, Tally } from './tally.ts';
import { AGAIN, holdWinner, watchPool, whileHeld } from './winner.ts';

/** How many connections the pooler has to the server, for any number of clients. */
const CONNECTIONS = 10;

interface PoolerCase {
  readonly name: string;
  run(): Promise<void>;
}

/** The cases; none, and a line that says why, where there is no PgBouncer. */
export function poolerCases(): PoolerCase[] {
  const program = findPgBouncer();
  if (program === undefined) {
    console.log('skipped: PgBouncer: not installed');
    return [];
  }
  const through = (
    use: (database: TestDatabase, pooler: Pooler) => Promise<void>,
    connections = CONNECTIONS,
  ) =>
  () =>
    inDatabase(pg, async (database) => {
      const pooler = await startPgBouncer(program, database.address!, { connections });
      try {
        await use(database, pooler);
      } finally {
        await pooler.stop();
      }
    });
  return [
    ...(['transaction', 'batch', 'lease'] as const).map((strategy) => ({
      name: `a stampede installs once and leaves no session state [${strategy}]`,
      run: through((database, pooler) => stampede(database, pooler, strategy)),
    })),
    {
      name: 'a stampede installs once [postgres-js]',
      run: through(stampedeOfPostgresJs),
    },
    ...(['transaction', 'lease'] as const).map((strategy) => ({
      name: `callers at once upgrade once [${strategy}]`,
      run: through((database, pooler) => upgrade(database, pooler, strategy)),
    })),
    ...(['transaction', 'lease'] as const).map((strategy) => ({
      name: `ten who wait leave the pooler's connections to others [${strategy}]`,
      run: through((database, pooler) => waitOutside(database, pooler, strategy), 3),
    })),
  ];
}

async function stampede(
  database: TestDatabase,
  via: Pooler,
  strategy: Strategy,
): Promise<void> {
  const { callers, rounds } = COUNTS.pooler;
  const all: Caller[] = Array.from({ length: callers }, () => {
    const { db, batch } = callerOn(onPostgres, database, { via });
    return strategy === 'batch' ? { db, batch } : { db };
  });
  await Promise.all(all.map(({ db }) => sql`select 1`.execute(db)));
  const before = await statesOf(all.map(({ db }) => db));
  assert.ok(before.length > 1, `${before.length} connections`);
  const tally = new Tally(`through PgBouncer, ${strategy}`);
  for (let round = 0; round < rounds; round++) {
    await database.run(`drop schema public cascade; create schema public;
      drop schema if exists tenant cascade`);
    tally.add(await race(all, strategy));
  }
  const tenants = all.map((caller) =>
    callAndUse(caller, {
      ...AGAIN,
      strategy,
      schema: 'tenant',
    })
  );
  assertOneInstall(await Promise.all(tenants));
  const [plain] = before;
  for (const state of await statesOf(all.map(({ db }) => db))) assert.deepEqual(state, plain);
  const locks = await database.run(`select 1 from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())`);
  assert.deepEqual(locks, []);
  tally.tell(`; ${before.length} connections to the server, none of them changed`);
}

/** What every connection of the pooler has been left with: all at once, so each is asked. */
async function statesOf(clients: readonly Db[]): Promise<unknown[]> {
  const everyOne = gate();
  let inside = 0;
  const states = await Promise.all(
    clients.slice(0, CONNECTIONS).map((db) =>
      db.transaction().execute(async (trx) => {
        if (++inside === Math.min(clients.length, CONNECTIONS)) everyOne.open();
        await within(20_000, everyOne.opened);
        const { rows } = await sql`
          select name, setting from pg_settings where source = 'session'
            and name not in ('client_encoding', 'application_name')
          union all select 'prepared', name from pg_prepared_statements
          union all select 'temporary', relname from pg_class
            where relnamespace = pg_my_temp_schema()
          union all select 'listening', channel from pg_listening_channels() as channel
          union all select 'path', current_setting('search_path')
          order by 1, 2`.execute(trx);
        return rows;
      })
    ),
  );
  return states;
}

async function stampedeOfPostgresJs(database: TestDatabase, { host, port }: Pooler): Promise<void> {
  const { default: postgres } = await import('postgres');
  const { PostgresJSDialect } = await import('kysely-postgres-js');
  const { callers, rounds } = COUNTS.pooler;
  const clients = Array.from({ length: callers }, () =>
    postgres(database.address!, {
      host,
      port,
      // As its documentation asks for in this mode.
      prepare: false,
      max: 2,
      onnotice: () => {},
    }));
  try {
    const all = clients.map((client) => ({
      db: new Kysely({ dialect: new PostgresJSDialect({ postgres: client }) }) as Db,
    }));
    const tally = new Tally('through PgBouncer, postgres-js');
    for (let round = 0; round < Math.ceil(rounds / 2); round++) {
      await database.run('drop schema public cascade; create schema public');
      tally.add(await race(all, 'transaction'));
    }
    tally.tell();
  } finally {
    await Promise.all(clients.map((client) => client.end({ timeout: 1 })));
  }
}

async function upgrade(database: TestDatabase, via: Pooler, strategy: Strategy): Promise<void> {
  const { callers } = COUNTS.pooler;
  const all = Array.from({ length: callers }, () => database.connect({ via }));
  const ddl = schemaOf(TABLES);
  assertOneInstall([
    await callAndUse({ db: all[0]! }, {
      tables: FEW_TABLES,
      ddl: schemaOf(FEW_TABLES),
      version: '0001',
    }),
  ]);
  const more = (from: number, to: number) => async (db: Db) => {
    for (let n = from; n <= to; n++) await createTable(db, n);
  };
  const upgrades = [
    { from: '0001', ddl: more(FEW_TABLES + 1, 10) },
    { from: '0002', ddl: more(11, TABLES) },
  ];
  const settled = await Promise.all(
    all.map((db) =>
      callAndUse({ db }, { tables: TABLES, ddl, upgrades, strategy, version: '0003' })
    ),
  );
  assertOneInstall(settled);
  assert.equal(settled.find(({ installed }) => installed)!.outcome, 'upgraded');
  const rows = await database.run('select name, state from migrations order by name');
  assert.deepEqual(
    rows.map((row) => ({ ...row as object })),
    ['0001', '0002', '0003'].map((name) => ({ name, state: 'installed' })),
  );
}

/** Three connections: one for the winner, and the ten who wait must not keep the others. */
async function waitOutside(database: TestDatabase, via: Pooler, strategy: Strategy): Promise<void> {
  const holding = holdWinner({ db: database.connect({ via }) }, { strategy });
  await whileHeld(holding, async (winner) => {
    const pool = database.connect({ via, connections: 10 });
    const waiting = Promise.all(
      Array.from({ length: 10 }, () => callAndUse({ db: pool }, { ...AGAIN, strategy })),
    );
    const watch = watchPool(database.connect({ via, connections: 1 }));
    await sleep(WAITS.heldMs);
    await watch.served(20);
    await watch.stop();
    winner.letGo();
    assertOneInstall([await winner.settled, ...await within(20_000, waiting)]);
  });
}
