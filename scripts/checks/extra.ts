/**
 * The programs of this folder that are tests, too.
 *
 * @module
 */

import { notesIn, type Outcome, single, skipsIn, type Step } from './outcome.ts';
import { run, type RunOptions } from './process.ts';

/** A program that is run as a test. */
export interface Extra {
  name: string;
  /** The arguments of `deno`. */
  command: readonly string[];
  /**
   * What it counts: one test that passes with exit code 0, or what its last line says, which must
   * be `N passed, N failed`.
   */
  counts: 'exit code' | 'last line';
}

/** To have one more program run by the test command, add it here. */
const EXTRAS: readonly Extra[] = [
  {
    name: 'bench, what it counts',
    command: ['run', '-A', 'scripts/bench.ts', '--smoke'],
    counts: 'last line',
  },
  { name: 'demo', command: ['run', '-A', 'scripts/demo.ts'], counts: 'exit code' },
  { name: 'plan', command: ['run', '-A', 'scripts/plan.ts'], counts: 'exit code' },
  {
    name: 'diagrams',
    command: ['run', '-A', 'scripts/diagrams.ts', '--dry-run'],
    counts: 'exit code',
  },
  { name: 'simulate', command: ['run', '-A', 'scripts/simulate.ts'], counts: 'last line' },
  { name: 'mutants, a few', command: ['run', '-A', 'scripts/mutants.ts'], counts: 'last line' },
  { name: 'npm package', command: ['run', '-A', 'scripts/package_check.ts'], counts: 'last line' },
  { name: 'examples', command: ['run', '-A', 'scripts/examples.ts'], counts: 'last line' },
  {
    name: 'kysely versions',
    command: ['run', '-A', 'scripts/kysely_versions.ts'],
    counts: 'last line',
  },
  {
    name: 'oldest postgres',
    command: ['run', '-A', 'scripts/postgres_versions.ts', '--oldest'],
    counts: 'last line',
  },
];

/** The programs as steps. */
export function extras(): Step[] {
  return EXTRAS.map((extra) => program(extra));
}

/** A program as a step, killed when it exceeds a limit. */
export function program({ name, command, counts }: Extra, options: RunOptions = {}): Step {
  return {
    name,
    runtime: 'deno',
    async run() {
      const { code, output } = await run([Deno.execPath(), ...command], options);
      return counts === 'exit code' ? single(code === 0, output) : lastLine(code, output);
    },
  };
}

/** The outcome that an output's last line tells. Without one, or against it, it is a failure. */
function lastLine(code: number, output: string): Outcome {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  const match = /^(\d+) passed, (\d+) failed$/.exec(line);
  const passed = Number(match?.[1] ?? 0);
  const failed = Number(match?.[2] ?? 0);
  const wrong = match === null || passed + failed === 0 || (code !== 0 && failed === 0);
  return {
    passed,
    failed: wrong ? failed + 1 : failed,
    details: wrong ? `${output}\n(exit code ${code}, last line "${line}")` : output,
    skipped: skipsIn(output),
    notes: notesIn(output),
  };
}
