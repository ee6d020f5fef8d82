/**
 * The benchmarks: this library beside what people use instead, measured in one run. Writes a text,
 * the data and charts: all of it to `scripts/bench/results/`, a part to a temporary folder.
 *
 *     deno task bench                         all of it, some minutes
 *     deno task bench --quick                 with few samples
 *     deno task bench --only wire,cpu         of: cpu, import, wire, delay, growth
 *     deno task bench --out FOLDER            writes there
 *     deno task bench --smoke                 only what is counted, as a test
 *
 * @module
 */

import { Engines } from './bench/engines/list.ts';
import { machine } from './bench/machine.ts';
import { Progress } from './bench/progress.ts';
import { conditions } from './bench/report/markdown.ts';
import { write } from './bench/report/write.ts';
import { type Results, type SectionName, SECTIONS } from './bench/results.ts';
import { FULL, QUICK, type Run } from './bench/run.ts';
import { smoke } from './bench/smoke.ts';
import { verdict } from './bench/verdict.ts';
import { readArguments, refuse } from './checks/arguments.ts';
import { endAllOnSignals, ROOT } from './checks/process.ts';
import { mark, printLines, strong, WIDTH } from './demo/terminal.ts';

interface Selection {
  readonly sections: readonly SectionName[];
  readonly isQuick: boolean;
  readonly isSmoke: boolean;
  /** Where the results are written; undefined for a new temporary one. */
  readonly folder: string | undefined;
}

const selection = selected();
endAllOnSignals();
const engines = new Engines();
const code = selection.isSmoke ? await test() : await bench();
await engines.stop();
Deno.exit(code);

async function test(): Promise<number> {
  const { passed, failed } = await smoke(engines);
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 || passed === 0 ? 1 : 0;
}

async function bench(): Promise<number> {
  const here = await machine();
  const run: Run = {
    engines,
    effort: selection.isQuick ? QUICK : FULL,
    progress: new Progress(),
  };
  const measured: Record<string, unknown> = {};
  for (const name of selection.sections) measured[name] = await SECTIONS[name](run);
  run.progress.end();
  const results = {
    machine: { ...here, engines: await engines.versions() },
    effort: run.effort,
    ...measured,
  } as Results;
  // Made not before it has something to hold, as a run that is told to stop would leave it.
  const folder = selection.folder ?? await Deno.makeTempDir({ prefix: 'bench-' });
  const files = await write(results, folder);
  const findings = verdict(results);
  printLines([
    ...conditions(results.machine).flatMap((line) => wrapped(line)),
    '',
    ...(findings.length > 0 ? [strong('What it must reach')] : []),
    ...findings.flatMap(({ promise, isReached, measured }) => [
      ...wrapped(promise, 8).map((line, at) =>
        at === 0 ? `${mark(isReached ? 'reached' : 'MISSED ', isReached)} ${line.trim()}` : line
      ),
      ...wrapped(measured, 10),
    ]),
    '',
    ...wrapped(`All figures: ${files.join(', ')} in ${folder}`),
  ]);
  return 0;
}

/** A text in lines that fit, with so many blanks before each. */
function wrapped(text: string, indent = 0): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].map((one) => ' '.repeat(indent) + one);
}

/** Reads the command line, and ends the script where it makes no sense. */
function selected(): Selection {
  const { only, out, quick = false, smoke: isSmoke = false } = readArguments({
    only: { type: 'string' },
    out: { type: 'string' },
    quick: { type: 'boolean' },
    smoke: { type: 'boolean' },
  });
  const all = Object.keys(SECTIONS) as SectionName[];
  const asked = only?.split(',') ?? all;
  const unknown = asked.find((name) => !all.includes(name as SectionName));
  if (unknown !== undefined) {
    refuse(`Unknown section "${unknown}": it is one of ${all.join(', ')}`);
  }
  // What the README shows is all of it, in one run.
  const isPart = quick || only !== undefined;
  const folder = out ?? (isPart ? undefined : `${ROOT}/scripts/bench/results`);
  return { sections: all.filter((name) => asked.includes(name)), isQuick: quick, isSmoke, folder };
}
