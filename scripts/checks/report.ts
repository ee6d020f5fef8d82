/**
 * What the test command prints: one line a step, what failed in full, what was skipped, the totals.
 *
 * @module
 */

import { type Outcome, single, type Step } from './outcome.ts';
import { ROOT } from './process.ts';
import { Results } from './results.ts';
import { judgeSkips } from './skips.ts';

const README = `${ROOT}/README.md`;

const terminal = Deno.stdout.isTerminal();

/** Counts what steps came to, and prints it. */
export class Report {
  #passed = 0;
  #failed = 0;
  /** The steps that run now. */
  readonly #running = new Set<Step>();
  readonly #results = new Results();
  /** What was skipped: the runtimes where it was, by step. */
  readonly #skipped = new Map<string, Map<string, string[]>>();

  /** Runs a step; an error on its way is a failure of the step, not of the whole run. */
  async run(step: Step): Promise<void> {
    this.#running.add(step);
    this.#show();
    const startedAt = performance.now();
    const outcome = await step.run().catch((error) => single(false, Deno.inspect(error)));
    this.#running.delete(step);
    this.#end(step, judgeSkips(outcome), performance.now() - startedAt);
    this.#show();
  }

  /** On a terminal, says what runs now. */
  #show(): void {
    if (!terminal || this.#running.size === 0) return;
    const names = [...this.#running].map(({ name, runtime }) => `${name} (${runtime})`);
    write(`\r\x1b[K      ${names.join(', ').slice(0, 70)} ...`);
  }

  /** Prints the line of a step that has ended; what failed follows in full. */
  #end(step: Step, outcome: Outcome, ms: number): void {
    const { name, runtime } = step;
    this.#results.add(step, outcome.tests ?? []);
    const { passed, failed, details, skipped, notes = [] } = outcome;
    this.#passed += passed;
    this.#failed += failed;
    for (const what of skipped) this.#skip(what, name, runtime);

    const line = [
      name.padEnd(30),
      runtime.padEnd(6),
      `${passed} passed`.padStart(10),
      `${failed} failed`.padStart(9),
      `${(ms / 1_000).toFixed(1)} s`.padStart(8),
    ].join(' ');
    if (terminal) write('\r\x1b[K');
    console.log(`${verdict(failed === 0)} ${line}`);
    for (const note of notes) console.log(indent(note));
    if (failed > 0) console.log(`\n${indent(details.trim())}\n`);
  }

  /** Prints what ran where, and the totals as the last line of all. Tells whether all is well. */
  async summary(): Promise<boolean> {
    const table = await this.#results.table();
    if (table !== '') console.log(`\n${table}`);
    if (this.#skipped.size > 0) console.log('\nSkipped:');
    for (const [what, steps] of this.#skipped) {
      console.log(`  ${what}`);
      for (const [name, runtimes] of steps) console.log(`    ${name}: ${runtimes.join(', ')}`);
    }
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`);
    return this.#failed === 0 && this.#passed > 0;
  }

  /** Compares what has run where with the README's table. Counts as one test. */
  async compareTable(): Promise<Outcome> {
    const [table, readme] = [await this.#results.table(), await Deno.readTextFile(README)];
    const rows = table.split('\n').filter((line) => line.startsWith('|'));
    const wrong = rows.filter((row) => !readme.includes(`\n${row}\n`));
    return single(rows.length > 2 && wrong.length === 0, `not in the README:\n${wrong.join('\n')}`);
  }

  #skip(what: string, name: string, runtime: string): void {
    const steps = this.#skipped.get(what) ?? new Map<string, string[]>();
    this.#skipped.set(what, steps);
    steps.set(name, [...steps.get(name) ?? [], runtime]);
  }
}

function verdict(good: boolean): string {
  const word = good ? 'ok   ' : 'FAIL ';
  return terminal ? `\x1b[${good ? 32 : 31}m${word}\x1b[0m` : word;
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '    ');
}

function write(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
