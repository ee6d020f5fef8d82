/**
 * What the simulation is made of: searches and slices of random runs, each of which is one test.
 *
 * @module
 */

import { catalogue } from '../../tests/simulator/catalogue.ts';
import { type Bounds, explore, replay } from '../../tests/simulator/explore.ts';
import { runSeed } from '../../tests/simulator/random.ts';
import type { Scenario } from '../../tests/simulator/scenario.ts';
import { type Fault, FAULTS, type Outcome } from '../../tests/simulator/simulation.ts';
import { timeline } from '../../tests/simulator/timeline.ts';
import { withSurroundings } from '../../tests/simulator/globals.ts';

/** The library, or a copy of it. */
export type Library = Parameters<typeof catalogue>[0];

/** Every schedule of one scenario, within bounds. */
export interface Search {
  readonly kind: 'search';
  /** Its number in the catalogue. */
  readonly scenario: number;
  readonly preemptions: number;
  readonly faults: number;
  /** Only faults of these kinds. */
  readonly kinds?: readonly Fault[];
  /** Ends with the first failure, however it came about. */
  readonly isBrief?: boolean;
}

/** Searches for what has to meet for a transaction to be lost while its claim is renewed. */
export function evictions(library: Library): Search[] {
  return catalogue(library).flatMap(({ name }, scenario) =>
    name === 'transactions on sqld'
      ? [{ kind: 'search', scenario, preemptions: 0, faults: 2, kinds: ['slow', 'evicted'] }]
      : []
  );
}

/** The runs of some seeds. */
export interface Slice {
  readonly kind: 'random';
  readonly from: number;
  readonly count: number;
  /** Ends with the first failure, and does not look for a smaller one. */
  readonly isBrief?: boolean;
}

/** One test. */
export type Job = Search | Slice;

/** What a job came to. */
export interface Result {
  /** Runs to their end. */
  readonly schedules: number;
  /** Runs that came to a state from which all had been tried before. */
  readonly cut: number;
  /** Faults that were injected. */
  readonly faults: number;
  readonly steps: number;
  /** For each failure its timeline, and how to see it again. */
  readonly failures: readonly string[];
}

/** A job in words. */
export function nameOf(job: Job, library: Library): { what: string; bounds: string } {
  if (job.kind === 'random') {
    const what = `seeds ${job.from} to ${job.from + job.count - 1}`;
    return { what, bounds: '3-5 callers, 0-4 faults' };
  }
  const { preemptions, faults, kinds } = job;
  const what = catalogue(library)[job.scenario]!.name;
  const pre = `${preemptions} pre-emption${preemptions === 1 ? '' : 's'}`;
  if (kinds) return { what, bounds: `${preemptions} pre., ${faults} of ${kinds.join(', ')}` };
  return { what, bounds: `${pre}, ${faults} fault${faults === 1 ? '' : 's'}` };
}

/** Does a job. */
export async function doJob(job: Job, library: Library): Promise<Result> {
  return job.kind === 'search' ? await search(job, library) : await slice(job, library);
}

async function search(job: Search, library: Library): Promise<Result> {
  const scenario = catalogue(library)[job.scenario]!;
  const found = await explore(scenario, { ...boundsOf(job), findAll: !job.isBrief });
  const failures = found.violations.map(({ choices, outcome }) => {
    const limits = [job.faults, ...job.kinds ?? []].join('+');
    const id = `${job.scenario}/${job.preemptions}/${limits}/${encode(choices)}`;
    return `${timeline(scenario, outcome)}\nAgain: deno task simulate --schedule ${id}`;
  });
  const faults = Object.values(found.faults).reduce((sum, count) => sum + count, 0);
  const { schedules, cut, steps } = found;
  return { schedules, cut, faults, steps, failures };
}

async function slice({ from, count, isBrief }: Slice, library: Library): Promise<Result> {
  let faults = 0;
  let steps = 0;
  const failures: string[] = [];
  for (let seed = from; seed < from + count; seed++) {
    const { scenario, outcome, shrinks } = await runSeed(library, seed, { isShrinking: !isBrief });
    faults += outcome.faults.length;
    steps += outcome.steps;
    if (!outcome.violation) continue;
    const again = `Again: deno task simulate --seed ${seed} (made smaller ${shrinks} times)`;
    failures.push(`${timeline(scenario, outcome)}\n${again}`);
    if (isBrief) break;
  }
  return { schedules: count, cut: 0, faults, steps, failures };
}

function boundsOf({ preemptions, faults, kinds = FAULTS }: Omit<Search, 'kind'>): Bounds {
  return { preemptions, faults: faults > 0 ? kinds : [], mostFaults: faults };
}

/** A schedule as a failed search prints it, run again. */
export async function replaySchedule(
  id: string,
  library: Library,
): Promise<{ scenario: Scenario; outcome: Outcome }> {
  const [index, preemptions, limits, list = ''] = id.split('/');
  const scenario = catalogue(library)[Number(index)];
  if (!scenario || limits === undefined) throw new Error(`"${id}" is not a schedule`);
  const [faults, ...kinds] = limits.split('+');
  const bounds = boundsOf({
    scenario: Number(index),
    preemptions: Number(preemptions),
    faults: Number(faults),
    ...(kinds.length > 0 && { kinds: kinds as Fault[] }),
  });
  const outcome = await withSurroundings(() => replay(scenario, bounds, decode(list)));
  return { scenario, outcome };
}

/** Choices as text: `4,0x9,1` is 4, then nine times 0, then 1; zeros at the end go without saying. */
function encode(choices: readonly number[]): string {
  const list = choices.slice(0, choices.findLastIndex((choice) => choice !== 0) + 1).join(',');
  return list.replaceAll(/\b0(,0)+\b/g, (zeros) => `0x${(zeros.length + 1) / 2}`);
}

function decode(list: string): number[] {
  return list.split(',').filter((part) => part !== '').flatMap((part) =>
    part.startsWith('0x') ? Array(Number(part.slice(2))).fill(0) : [Number(part)]
  );
}
