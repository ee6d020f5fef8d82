/**
 * The life of a schema on every engine: upgrades, rolling deploys, drift, status and hand-over.
 *
 * @module
 */

import { test } from 'node:test';

import { testsFor } from './cases/lifecycle/all.ts';
import { CHECKSUM_CASES } from './cases/lifecycle/checksums.ts';
import { engines } from './engines/list.ts';

// Bun ends a test after 5 s unless told otherwise.
const timeout = 120_000;

for (const { name, run } of CHECKSUM_CASES) test(`checksum: ${name}`, { timeout }, run);

for (const engine of engines) {
  for (const { name, run } of testsFor(engine)) {
    test(`${engine.name}: ${name}`, { timeout }, async () => {
      const database = await (await engine.start()).create();
      try {
        await run(database);
      } finally {
        await database.drop();
      }
    });
  }
  test(`${engine.name}: stops`, { timeout }, async () => {
    await (await engine.start()).stop();
  });
}
