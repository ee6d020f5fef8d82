/**
 * Makes the protocol wrong in one small way after another, and sees whether that is noticed: by a
 * short run of the simulator, by a part of the test files, by a longer run. A mutant that nobody
 * notices has survived. The last line is `N passed, N failed`, and the exit code is 1 if any has that
 * is not listed as harmless, or if a trial fails without a mutant.
 *
 *     deno task mutants                a few of them
 *     deno task mutants --all          all of them, many minutes
 *     deno task mutants --only batch   those with "batch" in their names
 *     deno task mutants --check        only whether each can be applied, and is a program
 *
 * Nothing is changed in place: each mutant is a copy of the library in a temporary folder.
 *
 * @module
 */

import * as library from '../mod.ts';
import { catalogue, isLong } from '../tests/simulator/catalogue.ts';
import { readArguments } from './checks/arguments.ts';
import { inParallel } from './checks/parallel.ts';
import { inFolder, ROOT, run, runScript } from './checks/process.ts';
import { type Mutant, MUTANTS } from './mutants/list.ts';
import { evictions, type Job } from './simulate/jobs.ts';
import { Pool } from './simulate/pool.ts';

/** The test files that a mutant has to pass when the simulator has let it through. */
const FILES = ['config', 'contention', 'wait', 'batch', 'conformance', 'lifecycle'];

/** A mutant may never end. */
const JOB_LIMIT_MS = 300_000;
const SUITE_LIMIT_MS = 600_000;

const terminal = Deno.stdout.isTerminal();

const values = readArguments({
  all: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
  only: { type: 'string' },
});

/** The simulator's jobs for a mutant: those that find most in the shortest time, and the rest. */
function jobs(): { short: Job[]; long: Job[] } {
  const isBrief = true;
  const scenarios = catalogue(library).map(({ name }, scenario) => ({ name, scenario }));
  const searches = (preemptions: number, faults: number, names = scenarios): Job[] =>
    names.map(({ scenario }) => ({ kind: 'search', scenario, preemptions, faults, isBrief }));
  const few = scenarios.filter(({ name }) => !isLong(name));
  return {
    short: [
      ...searches(0, 0),
      { kind: 'random', from: 1, count: 100, isBrief },
      ...searches(1, 0, few),
      ...searches(0, 1, few),
      ...evictions(library).map((search) => ({ ...search, isBrief })),
    ],
    long: [
      ...searches(1, 1, few),
      { kind: 'random', from: 101, count: 900, isBrief },
      ...searches(0, 1, scenarios.filter(({ name }) => isLong(name))),
    ],
  };
}

/** The texts of the files of `src/`, with the mutants applied: fails where one cannot be. */
async function mutated({ file, find, replace }: Mutant): Promise<string> {
  const text = await Deno.readTextFile(`${ROOT}/src/${file}`);
  const times = text.split(find).length - 1;
  if (times !== 1) throw new Error(`its text stands in src/${file} ${times} times: ${find}`);
  return text.replace(find, () => replace);
}

/**
 * Why a mutant cannot be judged, by its place in the list: it cannot be applied, or is no program, so
 * that it would be noticed for that.
 */
async function problems(mutants: readonly Mutant[]): Promise<Map<number, string>> {
  return await inFolder('mutants-', async (folder) => {
    const found = new Map<number, string>();
    for (const [n, mutant] of mutants.entries()) {
      try {
        await Deno.writeTextFile(`${folder}/${n}.ts`, await mutated(mutant));
      } catch (error) {
        found.set(n, (error as Error).message);
      }
    }
    const lint = ['lint', '--no-config', '--compact', '--rules-tags=', '--rules-include=no-undef'];
    const { code, output } = await run([Deno.execPath(), ...lint, folder]);
    for (const [line, n] of output.matchAll(/^.*\/(\d+)\.ts(?:: |$).*$/gm)) {
      found.set(Number(n), line);
    }
    if (code !== 0 && found.size === 0) throw new Error(output);
    return found;
  });
}

/** A copy of what the tests need, with the mutant if there is one. */
async function copy(folder: string, mutant: Mutant | null): Promise<void> {
  for (const name of ['mod.ts', 'deno.json', 'deno.lock', 'README.md']) {
    await Deno.copyFile(`${ROOT}/${name}`, `${folder}/${name}`);
  }
  for (const name of ['node_modules', 'scripts', 'tests']) {
    await Deno.symlink(`${ROOT}/${name}`, `${folder}/${name}`);
  }
  await Deno.mkdir(`${folder}/src`);
  for await (const { name } of Deno.readDir(`${ROOT}/src`)) {
    await Deno.copyFile(`${ROOT}/src/${name}`, `${folder}/src/${name}`);
  }
  if (mutant) await Deno.writeTextFile(`${folder}/src/${mutant.file}`, await mutated(mutant));
}

