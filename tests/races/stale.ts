/**
 * Probes that are answered by a replica which lags behind.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { holdClaim, removeRow, within } from '../cases/support.ts';
import { inDatabase } from '../engines/engine.ts';
import { isFull } from '../processes/counts.ts';
import { callerOn, type Subject } from '../batch/subjects.ts';
import { type Ask, callAndUse, type Caller, type Db } from './call.ts';
import { type Lag, lagging } from './replica.ts';
import { assertOneInstall } from './tally.ts';
import { AGAIN } from './winner.ts';

/** What a replica still shows: in words, and how database and replica came to that. */
const STATES: readonly (readonly [string, (db: Db) => Promise<unknown>])[] = [
  ['nothing', () => Promise.resolve()],
  ['a ledger without the version', (db) => callAndUse({ db }, { ...BEFORE, version: '0000' })],
  ['a claim that has expired', (db) => holdClaim(db, { owner: 'dead', leaseMs: -1_000 })],
  ['a claim that still holds', (db) => holdClaim(db, { owner: 'alive', leaseMs: 60_000 })],
];

const BEFORE: Ask = {
  tables: 0,
  ddl: (db) => db.schema.createTable('before').addColumn('id', 'integer').execute(),
};

/** What a session may see: one that is consistent in itself, or one that is not. */
export type Session = 'consistent session' | 'any replica';

/** The harder one does for both where the full count was not asked for. */
export const SESSIONS: readonly Session[] = isFull
  ? ['consistent session', 'any replica']
  : ['any replica'];

function lagsOf(session: Session): Lag[] {
  const reads = isFull ? [1, 2, 5] : [2];
  return reads.map((reads) => ({ reads, untilWrite: session === 'consistent session' }));
}

/** The primary has the schema: whatever the first reads say, it is not installed again. */
export function findInstalled(
  subject: Subject,
  strategy: Strategy,
  session: Session,
): Promise<void> {
  return withReplicas(subject, async (what, replica, caller) => {
    assertOneInstall([await callAndUse(caller(), { ...AGAIN, strategy })]);
    for (const lag of lagsOf(session)) {
      const told = `the replica shows ${what}, read ${lag.reads} times at most`;
      // A batch records its ddl before it knows better; nothing of that is committed.
      const ddl = strategy === 'batch' ? AGAIN.ddl : () => assert.fail(`run again: ${told}`);
      const one = lagging(caller(), replica, lag);
      const settled = await within(20_000, callAndUse(one, { ...AGAIN, strategy, ddl }));
      assert.ok(one.staleReads > 0, told);
      assert.ok(
        settled.outcome === 'waited' || settled.outcome === 'already-installed',
        `${told}: ${JSON.stringify(settled)}`,
      );
      assert.equal(settled.unusable, undefined, told);
    }
  });
}

/** Nothing is installed: of many callers, each with a replica that lags, one installs. */
export function raceStale(subject: Subject, strategy: Strategy, session: Session): Promise<void> {
  return withReplicas(subject, async (what, replica, caller) => {
    const settled = await within(
      30_000,
      Promise.all(Array.from({ length: 6 }, (_, n) => {
        const lag = lagsOf(session)[Math.floor(n / 2)];
        if (!lag) return callAndUse(caller(), { ...AGAIN, strategy });
        const one = lagging(caller(), replica, lag);
        return callAndUse(one, { ...AGAIN, strategy }).finally(() => {
          assert.ok(one.staleReads > 0, `the replica shows ${what}`);
        });
      })),
    );
    assert.deepEqual(
      settled.filter(({ error, unusable }) => error ?? unusable),
      [],
      `the replica shows ${what}`,
    );
    assertOneInstall(settled);
  });
}

async function withReplicas(
  subject: Subject,
  use: (what: string, replica: Db, caller: () => Caller) => Promise<void>,
): Promise<void> {
  for (const [what, prepare] of isFull ? STATES : [STATES[0]!, STATES[2]!]) {
    await inDatabase(subject.engine, (old) =>
      inDatabase(subject.engine, async (database) => {
        const [replica, db] = [old.connect(), database.connect()];
        await prepare(replica);
        await prepare(db);
        // The primary has gone on: whoever had a claim there has given it back.
        if (/claim/.test(what)) await removeRow(db);
        await use(what, replica, () => callerOn(subject, database));
      }));
  }
}
