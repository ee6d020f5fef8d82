/**
 * What changes between the look of a caller and its claim.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { NoUpgradePathError } from '../../mod.ts';
import { faulty } from './faults.ts';
import {
  bootstrap,
  type Case,
  type CaseContext,
  type Db,
  holdClaim,
  removeRow,
  rowOf,
  thrownAs,
  VERSION,
} from './support.ts';

const OLD = '0000_old';
const AT_ONCE = { onContention: 'return' } as const;

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a claim that another caller takes between the look and ours is theirs',
    each: 'live',
    async run(t) {
      const other = await withLedger(t);
      const db = betweenLookAndClaim(t, () => claimOf(other, VERSION));
      let runs = 0;
      const { outcome } = await bootstrap(t, db, (_) => void runs++, AT_ONCE);
      assert.deepEqual([outcome, runs], ['pending', 0]);
      assert.equal((await rowOf(other))?.owner, 'faster');
    },
  },
  {
    name: 'a line of which another caller takes a part in between is given back whole',
    each: 'live',
    async run(t) {
      const other = await withLedger(t);
      const db = betweenLookAndClaim(t, () => claimOf(other, OLD));
      const { outcome } = await bootstrap(t, db, never, { ...AT_ONCE, upgrades: LINE });
      assert.equal(outcome, 'pending');
      assert.equal((await rowOf(other, OLD))?.owner, 'faster');
      assert.equal(await rowOf(other), undefined);
    },
  },
  {
    name: 'a database that leaves the line in between gets none of its steps',
    each: 'live',
    async run(t) {
      const other = await withLedger(t);
      const db = betweenLookAndClaim(
        t,
        () => bootstrap(t, other, (_) => {}, { version: 'elsewhere', strategy: 'lease' }),
      );
      await thrownAs(NoUpgradePathError, bootstrap(t, db, never, { upgrades: LINE }));
      assert.equal(await rowOf(other), undefined);
    },
  },
];

const LINE = [{ from: OLD, ddl: never }];

function never(_: Db): void {
  assert.fail('the ddl was run');
}

/** An instance on a database that has a ledger, so that nobody needs to make it. */
async function withLedger(t: CaseContext): Promise<Db> {
  const db = t.connect();
  await holdClaim(db, { leaseMs: 60_000 });
  await removeRow(db);
  await removeRow(db, '0000_nothing');
  return db;
}

async function claimOf(db: Db, version: string): Promise<void> {
  await holdClaim(db, { version, owner: 'faster', leaseMs: 60_000 });
  await removeRow(db, '0000_nothing');
}

/** An instance that has looked at the ledger before `change` happens, and claims after it. */
function betweenLookAndClaim(t: CaseContext, change: () => Promise<unknown>): Db {
  let changed: Promise<unknown> | undefined;
  return faulty(t.connect(), {
    // Some drivers take the write lock here.
    async begin(run) {
      await (changed ??= change());
      await run();
    },
    async query(text, send) {
      if (/^insert into \S*"migrations"/i.test(text)) await (changed ??= change());
      return await send();
    },
  });
}
