/**
 * Faults on the real engines, from outside of the process that installs: whatever dies, nothing
 * partial is left where that is promised, the next caller succeeds, and no install that was
 * acknowledged is lost.
 *
 * @module
 */

import { after, test } from 'node:test';

import { STRATEGIES } from './faults/aftermath.ts';
import { KILLED, killInstallers } from './faults/installers.ts';
import { crash, mortals } from './faults/servers.ts';
import { killChildren } from './support/child.ts';

// Bun ends a test after 5 s unless told otherwise.
const options = { timeout: 900_000 };

after(killChildren);

for (const subject of KILLED) {
  for (const strategy of STRATEGIES) {
    test(
      `SIGKILL of the installer [${subject.name}, ${strategy}]`,
      options,
      () => killInstallers(subject, strategy),
    );
  }
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

test('the servers stop', options, async () => {
  for (const { engine } of KILLED) await (await engine.start()).stop();
});
