/**
 * Every case about the life of a schema, for any engine and any test runner.
 *
 * @module
 */

import type { Strategy } from '../../../mod.ts';
import { BATCHES } from '../../batch/subjects.ts';
import type { Engine, TestDatabase } from '../../engines/engine.ts';
import { cases as adopt } from './adopt.ts';
import { cases as drift } from './drift.ts';
import { olderKysely } from './older_kysely.ts';
import { cases as rolling } from './rolling.ts';
import { cases as status } from './status.ts';
import { callerOn, type LifeCase } from './support.ts';
import { cases as upgrades } from './upgrades.ts';

/** Every case. */
export const CASES: readonly LifeCase[] = [
  ...upgrades,
  ...rolling,
  ...drift,
  ...status,
  ...adopt,
];

/** One run of a case: on one engine, with one strategy. */
export interface LifeTest {
  /** The promise, and the strategy where there is more than one. */
  readonly name: string;
  /** Resolves if the promise is kept in this database, which must be empty. */
  run(database: TestDatabase): Promise<void>;
}

/** The cases that an engine can run, once for each strategy that it can do. */
export function testsFor(engine: Engine, cases: readonly LifeCase[] = CASES): LifeTest[] {
  const { dialect, transactions, concurrent } = engine;
  // sqld takes the write lock from a transaction after 5 s, once somebody else wants it.
  const lasting = engine.name !== 'libsql-http';
  const able = { dialect, transactions, concurrent, lasting, batches: engine.name in BATCHES };
  const isMet = ({ needs = {} }: LifeCase) =>
    Object.entries(needs).every(([name, value]) => able[name as keyof typeof able] === value);
  return cases.filter(isMet).flatMap(({ name, each, run }) =>
    (each ? strategiesOf(engine) : ['auto' as const]).map((strategy) => ({
      name: each ? `${name} [${strategy}]` : name,
      run: (database) =>
        run({
          ...able,
          engine: engine.name,
          strategy,
          connect: (options) => database.connect({ busyTimeoutMs: 0, ...options }),
          caller: (onStatement) => callerOn(engine, database, strategy === 'batch', onStatement),
          tables: () => database.tables(),
          ...olderKysely(engine, database),
        }),
    }))
  );
}

/** The strategies that an engine can do. */
export function strategiesOf({ name, transactions }: Engine): Strategy[] {
  return [
    ...(transactions ? ['transaction' as const] : []),
    'lease',
    ...(name in BATCHES ? ['batch' as const] : []),
  ];
}
