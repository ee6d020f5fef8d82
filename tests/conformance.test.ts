/**
 * The conformance suite on every engine.
 *
 * @module
 */

import process from 'node:process';
import { test } from 'node:test';

import { CASES, QUICK_CASES, testsFor } from './cases/all.ts';
import { capabilitiesOf, caseDatabaseOf } from './cases/on_engine.ts';
import { within } from './cases/support.ts';
import { type RunningEngine, startFor } from './engines/engine.ts';
import { engines } from './engines/list.ts';
import { ahead } from './support/ahead.ts';

/** No case takes half as long; one that hangs is a failure, not the end of the run. */
const CEILING_MS = 90_000;

/** How many cases run at the same time. */
const WIDTH = 8;

// Bun ends a test after 5 seconds unless told otherwise.
const TIMEOUT_MS = 120_000;

// Set by the test command for all runtimes but the first.
const cases = process.env.DB_MIGRATE_QUICK ? QUICK_CASES : CASES;

// Also set by the test command, which has not the time for all of them.
const names = process.env.DB_MIGRATE_ENGINES?.split(',');

for (const engine of engines.filter(({ name }) => names?.includes(name) ?? true)) {
  const tests = testsFor(capabilitiesOf(engine), cases);
  let started: Promise<RunningEngine> | undefined;
  const { runs, settled } = ahead(
    WIDTH,
    tests.map(({ run, alone }) => ({
      alone,
      run: async () => {
        started ??= startFor(WIDTH, engine);
        const database = await (await started).create();
        try {
          await within(CEILING_MS, run(caseDatabaseOf(engine, database)));
        } finally {
          await database.drop();
        }
      },
    })),
  );
  for (const [n, { name }] of tests.entries()) {
    test(`${engine.name}: ${name}`, { timeout: TIMEOUT_MS }, runs[n]!);
  }
  test(`${engine.name}: stops`, { timeout: TIMEOUT_MS }, async () => {
    await settled();
    await (await started)?.stop();
  });
}
