/**
 * Runs that a seed makes up: three to five callers in any world, several faults, any schedule.
 *
 * @module
 */

import fc from 'fast-check';

import { TIMES, WORLDS } from './catalogue.ts';
import { withSurroundings } from './globals.ts';
import { libraryProtocol } from './protocols.ts';
import { type CallerPlan, lineOf, type Scenario, schemaOf, STARTS } from './scenario.ts';
import { type Chooser, FAULTS, type Option, type Outcome, Simulation } from './simulation.ts';

/** What a seed comes to. */
export interface RandomRun {
  readonly scenario: Scenario;
  readonly outcome: Outcome;
  /** How often fast-check made the run smaller, if it failed. */
  readonly shrinks: number;
}

type World = keyof typeof WORLDS;

/** A run as fast-check makes it up, and makes it smaller. */
interface Draft {
  readonly world: World;
  readonly start: keyof typeof STARTS;
  readonly callers: readonly {
    /** Whether its code has an upgrade that others' code may not have. */
    readonly isNew: boolean;
    /** Which of the strategies that there are in the world. */
    readonly strategy: number;
    readonly clockMs: number;
    readonly isReturning: boolean;
    readonly hasOneConnection: boolean;
    /** The seed of its jitter. */
    readonly jitter: number;
  }[];
  readonly mostFaults: number;
  /** One number a step: 0 goes on as if nothing was the matter. */
  readonly choices: readonly number[];
}

const STRATEGIES: Readonly<Record<World, readonly CallerPlan['strategy'][]>> = {
  sqlite: ['transaction', 'batch', 'lease', 'auto'],
  postgres: ['transaction', 'batch', 'lease', 'auto'],
  stub: ['transaction', 'batch', 'auto'],
  pooled: ['transaction', 'batch', 'auto'],
  sqld: ['transaction', 'batch', 'auto'],
  d1: ['batch', 'auto'],
  replicated: ['batch', 'auto'],
  silent: ['auto', 'batch', 'transaction'],
};

/** Above this number a choice is another one than the first that is no fault; */
const TURN = 600;
/** above this one, it is a fault where there is one to have. */
const FAULT = 900;

const HOURS_MS = 3_600_000;

const drafts: fc.Arbitrary<Draft> = fc.record({
  world: fc.constantFrom(...Object.keys(WORLDS) as World[]),
  start: fc.constantFrom(...Object.keys(STARTS) as (keyof typeof STARTS)[]),
  callers: fc.array(
    fc.record({
      isNew: fc.boolean(),
      strategy: fc.nat(11),
      clockMs: fc.integer({ min: -HOURS_MS, max: HOURS_MS }),
      isReturning: fc.nat(9).map((n) => n === 9),
      hasOneConnection: fc.nat(3).map((n) => n === 3),
      jitter: fc.nat(1_000_000),
    }),
    { minLength: 3, maxLength: 5, size: 'max' },
  ),
  mostFaults: fc.integer({ min: 0, max: 4 }),
  choices: fc.array(fc.nat(999), { minLength: 0, maxLength: 160, size: 'max' }),
});

/** Runs what a seed makes up; if it fails, the smallest run that fails as well. */
export function runSeed(
  library: Parameters<typeof libraryProtocol>[0],
  seed: number,
  { isTraced = false, isShrinking = true }: { isTraced?: boolean; isShrinking?: boolean } = {},
): Promise<RandomRun> {
  return withSurroundings(async () => {
    let last: Omit<RandomRun, 'shrinks'> | undefined;
    const property = fc.asyncProperty(drafts, async (draft) => {
      last = await run(library, draft, isTraced);
      if (last.outcome.violation) throw last.outcome.violation;
    });
    const details = await fc.check(property, {
      seed,
      numRuns: 1,
      unbiased: true,
      endOnFailure: !isShrinking,
    });
    const [smallest] = details.counterexample ?? [];
    if (smallest) last = await run(library, smallest, true);
    return { ...last!, shrinks: details.numShrinks };
  });
}

async function run(
  library: Parameters<typeof libraryProtocol>[0],
  draft: Draft,
  isTraced: boolean,
): Promise<{ scenario: Scenario; outcome: Outcome }> {
  const scenario = scenarioOf(library, draft);
  const { mostFaults } = draft;
  const choose = chooser(draft.choices);
  const conduct = { choose, faults: FAULTS, mostFaults, isTraced };
  return { scenario, outcome: await new Simulation(scenario, conduct).run() };
}

function scenarioOf(
  library: Parameters<typeof libraryProtocol>[0],
  { world, start, callers }: Draft,
): Scenario {
  const strategies = callers.map(({ strategy }) =>
    STRATEGIES[world][strategy % STRATEGIES[world].length]!
  );
  // Whoever may run the DDL twice needs DDL that may be run twice, and so does everybody else.
  const { transactions } = WORLDS[world];
  const isIdempotent = strategies.some((strategy) =>
    strategy === 'lease' || (strategy !== 'batch' && transactions !== 'real')
  );
  const schemas = { old: schemaOf({ isIdempotent }), new: lineOf(isIdempotent) };
  const jitters = new Map(callers.map(({ jitter }, index) => ['ABCDEF'[index]!, jitter]));
  return {
    name: `${callers.length} callers, ${world}: ${strategies.join(', ')}`,
    world: WORLDS[world],
    start: STARTS[start],
    protocol: libraryProtocol(library, TIMES),
    ...TIMES,
    random: (name) => jitter(jitters.get(name) ?? 0),
    callers: callers.map(({ isNew, clockMs, isReturning, hasOneConnection }, index) => ({
      strategy: strategies[index]!,
      // A line refuses a ledger of other versions, as that of 1.0.0 is.
      schema: schemas[isNew && start !== 'old' ? 'new' : 'old'],
      clockMs,
      hasOneConnection,
      ...(isReturning && { onContention: 'return' as const }),
    })),
  };
}

function chooser(choices: readonly number[]): Chooser {
  let step = 0;
  return (options) => {
    const choice = choices[step++] ?? 0;
    if (choice < TURN) return 0;
    const isFault = choice >= FAULT;
    const eligible = options.flatMap(({ fault }: Option, index) =>
      (fault !== undefined) === isFault ? [index] : []
    );
    return eligible[choice % eligible.length] ?? 0;
  };
}

/** Numbers from 0 to 1 that a seed makes up (mulberry32). */
function jitter(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
