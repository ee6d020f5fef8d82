/**
 * Clients of Postgres that vanish without a word: their connection stays open, and nothing comes.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { callerOn, onPostgres } from '../batch/subjects.ts';
import { sleep, within } from '../cases/support.ts';
import { type Engine, inDatabase, type TestDatabase } from '../engines/engine.ts';
import { tell } from '../processes/counts.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import { callAndUse, type Settled } from './call.ts';
import { WAITS } from './counts.ts';
import { connectSturdily } from './sturdy.ts';
import { assertOneInstall } from './tally.ts';
import { AGAIN, holdWinner, type Winner } from './winner.ts';

/** Far below the hours that TCP takes, and far above what a busy machine adds. */
const CEILING_MS = 15_000;

interface Vanishing {
  readonly database: TestDatabase;
  readonly proxy: Proxy;
  readonly winner: Winner;
}

async function vanishing(
  engine: Engine,
  strategy: Strategy,
  use: (stage: Vanishing) => Promise<void>,
): Promise<void> {
  await inDatabase(engine, async (database) => {
    const proxy = await startProxy('postgres', (await engine.start()).endpoint!);
    try {
      const db = connectSturdily(engine, database, { via: proxy });
      const winner = await holdWinner({ db }, { strategy, leaseMs: WAITS.leaseMs });
      await use({ database, proxy, winner });
    } finally {
      await proxy.stop();
    }
  });
}

async function others(database: TestDatabase, strategy: Strategy): Promise<Settled[]> {
  const ask = { ...AGAIN, strategy, leaseMs: WAITS.leaseMs };
  return await within(
    CEILING_MS,
    Promise.all([1, 2, 3].map(() => callAndUse({ db: database.connect() }, ask))),
  );
}

/** Inside its ddl: others install when its lease is over, whatever TCP says. */
export function vanishInside(engine: Engine, strategy: Strategy): Promise<void> {
  return vanishing(engine, strategy, async ({ database, proxy, winner }) => {
    proxy.inflict('silence');
    const startedAt = performance.now();
    const settled = await others(database, strategy);
    const afterMs = performance.now() - startedAt;
    assertOneInstall(settled);
    // What it had sent last was a renewal, a third of the lease ago at most.
    assert.ok(afterMs > WAITS.leaseMs / 2, `already after ${afterMs} ms`);
    tell(
      `${engine.name}, ${strategy}, vanished inside the ddl: installed ${Math.round(afterMs)} ms ` +
        `later, the lease being ${WAITS.leaseMs} ms`,
    );
    winner.letGo();
    await sleep(50);
    await proxy.stop();
    const late = await within(CEILING_MS, winner.settled);
    assert.equal(late.outcome, 'threw');
    assert.equal(
      (await callAndUse({ db: database.connect() }, AGAIN)).outcome,
      'already-installed',
    );
  });
}

/** Just before its COMMIT reaches the server. */
export function vanishBeforeCommit(engine: Engine): Promise<void> {
  return vanishing(engine, 'transaction', async ({ database, proxy, winner }) => {
    const sprung = proxy.inflictAt('commit', 'silence');
    winner.letGo();
    await within(CEILING_MS, sprung);
    assertOneInstall(await others(database, 'transaction'));
    await proxy.stop();
    // It may have read what another one has installed, or have no connection to read it with.
    assert.equal((await within(CEILING_MS, winner.settled)).installed, false);
  });
}

/** With its COMMIT on the server and the answer lost: installed, and nobody installs again. */
export function vanishAfterCommit(engine: Engine): Promise<void> {
  return vanishing(engine, 'transaction', async ({ database, proxy, winner }) => {
    const sprung = proxy.inflictAt('commit', 'silence answers');
    winner.letGo();
    await within(CEILING_MS, sprung);
    assertOneInstall(await others(database, 'transaction'), 0);
    // Its own connection is lost, but others of its pool reach the server again.
    proxy.inflict('cut');
    proxy.heal();
    const late = await within(CEILING_MS, winner.settled);
    assert.equal(late.outcome, 'installed', JSON.stringify(late));
  });
}

/** A lease owner whose network comes back after another one has taken its claim over. */
export function comeBack(engine: Engine): Promise<void> {
  return vanishing(engine, 'lease', async ({ database, proxy, winner }) => {
    proxy.inflict('silence');
    assertOneInstall(await others(database, 'lease'));
    const [before] = await database.run('select owner, state from migrations');
    proxy.heal();
    winner.letGo();
    await sleep(200);
    // What it had sent into the void is answered by nobody; its pool gets over that when it is cut.
    proxy.inflict('cut');
    proxy.heal();
    const late = await within(CEILING_MS, winner.settled);
    assert.equal(late.outcome, 'threw', JSON.stringify(late));
    const [after] = await database.run('select owner, state from migrations');
    assert.deepEqual(after, before);
  });
}

/** In the middle of a batch that takes several round trips: its claim is in, its DDL is not. */
export function vanishInBatch(): Promise<void> {
  return inDatabase(onPostgres.engine, async (database) => {
    const proxy = await startProxy('postgres', (await onPostgres.engine.start()).endpoint!);
    try {
      const gone = callerOn(onPostgres, database, { via: proxy });
      const sprung = proxy.inflictAt('"t001"', 'silence');
      const late = callAndUse(gone, { ...AGAIN, strategy: 'batch', leaseMs: WAITS.leaseMs });
      await within(CEILING_MS, sprung);
      const ask = { ...AGAIN, strategy: 'batch' as const, leaseMs: WAITS.leaseMs };
      const others = [1, 2, 3].map(() => callAndUse(callerOn(onPostgres, database), ask));
      assertOneInstall(await within(CEILING_MS, Promise.all(others)));
      proxy.inflict('cut');
      proxy.heal();
      assert.equal((await within(CEILING_MS, late)).installed, false);
    } finally {
      await proxy.stop();
    }
  });
}
