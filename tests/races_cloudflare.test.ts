/**
 * Races, deaths and waits in real workerd: isolates on D1, calls of a Durable Object.
 *
 * @module
 */

import { test } from 'node:test';

import { onD1 } from './batch/subjects.ts';
import { d1 } from './engines/cloudflare.ts';
import {
  hangIsolate,
  holdIsolates,
  holdRecorder,
  killIsolates,
  killObject,
  stampedeOnD1,
  stampedeOnObject,
  stopIsolates,
} from './races/cloudflare_cases.ts';
import { findInstalled, raceStale, SESSIONS } from './races/stale.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };

// Without a strategy it is found out that there are no transactions, and a lease is used.
for (const strategy of [undefined, 'lease', 'batch'] as const) {
  test(
    `isolates that wake up together install once [d1, ${strategy ?? 'auto'}]`,
    options,
    () => stampedeOnD1(strategy),
  );
}
for (const strategy of [undefined, 'batch'] as const) {
  test(
    `calls of one object at once install once [durable object, ${strategy ?? 'auto'}]`,
    options,
    () => stampedeOnObject(strategy),
  );
}

test('nobody returns before the winner is let go', options, () => holdIsolates('go'));
test('when the winner fails, one of the others installs', options, () => holdIsolates('fail'));
test('when the winner hangs, the others end in time and name it', options, hangIsolate);
test('nobody waits for one who is still recording its batch', options, holdRecorder);
for (const strategy of ['lease', 'batch'] as const) {
  test(
    `when all isolates are killed, those who come next install [d1, ${strategy}]`,
    options,
    () => killIsolates(strategy),
  );
}
for (const strategy of [undefined, 'batch'] as const) {
  test(
    `when an object is killed, those who come next install [${strategy ?? 'auto'}]`,
    options,
    () => killObject(strategy),
  );
}

for (const strategy of ['batch', 'lease'] as const) {
  for (const session of SESSIONS) {
    test(
      `a replica that lags makes nobody install again [${strategy}, ${session}]`,
      options,
      () => findInstalled(onD1, strategy, session),
    );
    test(
      `callers on replicas that lag install once [${strategy}, ${session}]`,
      options,
      () => raceStale(onD1, strategy, session),
    );
  }
}

test('the isolates stop', options, async () => {
  await stopIsolates();
  await (await d1.start()).stop();
});
