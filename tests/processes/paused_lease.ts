/**
 * Lease owners that are stopped, passed by another caller, and continued.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { COUNTS, TABLES, tell } from './counts.ts';
import { during } from './during.ts';
import { assertWhole, inFolder, look } from './files.ts';
import { killCall, measureCall } from './kill.ts';
import { LEASE_MS, leaseRace } from './lease.ts';
import type { Halt } from './messages.ts';
import { assertRace, ordersOf, problemsOf, type Race, race } from './race.ts';
import { seeded, spreadInteger } from './random.ts';
import { withWorkers, WorkerProcess } from './worker_process.ts';

/** Where an owner is stopped, and whether it wakes up while the other one is still installing. */
interface Pause {
  at: Omit<Halt, 'by'>;
  isShort: boolean;
  /** There is an expired claim already, so that the one who is stopped is about to take it over. */
  isSecond?: boolean;
}

/** How a caller takes an expired claim over, and how it finishes its own. */
const TAKE_OVER = 'delete from "main"."migrations"';
const FINISH = 'update "main"."migrations" set state';

/** Stops owners before a statement, which is then in flight, and while the DDL rests. */
export async function pauseLeaseOwners(): Promise<void> {
  await seeded((random) =>
    inFolder((folder) =>
      withWorkers(1, async ([next]) => {
        const { statements } = await measureCall(leaseRace(folder, 'whole.db'));
        const before = spreadInteger(random, COUNTS.pauses / 2, 1, statements);
        const after = spreadInteger(random, COUNTS.pauses / 2, 1, TABLES);
        const pauses: Pause[] = [
          ...before.map((beforeStatement) => ({ at: { beforeStatement }, isShort: false })),
          ...after.map((afterTable) => ({ at: { afterTable }, isShort: false })),
          // The last guard: a finish of the owner's own, while the claim is somebody else's.
          { at: { beforeSql: FINISH }, isShort: true },
          { at: { afterTable: after[0]! }, isShort: true },
          // The same for a takeover: both have seen the expired claim, and only one may have it.
          { at: { beforeSql: TAKE_OVER }, isShort: true, isSecond: true },
          { at: { beforeSql: TAKE_OVER }, isShort: false, isSecond: true },
        ];
        const outcomes = new Map<string, number>();
        for (const [n, pause] of pauses.entries()) {
          await during(`pause ${n} (${JSON.stringify(pause)})`, async () => {
            const outcome = await passStopped(next!, leaseRace(folder, `${n}.db`), pause);
            outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
          });
        }
        const summary = JSON.stringify(Object.fromEntries(outcomes));
        tell(`${pauses.length} pauses, the owners said: ${summary}`);
        assert.ok(outcomes.has('LeaseLostError'), `no claim was lost: ${summary}`);
      })
    )
  );
}

/** Stops an owner, has another caller install, and tells what the owner said when continued. */
async function passStopped(next: WorkerProcess, options: Race, pause: Pause): Promise<string> {
  if (pause.isSecond) {
    await killCall(options, { afterTable: 1 });
    await new Promise((resolve) => setTimeout(resolve, LEASE_MS + 10));
  }
  const { open, call } = ordersOf({ ...options, isVerbose: true });
  const owner = await WorkerProcess.start();
  try {
    await next.ask({ kind: 'guard', pid: owner.pid }, 'guarding');
    await owner.ask(open, 'opened');
    await owner.ask({ ...call, halt: { ...pause.at, by: 'stop' } }, 'halted');
    const [claim] = look(options.path).ledger;
    const reported = owner.reports.length;

    const passing = race([next], { ...options, pauseMs: 5 });
    if (pause.isShort) await anotherOwner(options.path, claim?.owner);
    else await passing;
    const woken = await owner.wakeUp();
    const passed = await passing;

    assertRace(passed, options, claim?.state === 'installed' ? 0 : 1);
    if (claim?.state === 'installing') assert.ok(passed[0]!.ddlAt! >= claim.lease!);
    assert.equal(woken.installed, claim?.state === 'installed');
    if (woken.error) assert.equal(woken.error.name, 'LeaseLostError');
    else assert.deepEqual(problemsOf(woken), []);
    // The statement at which it was stopped was reported before: that one was in flight.
    const late = owner.reports.slice(reported).filter((report) =>
      report.kind === 'statement' && /^create table .*"t\d{3}"/.test(report.sql)
    );
    assert.deepEqual(late, []);
    assertWhole(options.path, TABLES);
    await next.ask({ kind: 'guard', pid: null }, 'guarding');
    return woken.error?.name ?? woken.outcome;
  } finally {
    await owner.kill();
  }
}

/** Waits until somebody else holds the claim. */
async function anotherOwner(path: string, owner: string | undefined): Promise<void> {
  while (look(path).ledger[0]?.owner === owner) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
