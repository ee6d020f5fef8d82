/**
 * The cases about the life of a schema on an engine of the tests.
 *
 * @module
 */

import type { Engine, TestDatabase } from '../../engines/engine.ts';
import { capabilitiesOf, caseDatabaseOf } from '../on_engine.ts';
import { type LifeTest, testsFor } from './all.ts';
import { olderKysely } from './older_kysely.ts';
import type { LifeCase } from './support.ts';

/** The cases that an engine can run, once for each strategy that it can do. */
export function testsOn(engine: Engine, cases?: readonly LifeCase[]): LifeTest<TestDatabase>[] {
  const older = olderKysely(engine);
  const able = { ...capabilitiesOf(engine), engine: engine.name, older: older !== undefined };
  return testsFor(able, cases).map(({ name, alone, run }) => ({
    name,
    alone,
    run: (database) =>
      run({
        ...caseDatabaseOf(engine, database),
        tables: () => database.tables(),
        ...(older && { older: () => older(database) }),
      }),
  }));
}
