/**
 * A test file that starts everything that tests start, says so, and never ends. It is run and told
 * to stop by `signals.test.ts`.
 *
 * @module
 */

import { test } from 'node:test';

import { d1 } from '../engines/cloudflare.ts';
import { libsqlFile, libsqlHttp } from '../engines/libsql.ts';
import { pg } from '../engines/postgres.ts';
import { inFolder } from '../processes/files.ts';
import { CallerProcess } from '../races/caller_process.ts';
import { findPgBouncer, startPgBouncer } from '../races/pgbouncer.ts';
import { startProxy } from '../support/proxy.ts';

/** What a runner prints when all of it is up. */
const UP = 'everything is up';

test('everything', { timeout: 600_000 }, async () => {
  const postgres = await pg.start();
  const database = await postgres.create();
  await (await libsqlFile.start()).create();
  await (await d1.start()).create();
  if (!libsqlHttp.missing) await (await libsqlHttp.start()).create();
  if (postgres.endpoint) await startProxy('postgres', postgres.endpoint);
  const pgbouncer = findPgBouncer();
  if (pgbouncer) await startPgBouncer(pgbouncer, database.address!, { connections: 2 });

  const caller = await CallerProcess.start();
  const address = database.address!;
  await caller.ask({ kind: 'open', engine: 'postgres', address }, 'opened');
  await caller.ask({ kind: 'call', strategy: 'transaction', tables: 2, isHeld: true }, 'inside');
  await inFolder(async () => {
    console.log(UP);
    await new Promise((resolve) => setTimeout(resolve, 600_000));
  });
});
