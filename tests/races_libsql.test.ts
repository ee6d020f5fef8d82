/**
 * Races, deaths and waits on libSQL: a real server, and files.
 *
 * @module
 */

import { createClient } from '@libsql/client';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { Kysely } from 'kysely';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';

import { bootstrapSchema, libsqlBatch, type Strategy, WaitTimeoutError } from '../mod.ts';
import { onSqld } from './batch/subjects.ts';
import { sleep } from './cases/support.ts';
import { libsqlFile, libsqlHttp } from './engines/libsql.ts';
import { scratch } from './engines/scratch.ts';
import { isFull } from './processes/counts.ts';
import {
  cutWinner,
  hangInTransaction,
  hangUnderLease,
  killWinner,
  LIBSQL,
  stampedeOnFile,
  stampedeOnServer,
} from './races/libsql_cases.ts';
import { findInstalled, raceStale, SESSIONS } from './races/stale.ts';
import { killChildren } from './support/child.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };
const STRATEGIES = ['transaction', 'batch', 'lease'] as const;
const HOLDING = ['transaction', 'lease'] as const;

/** Those that can be had on this machine. */
const hasServer = libsqlHttp.missing === undefined;
if (!hasServer) console.log(`skipped: libsql-http: ${libsqlHttp.missing}`);
const names = (Object.keys(LIBSQL) as (keyof typeof LIBSQL)[])
  .filter((name) => hasServer || name === 'libsql-file');

after(killChildren);

for (const strategy of STRATEGIES) {
  if (hasServer) {
    test(
      `a stampede of clients installs once [libsql-http, ${strategy}]`,
      options,
      () => stampedeOnServer(strategy),
    );
  }
  test(
    `a stampede of processes installs once [libsql-file, ${strategy}]`,
    options,
    () => stampedeOnFile(strategy),
  );
}

// Its one connection refuses whatever comes while a transaction is open, and does not let it wait.
for (const strategy of STRATEGIES) {
  test(`callers on one client in memory wait for each other [${strategy}]`, options, async () => {
    const client = createClient({ url: ':memory:' });
    const outcomes = await Promise.all(Array.from({ length: 4 }, async (_, n) => {
      const dialect = new LibsqlDialect({ client: client as never });
      const { outcome } = await bootstrapSchema(
        new Kysely<Record<string, { id: number }>>({ dialect }),
        {
          version: '0001',
          strategy,
          ddl: async (db) => {
            await db.schema.createTable('users').ifNotExists().addColumn('id', 'integer').execute();
            await sleep(100 + n);
          },
          ...(strategy === 'batch' && { batch: libsqlBatch(client) }),
        },
      );
      return outcome;
    }));
    client.close();
    assert.deepEqual(outcomes.toSorted(), ['installed', 'waited', 'waited', 'waited']);
  });
}

// Whatever a connection that has met a lock tells about its own writes, it does not commit them.
for (const strategy of STRATEGIES) {
  test(
    `a file that was locked is installed in, or its caller told [${strategy}]`,
    options,
    () => meetLock(strategy),
  );
}

for (const name of names) {
  for (const strategy of HOLDING) {
    test(
      `when the winner is killed, one of those who wait installs [${name}, ${strategy}]`,
      options,
      () => killWinner(name, strategy),
    );
  }
  test(
    `when the winner of a lease hangs, those who wait end in time and name it [${name}]`,
    options,
    () => hangUnderLease(name),
  );
  // The server gives the lock to others after five seconds: so each of these takes that long.
  if (isFull || name === 'libsql-file') {
    test(
      `when the winner of a transaction hangs, those who wait end well [${name}]`,
      options,
      () => hangInTransaction(name),
    );
  }
}

if (hasServer) {
  for (const strategy of isFull ? HOLDING : ['lease'] as const) {
    test(
      `when the winner's connection is cut, one of those who wait installs [${strategy}]`,
      options,
      () => cutWinner(strategy),
    );
  }
  for (const strategy of STRATEGIES) {
    for (const session of SESSIONS) {
      test(
        `a replica that lags makes nobody install again [${strategy}, ${session}]`,
        options,
        () => findInstalled(onSqld, strategy, session),
      );
      test(
        `callers on replicas that lag install once [${strategy}, ${session}]`,
        options,
        () => raceStale(onSqld, strategy, session),
      );
    }
  }
}

test('the server stops', options, async () => {
  await (await libsqlFile.start()).stop();
  if (hasServer) await (await libsqlHttp.start()).stop();
});

async function meetLock(strategy: Strategy): Promise<void> {
  const url = `file:${join(scratch('locked'), 'app.db')}`;
  const other = createClient({ url });
  await other.execute('pragma journal_mode = wal');
  const writing = await other.transaction('write');
  const client = createClient({ url });
  const dialect = new LibsqlDialect({ client: client as never });
  const calling = bootstrapSchema(new Kysely<unknown>({ dialect }), {
    version: '0001',
    strategy,
    waitTimeoutMs: 4_000,
    ddl: (db) => db.schema.createTable('users').ifNotExists().addColumn('id', 'integer').execute(),
    ...(strategy === 'batch' && { batch: libsqlBatch(client) }),
  }).catch((error) => error);
  await sleep(60);
  await writing.rollback();
  const came = await calling;
  const { rows } = await other.execute(`select name from sqlite_master where name = 'users'`);
  if (came instanceof WaitTimeoutError) assert.deepEqual(rows, []);
  else assert.deepEqual([came.outcome, rows.length], ['installed', 1], `${came}`);
  client.close();
  other.close();
}
