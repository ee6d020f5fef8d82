/**
 * The conformance suite on every engine.
 *
 * @module
 */

import process from 'node:process';

import { CASES, QUICK_CASES, testsFor } from './cases/all.ts';
import { capabilitiesOf, caseDatabaseOf } from './cases/on_engine.ts';
import { engines } from './engines/list.ts';
import { testOn } from './support/test_on.ts';

// Set by the test command for all runtimes but the first.
const cases = process.env.DB_MIGRATE_QUICK ? QUICK_CASES : CASES;

// For runs by hand, and mutants.
const names = process.env.DB_MIGRATE_ENGINES?.split(',');

for (const engine of engines.filter(({ name }) => names?.includes(name) ?? true)) {
  const tests = testsFor(capabilitiesOf(engine), cases);
  testOn(
    engine,
    tests.map(({ run, ...rest }) => ({
      ...rest,
      run: (database) => run(caseDatabaseOf(engine, database)),
    })),
  );
}
