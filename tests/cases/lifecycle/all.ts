/**
 * Every case about the life of a schema, for any engine and any test runner.
 *
 * @module
 */

import type { Strategy } from '../../../mod.ts';
import type { Capabilities } from '../support.ts';
import { cases as adopt } from './adopt.ts';
import { cases as drift } from './drift.ts';
import { cases as rolling } from './rolling.ts';
import { cases as status } from './status.ts';
import { callerOn, type LifeCapabilities, type LifeCase, type LifeDatabase } from './support.ts';
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
export interface LifeTest<Database = LifeDatabase> {
  /** The promise, and the strategy where there is more than one. */
  readonly name: string;
  /** As of a case. */
  readonly alone: boolean;
  /** Resolves if the promise is kept in this database, which must be empty. */
  run(database: Database): Promise<void>;
}

/** The cases that an engine can run, once for each strategy that it can do; those that run alone last. */
export function testsFor(
  engine: LifeCapabilities,
  cases: readonly LifeCase[] = CASES,
): LifeTest[] {
  const isMet = ({ needs = {} }: LifeCase) =>
    Object.entries(needs).every(([name, value]) => engine[name as keyof typeof engine] === value);
  const tests = cases.filter(isMet).flatMap(({ name, each, alone = false, run }): LifeTest[] =>
    (each ? strategiesOf(engine) : ['auto' as const]).map((strategy) => ({
      name: each ? `${name} [${strategy}]` : name,
      alone,
      run: (database) =>
        run({
          ...engine,
          strategy,
          connect: (options) => database.connect(options),
          caller: (onStatement) => callerOn(database, strategy === 'batch', onStatement),
          tables: () => database.tables(),
          older: () => database.older!(),
        }),
    }))
  );
  return tests.toSorted((a, b) => Number(a.alone) - Number(b.alone));
}

/** The strategies that an engine can do. */
export function strategiesOf({ transactions, batches }: Capabilities): Strategy[] {
  return [
    ...(transactions ? ['transaction' as const] : []),
    'lease',
    ...(batches ? ['batch' as const] : []),
  ];
}
