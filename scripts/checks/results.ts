/**
 * Which strategy was run on which engine under which runtime: read from the reports of the suites
 * that run on engines, never stated.
 *
 * @module
 */

import type { TestCase } from './junit.ts';
import type { Step } from './outcome.ts';

/** The suites whose tests are named `engine: promise [strategy]`; the last runs inside workerd. */
const SUITES = ['conformance.test.ts', 'lifecycle.test.ts', 'workerd.test.ts'];

const NAME = /^([\w-]+): .* \[(transaction|batch|lease)\]$/;

type Strategy = 'transaction' | 'batch' | 'lease';

const LETTERS: Readonly<Record<Strategy, string>> = { transaction: 'T', batch: 'B', lease: 'L' };

/** Tests of one strategy, one engine and one runtime. */
interface Count {
  passed: number;
  failed: number;
}

/** Collects what was run, and makes a table of it. */
export class Results {
  readonly #counts = new Map<string, Count>();

  /** Adds the tests of a step. */
  add({ name, runtime }: Step, tests: readonly TestCase[]): void {
    if (!SUITES.includes(name)) return;
    const where = name === 'workerd.test.ts' ? 'workerd' : runtime;
    for (const { name, result } of tests) {
      const [, engine, strategy] = NAME.exec(name) ?? [];
      if (engine === undefined || result === 'skipped') continue;
      const key = `${engine} ${where} ${strategy}`;
      const count = this.#counts.get(key) ?? { passed: 0, failed: 0 };
      count[result]++;
      this.#counts.set(key, count);
    }
  }

  /** The table in Markdown; nothing where no such suite was run. */
  async table(): Promise<string> {
    if (this.#counts.size === 0) return '';
    // Not before `prepare` has installed the packages.
    const { engines } = await import('../../tests/engines/list.ts');
    const { matrix } = await import('../../tests/engines/matrix.ts');
    const { BATCHES } = await import('../../tests/batch/subjects.ts');
    const without = (lacks: (name: string, transactions: boolean) => boolean) =>
      engines.filter(({ name, transactions }) => lacks(name, transactions))
        .map(({ name }) => name).join(', ');
    return [
      matrix(engines, ({ name }, runtime) => this.#cell(name, runtime)),
      '',
      'T transaction, B batch, L lease: ran, and every test passed. -: not in this run.',
      `No transactions in the Kysely dialect: ${without((_, transactions) => !transactions)}.`,
      `No batch in the driver: ${without((name) => !(name in BATCHES))}.`,
    ].join('\n');
  }

  #cell(engine: string, runtime: string): string {
    const ran = Object.entries(LETTERS).flatMap(([strategy, letter]) => {
      const count = this.#counts.get(`${engine} ${runtime} ${strategy}`);
      if (!count) return [];
      return count.failed > 0 ? `${letter}!` : letter;
    });
    return ran.join(' ') || '-';
  }
}
