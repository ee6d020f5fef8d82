/**
 * The whole test command: the checks, the test files under every runtime, and the programs that are
 * tests, too. The last line is `N passed, N failed`, and the exit code is 1 if anything failed.
 *
 *     deno task test                                all of it
 *     deno task test --only config                  the steps with "config" in their names
 *     deno task test --runtime deno,node24          what tests these runtimes
 *
 * @module
 */

import { readArguments, refuse } from './checks/arguments.ts';
import { checks } from './checks/checks.ts';
import { extras } from './checks/extra.ts';
import { single, type Step } from './checks/outcome.ts';
import { inParallel } from './checks/parallel.ts';
import { run, runScript } from './checks/process.ts';
import { Report } from './checks/report.ts';
import { isRunUnder, leftOut, suite, testFiles } from './checks/suites.ts';
import { type Runtime, runtime, type RuntimeName, RUNTIMES } from './runtimes.ts';

/** Most steps wait for servers and leases most of the time, so two of them share the machine. */
const STEPS_AT_A_TIME = 2;

/** What the command line selects. */
interface Selection {
  /** A part of the names of the steps. */
  only: string;
  runtimes: readonly RuntimeName[];
}

async function main(selection: Selection): Promise<boolean> {
  const report = new Report();
  const steps: Step[] = [];
  await report.run(preparation(selection, steps));
  await inParallel(steps, (step) => report.run(step), STEPS_AT_A_TIME);
  // Windows has no sqld, and so another table.
  if (isWhole(selection) && Deno.build.os !== 'windows') {
    const name = 'table of the README';
    await report.run({ name, runtime: 'deno', run: () => report.compareTable() });
  }
  return await report.summary();
}

/** Reads the command line, and ends the script where it makes no sense. */
function selected(): Selection {
  const values = readArguments({ only: { type: 'string' }, runtime: { type: 'string' } });
  const names = values.runtime?.split(',') ?? RUNTIMES;
  const unknown = names.find((name) => !RUNTIMES.includes(name as RuntimeName));
  if (unknown !== undefined) {
    refuse(`Unknown runtime "${unknown}": it is one of ${RUNTIMES.join(', ')}`);
  }
  return { only: values.only ?? '', runtimes: names as RuntimeName[] };
}

function isWhole({ only, runtimes }: Selection): boolean {
  return only === '' && runtimes.length === RUNTIMES.length;
}

/** What must be there before the first test. It counts only if it fails: then it ends the run. */
function preparation(selection: Selection, steps: Step[]): Step {
  return {
    name: 'prepare',
    runtime: 'deno',
    async run() {
      // A fresh clone has no node_modules yet, and Node and Bun find packages nowhere else.
      const { code, output } = await run([Deno.execPath(), 'install']);
      if (code !== 0) return single(false, output);
      steps.push(...await selectedSteps(selection));
      if (steps.length === 0) {
        const all = await selectedSteps({ ...selection, only: '' });
        const names = [...new Set(all.map(({ name }) => name))];
        const found = `No step has "${selection.only}" in its name. The steps are:`;
        return single(false, [found, ...names].join('\n'));
      }
      const notes = leftOut(await testFiles());
      return { passed: 0, failed: 0, details: '', skipped: [], notes };
    },
  };
}

/** The steps of a run, in the order in which they begin. */
async function selectedSteps({ only, runtimes }: Selection): Promise<Step[]> {
  const isSelected = ({ name, runtime }: Step): boolean =>
    name.includes(only) && runtimes.includes(runtime);
  return [
    ...(await checks()).filter(isSelected),
    ...await suites((await testFiles()).filter((file) => file.includes(only)), runtimes),
    ...extras().filter(isSelected),
  ];
}

/** The test files, each under every runtime. A runtime that cannot be had is a step that fails. */
async function suites(files: readonly string[], names: readonly RuntimeName[]): Promise<Step[]> {
  if (files.length === 0) return [];
  const found: Runtime[] = [];
  const missing: Step[] = [];
  for (const name of names) {
    try {
      found.push(await runtime(name));
    } catch (error) {
      missing.push({ name: 'get the runtime', runtime: name, run: () => Promise.reject(error) });
    }
  }
  return [
    ...missing,
    ...files.flatMap((file) =>
      found.filter(({ name }) => isRunUnder(file, name)).map((one) => suite(file, one))
    ),
  ];
}

await runScript(() => main(selected()));
