/**
 * The life of a schema on every engine: upgrades, rolling deploys, drift, status and hand-over.
 *
 * @module
 */

import process from 'node:process';
import { test } from 'node:test';

import { CHECKSUM_CASES } from './cases/lifecycle/checksums.ts';
import { testsOn } from './cases/lifecycle/on_engine.ts';
import { type RunningEngine, startFor } from './engines/engine.ts';
import { engines } from './engines/list.ts';
import { ahead } from './support/ahead.ts';

// Bun ends a test after 5 s unless told otherwise.
const timeout = 120_000;

/** How many cases run at the same time. */
const WIDTH = 8;

for (const { name, run } of CHECKSUM_CASES) test(`checksum: ${name}`, { timeout }, run);

// Set by the test command, which has not the time for all of them under all runtimes.
const names = process.env.DB_MIGRATE_ENGINES?.split(',');

for (const engine of engines.filter(({ name }) => names?.includes(name) ?? true)) {
  const tests = testsOn(engine);
  let started: Promise<RunningEngine> | undefined;
  const { runs, settled } = ahead(
    WIDTH,
    tests.map(({ run }) => ({
      run: async () => {
        started ??= startFor(WIDTH, engine);
        const database = await (await started).create();
        try {
          await run(database);
        } finally {
          await database.drop();
        }
      },
    })),
  );
  for (const [n, { name }] of tests.entries()) {
    test(`${engine.name}: ${name}`, { timeout }, runs[n]!);
  }
  test(`${engine.name}: stops`, { timeout }, async () => {
    await settled();
    await (await started)?.stop();
  });
}
