/**
 * Real processes on real SQLite files: racing, killed, stopped.
 *
 * @module
 */

import { after, test } from 'node:test';

import { COUNTS } from './processes/counts.ts';
import { killLeaseOwners } from './processes/killed_lease.ts';
import { killAtAnyTime, killBetweenStatements } from './processes/killed_transaction.ts';
import { pauseLeaseOwners } from './processes/paused_lease.ts';
import { findReadOnly, installAmongReaders } from './processes/readers.ts';
import { stampede, stampedeOfClaimThenDdl } from './processes/stampede.ts';
import { killChildren } from './support/child.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };

after(killChildren);

for (const journal of ['wal', 'delete'] as const) {
  for (const busyTimeoutMs of [0, 5_000]) {
    const how = `${journal}, busy timeout ${busyTimeoutMs}`;
    test(
      `${COUNTS.callers} processes at once install once, ${how}`,
      options,
      () => stampede(journal, busyTimeoutMs),
    );
  }
}

for (const busyTimeoutMs of [0, 5_000]) {
  test(
    `the same race shows what is wrong with claim-then-DDL, busy timeout ${busyTimeoutMs}`,
    options,
    () => stampedeOfClaimThenDdl(busyTimeoutMs),
  );
}

test('SIGKILL at any time of a transaction leaves all or nothing', options, killAtAnyTime);

test(
  'SIGKILL between two statements of a transaction leaves all or nothing',
  options,
  killBetweenStatements,
);

test(
  'SIGKILL of a lease owner: others take over, not before its claim has run out',
  options,
  killLeaseOwners,
);

test(
  'SIGSTOP of a lease owner: it is passed, and does no harm when it wakes up',
  options,
  pauseLeaseOwners,
);

test('readers make COMMITs fail, and no caller throws', options, installAmongReaders);

for (const journal of ['wal', 'delete'] as const) {
  test(
    `a connection that may only read needs one statement, ${journal}`,
    options,
    () => findReadOnly(journal),
  );
}
