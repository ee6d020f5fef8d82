/**
 * Answers that come late, or never: what a caller may conclude from them.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { LeaseLostError } from '../../mod.ts';
import { type Faults, faulty } from './faults.ts';
import {
  bootstrap,
  type Case,
  createTable,
  gate,
  holdClaim,
  installAgain,
  Log,
  removeRow,
  rowOf,
  sleep,
  thrownAs,
  thrownBy,
} from './support.ts';

const RENEWAL = /^update \S*"migrations" set lease/i;
const FINISH = /^update \S*"migrations" set state/i;
const LOST = new Error('the answer is lost');

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'an install that was committed is never given back, though nobody can read that',
    needs: { transactions: true },
    async run(t) {
      const deaf = deafAfter((text) => text === 'commit');
      const db = faulty(t.connect(), deaf);
      assert.equal(await thrownBy(bootstrap(t, db, undefined, TRANSACTION)), LOST);
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
      assert.equal((await bootstrap(t, t.connect())).outcome, 'already-installed');
    },
  },
  {
    name: 'nor is one that was finished under a lease; the error is the database’s, in its time',
    async run(t) {
      let runs = 0;
      const db = faulty(t.connect(), deafAfter((text) => FINISH.test(text)));
      const ddl = (_: unknown) => void runs++;
      const failing = bootstrap(t, db, ddl, { ...LEASE, leaseMs: 500 });
      assert.equal(await thrownBy(failing), LOST);
      assert.equal(runs, 1);
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
    },
  },
  {
    name: 'who has changed nothing looks again if the end of its transaction is not answered',
    needs: { transactions: true },
    async run(t) {
      const logger = new Log();
      let isFirst = true;
      const db = faulty(t.connect(), {
        async query(_text, send) {
          const answer = await send().catch((error) => ({ error }));
          if (isFirst) {
            isFirst = false;
            await bootstrap(t, t.connect());
          }
          if ('error' in answer) throw answer.error;
          return answer;
        },
        async commit(run) {
          await run();
          throw LOST;
        },
        rollback: () => Promise.reject(new Error('cannot rollback - no transaction is active')),
      });
      const result = await bootstrap(t, db, installAgain, { ...TRANSACTION, logger });
      assert.equal(result.outcome, 'waited');
      assert.match(logger.errors.join('\n'), /did not end well/);
    },
  },
  {
    name: 'a busy database at the end of a lease leads to another look, not to another run',
    async run(t) {
      let runs = 0;
      let busy = 0;
      const db = faulty(t.connect(), {
        query(text, send) {
          if (FINISH.test(text) && busy++ < 2) throw new Error('database is locked');
          return send();
        },
      });
      const result = await bootstrap(t, db, (_) => void runs++, LEASE);
      assert.equal(result.outcome, 'installed');
      assert.deepEqual([runs, busy], [1, 3]);
    },
  },
  {
    name: 'a lease that was renewed counts from when that was asked for, not from the answer',
    async run(t) {
      const renewed = gate();
      const leaseMs = 900;
      const db = faulty(t.connect(), {
        async query(text, send) {
          const answer = await send();
          if (RENEWAL.test(text)) {
            await sleep(leaseMs + 100);
            renewed.open();
          }
          return answer;
        },
      });
      const failing = bootstrap(t, db, async (db) => {
        await createTable(db, 'one');
        await renewed.opened;
        await sleep(10);
        await createTable(db, 'two');
      }, { ...LEASE, leaseMs });
      await thrownAs(LeaseLostError, failing);
    },
  },
  {
    name: 'an owner whose claim was taken over at the last moment is told by whom',
    async run(t) {
      const other = t.connect();
      const db = faulty(t.connect(), {
        async query(text, send) {
          if (FINISH.test(text)) {
            await removeRow(other);
            await holdClaim(other, { owner: 'the-new-owner', leaseMs: 60_000 });
          }
          return await send();
        },
      });
      const failing = bootstrap(t, db, (db) => createTable(db, 'one'), LEASE);
      assert.match((await thrownAs(LeaseLostError, failing)).message, /the-new-owner/);
      assert.equal((await rowOf(other))?.owner, 'the-new-owner');
    },
  },
];

const TRANSACTION = { strategy: 'transaction', waitTimeoutMs: 20_000 } as const;
const LEASE = { strategy: 'lease', waitTimeoutMs: 20_000 } as const;

/** From a statement on, which is carried out, nothing is answered; only deletions still work. */
function deafAfter(isLast: (text: string) => boolean): Faults {
  let isDeaf = false;
  return {
    async query(text, send) {
      if (isDeaf && !/^delete/i.test(text)) throw LOST;
      const answer = await send();
      if (!isLast(text)) return answer;
      isDeaf = true;
      throw LOST;
    },
    async commit(run) {
      await run();
      if (!isLast('commit')) return;
      isDeaf = true;
      throw LOST;
    },
    rollback: () => Promise.resolve(),
  };
}
