/**
 * The conformance suite: every promise of the library, for any engine and any test runner.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';
import { connectWithBatch } from './batches.ts';
import { cases as answers } from './answers.ts';
import { cases as between } from './between.ts';
import { cases as createBootstrap } from './create_bootstrap.ts';
import { cases as ddl } from './ddl.ts';
import { cases as drivers } from './drivers.ts';
import { cases as failures } from './failures.ts';
import { cases as installing } from './install.ts';
import { cases as ledgers } from './ledgers.ts';
import { cases as mistakes } from './mistakes.ts';
import { cases as postgres } from './postgres.ts';
import { cases as races } from './races.ts';
import type { Capabilities, Case, CaseDatabase } from './support.ts';
import { cases as takeover } from './takeover.ts';
import { cases as waiting } from './waiting.ts';

/** Every case. */
export const CASES: readonly Case[] = [
  ...installing,
  ...races,
  ...failures,
  ...mistakes,
  ...waiting,
  ...takeover,
  ...ledgers,
  ...ddl,
  ...drivers,
  ...answers,
  ...between,
  ...createBootstrap,
  ...postgres,
];

/** The cases that do not live on waiting: what runs under every runtime, besides one that runs all. */
export const QUICK_CASES: readonly Case[] = [
  ...installing,
  ...races,
  ...failures,
  ...mistakes,
  ...ledgers,
  ...ddl,
];

/** One run of a case: on one engine, with one strategy. */
export interface ConformanceTest {
  /** The promise, and the strategy where there is more than one. */
  readonly name: string;
  readonly strategy: Strategy | 'auto';
  /** See {@linkcode Case.alone}. */
  readonly alone: boolean;
  /** Resolves if the promise is kept in this database, which must be empty. */
  run(database: CaseDatabase): Promise<void>;
}

/**
 * The cases that an engine can run, once for each strategy that it can do. Those that run alone come
 * last: in between, everything would stand still until each can begin.
 */
export function testsFor(
  engine: Capabilities,
  cases: readonly Case[] = CASES,
): ConformanceTest[] {
  const tests = cases.filter((one) => isMet(one, engine)).flatMap((one): ConformanceTest[] =>
    strategiesOf(one, engine).map((strategy) => ({
      name: one.each ? `${one.name} [${strategy}]` : one.name,
      strategy,
      alone: one.alone ?? false,
      run: (database) =>
        one.run({
          dialect: engine.dialect,
          transactions: engine.transactions,
          concurrent: engine.concurrent,
          lasting: engine.lasting,
          batches: engine.batches,
          strategy,
          connect: strategy === 'batch'
            ? (options) => connectWithBatch(database, options)
            : (options) => database.connect(options),
        }),
    }))
  );
  return tests.toSorted((a, b) => Number(a.alone) - Number(b.alone));
}

function isMet({ needs = {} }: Case, engine: Capabilities): boolean {
  return Object.entries(needs).every(([name, value]) =>
    engine[name as keyof Capabilities] === value
  );
}

function strategiesOf(
  { each }: Case,
  { transactions, batches }: Capabilities,
): (Strategy | 'auto')[] {
  if (!each) return ['auto'];
  return [
    ...(transactions ? ['transaction' as const] : []),
    ...(each !== 'atomic' ? ['lease' as const] : []),
    ...(batches && each !== 'live' ? ['batch' as const] : []),
  ];
}
