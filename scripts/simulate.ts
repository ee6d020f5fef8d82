/**
 * Simulates callers of the library on a virtual clock: every schedule of two of them with at most
 * one fault, within a bound of pre-emptions, and seeded random runs of three to five of them with
 * several faults. The last line is `N passed, N failed`, and the exit code is 1 if anything failed.
 *
 *     deno task simulate                     all of it, a minute or two
 *     deno task simulate --deep              further bounds, ten minutes or more
 *     deno task simulate --seeds 20000       so many random runs
 *     deno task simulate --from 5000         with seeds from here on
 *     deno task simulate --random            random runs only
 *     deno task simulate --only lease        the scenarios with "lease" in their names
 *     deno task simulate --seed 7            one random run as a timeline
 *     deno task simulate --schedule 3/1/0/0  one schedule of a search, likewise
 *     deno task simulate --reference         what is wrong with claim-then-DDL
 *
 * A pre-emption passes over a caller that could go on. Which callers start first, which timer
 * fires, and where a fault strikes is chosen freely. Two schedules that lead to the same state go on
 * alike, so only one of them is followed.
 *
 * @module
 */

import * as library from '../mod.ts';
import { catalogue, isLong } from '../tests/simulator/catalogue.ts';
import { runSeed } from '../tests/simulator/random.ts';
import { findTeeth } from '../tests/simulator/teeth.ts';
import { timeline } from '../tests/simulator/timeline.ts';
import { evictions, type Job, nameOf, replaySchedule, type Result } from './simulate/jobs.ts';
import { readArguments, wholeNumber } from './checks/arguments.ts';
import { inParallel } from './checks/parallel.ts';
import { LIBRARY, Pool } from './simulate/pool.ts';

/** Random runs in one job. */
const SLICE = 250;

const terminal = Deno.stdout.isTerminal();

const values = readArguments({
  deep: { type: 'boolean', default: false },
  from: { type: 'string', default: '1' },
  only: { type: 'string' },
  random: { type: 'boolean', default: false },
  reference: { type: 'boolean', default: false },
  schedule: { type: 'string' },
  seed: { type: 'string' },
  seeds: { type: 'string', default: '2000' },
});
const seed = wholeNumber('seed', values.seed);
const seeds = wholeNumber('seeds', values.seeds);
const from = wholeNumber('from', values.from);

/** The jobs, those that take long first, so that no thread has nothing to do at the end. */
function plan(): Job[] {
  const searches = catalogue(library).flatMap(({ name }, scenario): Job[] => {
    if (values.random || !name.includes(values.only ?? '')) return [];
    const isShallow = isLong(name) && !values.deep;
    return [
      { kind: 'search', scenario, preemptions: isShallow ? 0 : 1, faults: 1 },
      { kind: 'search', scenario, preemptions: values.deep ? 3 : 2, faults: 0 },
      ...evictions(library).filter((search) => search.scenario === scenario),
    ];
  });
  const slices: Job[] = [];
  const count = values.only === undefined ? seeds : 0;
  for (let done = 0; done < count; done += SLICE) {
    slices.push({ kind: 'random', from: from + done, count: Math.min(SLICE, count - done) });
  }
  return [...searches.sort((a, b) => faultsOf(b) - faultsOf(a)), ...slices];
}

function faultsOf(job: Job): number {
  return job.kind === 'search' ? job.faults : 0;
}

async function main(): Promise<boolean> {
  if (seed !== undefined) {
    const { scenario, outcome } = await runSeed(library, seed, { isTraced: true });
    console.log(timeline(scenario, outcome));
    return !outcome.violation;
  }
  if (values.schedule !== undefined) {
    const { scenario, outcome } = await replaySchedule(values.schedule, library);
    console.log(timeline(scenario, outcome));
    return !outcome.violation;
  }
  const teeth = await findTeeth();
  if (values.reference) {
    console.log(teeth.map(({ text }) => text).join('\n\n'));
    return teeth.every(({ isFound }) => isFound);
  }
  return await simulate(teeth);
}

async function simulate(teeth: Awaited<ReturnType<typeof findTeeth>>): Promise<boolean> {
  const startedAt = performance.now();
  const total = { passed: 0, failed: 0, schedules: 0, cut: 0, faults: 0, steps: 0, random: 0 };
  for (const { name, isFound } of teeth) {
    total[isFound ? 'passed' : 'failed']++;
    print(isFound, `claim-then-DDL: ${name}`, 'the checker finds it');
  }
  const jobs = plan();
  const pool = new Pool();
  let done = 0;
  await inParallel(jobs, async (job) => {
    const { what, bounds } = nameOf(job, library);
    const result = await pool.run(job, LIBRARY).catch((error): Result => ({
      schedules: 0,
      cut: 0,
      faults: 0,
      steps: 0,
      failures: [String(error)],
    }));
    const { failures } = result;
    total[failures.length === 0 ? 'passed' : 'failed']++;
    total.cut += result.cut;
    total.faults += result.faults;
    total.steps += result.steps;
    total[job.kind === 'random' ? 'random' : 'schedules'] += result.schedules;
    print(failures.length === 0, what, bounds, result.schedules);
    for (const failure of failures) console.log(`\n${failure}\n`);
    if (terminal) write(`      ${++done} of ${jobs.length}`);
  });
  pool.close();
  if (terminal) write('\r\x1b[K');
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log([
    '',
    `${figure(total.schedules)} schedules of two callers, each to its end`,
    `${figure(total.cut)} more that came to a state seen before`,
    `${figure(total.random)} random runs of three to five callers, seeds from ${from}`,
    `${figure(total.faults)} faults, ${figure(total.steps)} steps, every invariant after each`,
    `in ${seconds.toFixed(0)} s`,
    '',
    `${total.passed} passed, ${total.failed} failed`,
  ].join('\n'));
  return total.failed === 0 && total.passed > 0;
}

function print(isGood: boolean, what: string, bounds: string, schedules?: number): void {
  const count = schedules === undefined ? '' : figure(schedules).padStart(7);
  const line = `${what.slice(0, 42).padEnd(42)} ${bounds.padEnd(24)}${count}`.trimEnd();
  if (terminal) write('\r\x1b[K');
  console.log(`${isGood ? 'ok  ' : 'FAIL'} ${line}`);
}

function figure(count: number): string {
  return count.toLocaleString('en');
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

Deno.exit(await main() ? 0 : 1);
