/**
 * The test files, each under every runtime's own test runner. Which tests passed is read from the
 * report that the runner writes, never guessed from what it prints; and whatever does not end the
 * way a good run ends counts as a failure.
 *
 * @module
 */

import type { Runtime, RuntimeName } from '../runtimes.ts';
import { parseReport, type TestCase } from './junit.ts';
import { type Outcome, skipsIn, type Step, UNCAUGHT } from './outcome.ts';
import { inFolder, ROOT, run, type RunOptions, type RunResult } from './process.ts';

const UNCAUGHT_LINE = new RegExp(`^\\s*${UNCAUGHT} .*`, 'm');

/** The test files, relative to the project's folder. Never none: that would be a mistake. */
export async function testFiles(): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(`${ROOT}/tests`));
  const names = entries.map(({ name }) => name).filter((name) => name.endsWith('.test.ts'));
  if (names.length === 0) throw new Error('There is no test file in tests/');
  return names.sort().map((name) => `tests/${name}`);
}

/** Files that test servers rather than the library's own code, and take long. */
const UNDER_DENO_ONLY =
  /\/(batch|faults|jsr|plan|races_\w+|signals|simulator|testing|workerd)\.test\.ts$/;

/** What a suite on engines is told under a runtime: under Deno it runs all cases on all of them. */
function shareOf(file: string, name: RuntimeName): Record<string, string> {
  if (name === 'deno') return {};
  const isLifecycle = file.endsWith('/lifecycle.test.ts');
  return { DB_MIGRATE_QUICK: '1', ...(isLifecycle && { DB_MIGRATE_ENGINES: 'sqlite' }) };
}

/** Whether a test file is run under a runtime. */
export function isRunUnder(file: string, name: RuntimeName): boolean {
  return name === 'deno' || !UNDER_DENO_ONLY.test(file);
}

/** What the test command leaves out by choice, as lines to print. */
export function leftOut(files: readonly string[]): string[] {
  const few = files.filter((file) => UNDER_DENO_ONLY.test(file))
    .map((file) => file.replace(/^tests\/|\.test\.ts$/g, ''));
  return [
    'left out under runtimes other than Deno, for the time they take:',
    ...few.map((name) => `  ${name}`),
    '  lifecycle on engines other than sqlite, and slow cases',
  ];
}

/** The step that runs one test file under one runtime; `options` as of {@linkcode run}. */
export function suite(file: string, runtime: Runtime, options: RunOptions = {}): Step {
  return {
    name: file.replace(/^tests\//, ''),
    runtime: runtime.name,
    run: () => runSuite(file, runtime, options),
  };
}

async function runSuite(file: string, runtime: Runtime, options: RunOptions): Promise<Outcome> {
  return await inFolder('report-', async (folder) => {
    const report = `${folder}/report.xml`;
    const command = [runtime.command, ...runnerArguments(runtime.name, file, report)];
    const env = shareOf(file, runtime.name);
    const result = await run(command, { ...options, env: { ...env, ...options.env } });
    const xml = await Deno.readTextFile(report).catch(() => undefined);
    return judge(file, result, xml);
  });
}

/** How the runner of a runtime runs one file, prints for people and reports to a file. */
function runnerArguments(name: RuntimeName, file: string, report: string): string[] {
  switch (name) {
    case 'deno':
      return [
        'test',
        '--allow-all',
        // Types are a check of their own.
        '--no-check',
        `--preload=${import.meta.dirname}/uncaught.ts`,
        `--junit-path=${report}`,
        // What it gets from JSR is not to be in the lock file, since not everybody can get it.
        ...(file.endsWith('/jsr.test.ts') ? ['--no-lock'] : []),
        file,
      ];
    case 'bun':
      // The leading "./" makes it a path; else it would be a filter.
      return ['test', '--reporter=junit', `--reporter-outfile=${report}`, `./${file}`];
    default:
      return [
        '--disable-warning=ExperimentalWarning',
        '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
        '--test',
        '--test-reporter=spec',
        '--test-reporter-destination=stdout',
        '--test-reporter=junit',
        `--test-reporter-destination=${report}`,
        file,
      ];
  }
}

/** Counts the tests of a report and adds a failure where the run itself went wrong. */
function judge(file: string, { code, output }: RunResult, xml: string | undefined): Outcome {
  const cases = xml === undefined ? [] : parseReport(xml, file);
  const passed = cases.filter(({ result }) => result === 'passed').length;
  const failures = cases.filter(({ result }) => result === 'failed').map(({ name }) => name);
  if (failures.length === 0) failures.push(...wrongs(code, output, xml, cases));

  return {
    passed,
    failed: failures.length,
    tests: cases,
    details: [...failures.map((name) => `failed: ${name}`), '', output].join('\n'),
    skipped: [...cases.filter(({ result }) => result === 'skipped').map(skip), ...skipsIn(output)],
  };
}

/** What is wrong, at most one thing, with a run that reports no failed test. */
function wrongs(
  code: number,
  output: string,
  xml: string | undefined,
  cases: readonly TestCase[],
): string[] {
  if (code !== 0) return [`(exit code ${code}, but no test failed)`];
  if (xml === undefined) return ['(the runner wrote no report)'];
  if (cases.length === 0 && skipsIn(output).length === 0) return ['(no test was run)'];
  const uncaught = UNCAUGHT_LINE.exec(output);
  return uncaught === null ? [] : [`(${uncaught[0].trim()})`];
}

function skip({ name, reason }: TestCase): string {
  const told = reason === undefined || reason === 'true' ? 'the test says so' : reason;
  return `${name}: ${told}`;
}
