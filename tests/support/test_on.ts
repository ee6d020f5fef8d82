/**
 * Tests that each need an empty database of an engine, for any test runner.
 *
 * @module
 */

import { test } from 'node:test';

import { within } from '../cases/support.ts';
import { type Engine, type RunningEngine, startFor, type TestDatabase } from '../engines/engine.ts';
import { ahead } from './ahead.ts';

/** How many run at the same time. */
const WIDTH = 8;

/** No test takes half as long; one that hangs is a failure, not the end of the run. */
const CEILING_MS = 90_000;

// Bun ends a test after 5 seconds unless told otherwise.
const options = { timeout: 120_000 };

/** A test of one engine. */
export interface EngineTest {
  readonly name: string;
  /** It holds up everything else in its process, so nothing is to run beside it. */
  readonly alone?: boolean;
  run(database: TestDatabase): Promise<void>;
}

/** Gives tests to the runner; the engine is started by the first, and stopped behind the last. */
export function testOn(engine: Engine, tests: readonly EngineTest[]): void {
  let started: Promise<RunningEngine> | undefined;
  const { runs, settled } = ahead(
    WIDTH,
    tests.map(({ run, alone = false }) => ({
      alone,
      run: async () => {
        started ??= startFor(WIDTH, engine);
        const database = await (await started).create();
        try {
          await within(CEILING_MS, run(database));
        } finally {
          await database.drop();
        }
      },
    })),
  );
  for (const [n, { name }] of tests.entries()) test(`${engine.name}: ${name}`, options, runs[n]!);
  test(`${engine.name}: stops`, options, async () => {
    await settled();
    await (await started)?.stop();
  });
}
