/**
 * Faults on the real engines, from outside of the process that installs: whatever dies, nothing
 * partial is left where that is promised, the next caller succeeds, and no install that was
 * acknowledged is lost.
 *
 * @module
 */

import { after, test } from 'node:test';

import type { Strategy } from '../mod.ts';
import { STRATEGIES } from './faults/asks.ts';
import { KILLED, killInstallers } from './faults/installers.ts';
import { FILE_STRATEGIES, JOURNALS, tightPlaces } from './faults/disks.ts';
import { D1_STRATEGIES, endIsolates, ISOLATE_ENDS, stopIsolates } from './faults/isolates.ts';
import { crash, mortals } from './faults/servers.ts';
import { several } from './faults/several.ts';
import { notice, WRONGS } from './faults/teeth.ts';
import { failWire, WIRES } from './faults/wires.ts';
import { during } from './processes/during.ts';
import { killChildren } from './support/child.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };

after(killChildren);

/** Under all strategies at the same time, since most of it is waiting. */
function underEach(run: (strategy: Strategy) => Promise<void>): Promise<void> {
  return several(
    STRATEGIES.length,
    STRATEGIES,
    (strategy) => during(strategy, () => run(strategy)),
  );
}

for (const wrong of WRONGS) {
  test(`the checker notices ${wrong.name}`, options, () => notice(wrong));
}

for (const subject of KILLED) {
  test(
    `SIGKILL of the installer [${subject.name}]`,
    options,
    () => underEach((strategy) => killInstallers(subject, strategy)),
  );
}

for (const mortal of mortals()) {
  for (const end of mortal.ends) {
    for (const strategy of STRATEGIES) {
      test(
        `the server ends by ${end} and starts again [${mortal.name}, ${strategy}]`,
        options,
        () => crash(mortal, strategy, end),
      );
    }
  }
}

for (const wired of WIRES) {
  test(
    `requests or answers are lost, silence, delay [${wired.subject.name}]`,
    options,
    () => underEach((strategy) => failWire(wired, strategy)),
  );
}

for (const end of ISOLATE_ENDS) {
  for (const strategy of D1_STRATEGIES) {
    test(
      `Workers die in the middle of an install: ${end} [d1, ${strategy}]`,
      options,
      () => endIsolates(strategy, end),
    );
  }
}

for (const { name, run } of tightPlaces()) {
  for (const journal of JOURNALS) {
    for (const strategy of FILE_STRATEGIES) {
      test(
        `no room: ${name} [sqlite, ${journal}, ${strategy}]`,
        options,
        () => run({ journal, strategy }),
      );
    }
  }
}

test('the servers stop', options, async () => {
  await stopIsolates();
  for (const { engine } of KILLED) await (await engine.start()).stop();
});
