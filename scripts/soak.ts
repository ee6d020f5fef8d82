/**
 * Everything that is too long for the test command, in rounds until the time is over: all mutants,
 * the simulator's further bounds, older releases of Postgres, random runs with new seeds, and the
 * tests that race, kill and break with their full counts. The last line is `N passed, N failed`, and
 * the exit code is 1 if anything failed.
 *
 *     deno task soak                 an hour
 *     deno task soak --minutes 480   a night
 *
 * No step starts when the time is over; the one that runs is finished.
 *
 * @module
 */

import { readArguments, wholeNumber } from './checks/arguments.ts';
import { program } from './checks/extra.ts';
import type { Step } from './checks/outcome.ts';
import { runScript } from './checks/process.ts';
import { Report } from './checks/report.ts';
import { suite, testFiles } from './checks/suites.ts';
import { runtime } from './runtimes.ts';

/** The test files that have a full count. */
const FULL = /\/(batch|faults|races_|signals|sqlite_processes)/;

/** Random runs in a round. */
const SEEDS = 20_000;

/** How long one step may take. */
const LIMIT_MS = 3 * 3_600_000;

const values = readArguments({ minutes: { type: 'string', default: '60' } });
const minutes = wholeNumber('minutes', values.minutes);

/** One round. What comes to the same every time is only part of the first one. */
async function steps(round: number): Promise<Step[]> {
  const options = { env: { DB_MIGRATE_FULL: '1' }, limitMs: LIMIT_MS };
  const deno = await runtime('deno');
  const files = (await testFiles()).filter((file) => FULL.test(file));
  const from = String(1 + Math.floor(Math.random() * 1e9));
  const random = simulation(
    `seeds from ${from}`,
    '--random',
    '--from',
    from,
    '--seeds',
    `${SEEDS}`,
  );
  const tests = files.map((file) => suite(file, deno, options));
  if (round > 1) return [random, ...tests];
  const mutants = ['run', '-A', 'scripts/mutants.ts', '--all'];
  const versions = ['run', '-A', 'scripts/postgres_versions.ts'];
  return [
    random,
    ...tests,
    program({ name: 'all mutants', command: mutants, counts: 'last line' }, options),
    simulation('further bounds', '--deep', '--seeds', '0'),
    program({ name: 'postgres versions', command: versions, counts: 'last line' }, options),
  ];
}

function simulation(name: string, ...args: readonly string[]): Step {
  const command = ['run', '-A', 'scripts/simulate.ts', ...args];
  return program({ name, command, counts: 'last line' }, { limitMs: LIMIT_MS });
}

async function main(): Promise<boolean> {
  const endsAt = performance.now() + minutes * 60_000;
  const report = new Report();
  for (let round = 1; performance.now() < endsAt; round++) {
    const left = Math.ceil((endsAt - performance.now()) / 60_000);
    console.log(`Round ${round}, ${left} minute${left === 1 ? '' : 's'} left`);
    for (const step of await steps(round)) {
      if (performance.now() >= endsAt) break;
      await report.run(step);
    }
  }
  return report.summary();
}

await runScript(main);
