/**
 * Lease owners that are killed half-way.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { COUNTS, isFull, tell } from './counts.ts';
import { during } from './during.ts';
import { copyFile, inFolder, look } from './files.ts';
import { killCall, measureCall } from './kill.ts';
import { LEASE_MS, leaseRace } from './lease.ts';
import { assertRace, type Race, race } from './race.ts';
import { seeded, spreadInteger } from './random.ts';
import { withWorkers, type WorkerProcess } from './worker_process.ts';

/** What a dead owner left, or `'early'`: a caller that came while its claim still held. */
type Found = 'unclaimed' | 'claimed' | 'installed' | 'early';

/** Longer than a lease for the whole DDL, so that claims have been renewed when their owner dies. */
const SLOW = { pauseMs: LEASE_MS / 20 };

/** Some call at once, and wait; some when the claim has run out, and race for it. */
export async function killLeaseOwners(): Promise<void> {
  await seeded((random) =>
    inFolder((folder) =>
      withWorkers(6, async (next) => {
        const found: Record<Found, number> = { unclaimed: 0, claimed: 0, installed: 0, early: 0 };
        const { statements } = await measureCall({ ...leaseRace(folder, 'whole.db'), ...SLOW });
        const moments = spreadInteger(random, COUNTS.leaseKills, 1, statements);
        for (const [n, beforeStatement] of moments.entries()) {
          const options = leaseRace(folder, `${n}.db`);
          await during(`kill ${n} (before statement ${beforeStatement})`, async () => {
            await killCall({ ...options, ...SLOW }, { beforeStatement });
            await takeOver(next, options, n % 2 === 0, found);
          });
        }
        tell(`${statements} statements, left after kills: ${JSON.stringify(found)}`);
        // A few callers may all be late on a busy machine.
        if (isFull) {
          assert.ok(found.early > 0, `nobody called during a lease: ${JSON.stringify(found)}`);
        }
      })
    )
  );
}

async function takeOver(
  next: readonly WorkerProcess[],
  options: Race,
  isAtOnce: boolean,
  found: Record<Found, number>,
): Promise<void> {
  const [claim] = look(copyFile(options.path)).ledger;
  if (claim?.state === 'installing' && !isAtOnce) {
    await new Promise((resolve) => setTimeout(resolve, claim.lease! - Date.now() + 2));
  }
  const settled = await race(next, options);
  assertRace(settled, options, claim?.state === 'installed' ? 0 : 1);
  if (claim?.state !== 'installing') {
    found[claim ? 'installed' : 'unclaimed']++;
    return;
  }
  found.claimed++;
  const until = claim.lease!;
  found.early += settled.filter(({ calledAt }) => calledAt < until).length;
  for (const { ddlAt = Infinity, durationMs } of settled) {
    assert.ok(ddlAt >= until, `DDL ${until - ddlAt} ms before the lease was over`);
    assert.ok(durationMs < LEASE_MS + 5_000, `the wait took ${durationMs} ms`);
  }
}