/** A way to find a mutant out: resolves with what noticed it, if anything did. */
type Trial = (folder: string) => Promise<string | undefined>;

/** The trials in the order of what they take: one that finds a mutant out spares it the next. */
function trials(pool: Pool): Trial[] {
  const { short, long } = jobs();
  return [
    (folder) => bySimulator(pool, folder, short),
    bySuite,
    (folder) => bySimulator(pool, folder, long),
  ];
}

/** Puts a mutant to a trial. */
async function attempt(trial: Trial, mutant: Mutant | null): Promise<string | undefined> {
  return await inFolder('mutant-', async (folder) => {
    await copy(folder, mutant);
    return await trial(folder);
  });
}

async function bySimulator(
  pool: Pool,
  folder: string,
  jobs: readonly Job[],
): Promise<string | undefined> {
  const address = new URL(`file://${folder}/mod.ts`).href;
  for (const job of jobs) {
    try {
      const { failures: [failure] } = await pool.run(job, address, JOB_LIMIT_MS);
      if (failure === undefined) continue;
      return `simulator: ${/^FAILED: ([^.]+)\./m.exec(failure)?.[1] ?? 'failed'}`;
    } catch (error) {
      return `simulator: ${(error as Error).message.split('\n')[0]}`;
    }
  }
  return undefined;
}

async function bySuite(folder: string): Promise<string | undefined> {
  for (const name of FILES) {
    const file = `tests/${name}.test.ts`;
    const { code } = await run([Deno.execPath(), 'test', '-A', '--no-check', file], {
      cwd: folder,
      env: { DB_MIGRATE_ENGINES: 'sqlite,pglite' },
      limitMs: SUITE_LIMIT_MS,
    });
    if (code !== 0) return file;
  }
  return undefined;
}

async function main(): Promise<boolean> {
  const selected = MUTANTS.filter(({ name, isQuick }) =>
    values.only !== undefined ? name.includes(values.only) : values.all || values.check || isQuick
  );
  const total = { passed: 0, failed: 0 };
  const tell = (isGood: boolean, name: string, found: string) => {
    total[isGood ? 'passed' : 'failed']++;
    if (terminal) write('\r\x1b[K');
    console.log(`${isGood ? 'ok  ' : 'FAIL'} ${name.padEnd(48)} ${found}`);
  };
  const fitting: Mutant[] = [];
  const unfit = await problems(selected);
  for (const [n, mutant] of selected.entries()) {
    const problem = unfit.get(n);
    if (problem !== undefined) tell(false, mutant.name, problem);
    else if (values.check) tell(true, mutant.name, 'applies');
    else fitting.push(mutant);
  }
  if (!values.check) await judge(fitting, tell);
  console.log(`\n${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0;
}

async function judge(
  mutants: readonly Mutant[],
  tell: (isGood: boolean, name: string, found: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  const pool = new Pool();
  const counts = { simulator: 0, tests: 0 };
  let left = mutants;
  for (const trial of trials(pool)) {
    if (left.length === 0) break;
    const alive: Mutant[] = [];
    // What fails without a mutant would be taken for a mutant's doing.
    await inParallel([null, ...left], async (mutant) => {
      const found = await attempt(trial, mutant);
      if (!mutant) tell(found === undefined, 'no mutant', found ?? 'all is well');
      else if (found === undefined) alive.push(mutant);
      else {
        counts[found.startsWith('simulator') ? 'simulator' : 'tests']++;
        if (mutant.harmless) tell(false, mutant.name, `not harmless: ${found}`);
        else tell(true, mutant.name, found);
      }
      const done = counts.simulator + counts.tests;
      if (terminal) write(`      ${done} of ${mutants.length} killed`);
    });
    left = alive;
  }
  for (const { name, harmless } of left) {
    tell(harmless !== undefined, name, harmless ? `survived: ${harmless}` : 'SURVIVED');
  }
  pool.close();
  if (terminal) write('\r\x1b[K');
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(0);
  console.log(
    `\n${mutants.length} of ${MUTANTS.length} mutants in ${seconds} s: ${counts.simulator} killed ` +
      `by the simulator,\n${counts.tests} by the test files, ${left.length} survived`,
  );
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

await runScript(main);
