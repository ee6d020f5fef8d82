/**
 * A kit for your own test suite: says in plain words whether your DDL is safe under the strategy
 * that it gets. It returns a report and knows no test runner, so it works with any.
 *
 * @module
 */

import type { BootstrapConfig, Strategy } from './config.ts';
import { checkConfig } from './create_bootstrap.ts';
import { ANYTHING, checkFields, type Rule } from './fields.ts';
import type { KyselyLike } from './kysely.ts';
import { parseConfig, RULES } from './settings.ts';
import { type Finding, Kit, type TestSchemaOptions } from './testing_kit.ts';

export type { FreshDatabase } from './fresh_database.ts';
export type { Finding, TestSchemaOptions } from './testing_kit.ts';

const OPTIONS: Readonly<Record<keyof TestSchemaOptions, Rule>> = {
  database: {
    type: 'any',
    holds: (database: unknown) => typeof database === 'function',
    words: 'be a function that makes a database',
    isRequired: true,
  },
  config: ANYTHING,
  callers: {
    type: 'number',
    holds: (count: number) => Number.isInteger(count) && count >= 1,
    words: 'be a whole number from 1 on',
  },
  first: { ...RULES.ddl, isRequired: false },
};

/** What {@linkcode testSchema} has found. */
export interface SchemaReport {
  /** True if every check has passed. */
  readonly passed: boolean;
  /** The strategy that the config gets; undefined if no call came far enough to tell. */
  readonly strategy: Strategy | undefined;
  /** Each check, in the order in which they ran. */
  readonly findings: readonly Finding[];
  /**
   * Does nothing if every check has passed.
   *
   * @throws {Error} One has not; the message is the report.
   */
  readonly assert: () => void;
  /** The report, a line for each finding. */
  toString(): string;
}

/**
 * Tests a schema on real databases. It lets several callers race, of whom exactly one must install
 * while nobody fails; calls once more, which must find the schema installed; and interrupts the
 * install after every single statement and at the end of the DDL (but for a batch, which has no
 * middle), whereupon the next caller must complete it: without an error, and with all tables and
 * columns, where the database lists them. Under strategy `'lease'` this tells whether the DDL is
 * idempotent, and after which statement it is not. With `first` it also compares what the steps
 * lead to with what `ddl` makes. It does not see what a repetition leaves out or twice otherwise, such
 * as indexes and seeded rows.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import type { BootstrapConfig } from '@arraypress/db-migrate';
 * import { testSchema } from '@arraypress/db-migrate/testing';
 *
 * export async function testMySchema(
 *   config: BootstrapConfig<Kysely<unknown>>,
 *   open: (path: string) => Kysely<unknown>,
 * ): Promise<void> {
 *   const database = () => {
 *     const path = `/tmp/${crypto.randomUUID()}.db`;
 *     return { connect: () => open(path) };
 *   };
 *   (await testSchema({ config, database })).assert();
 * }
 * ```
 *
 * @param options The databases and the config.
 * @returns The report.
 * @throws {TypeError} A field of the options or the config is missing, unknown or of the wrong type,
 * or the config has a `batch`.
 * @throws {RangeError} A field of the options or the config is out of range.
 */
export async function testSchema<K extends KyselyLike>(
  options: TestSchemaOptions<K>,
): Promise<SchemaReport> {
  checkFields('options', options, OPTIONS);
  const { first } = options;
  const { failureCooldownMs: _, ...config } = checkConfig<K>(options.config);
  parseConfig(config);
  if (config.batch) {
    throw new TypeError(`Cannot test the schema as 'config' has a 'batch': give it in 'database'`);
  }
  const kit = new Kit({ ...options, config });
  await kit.test({ words: 'a fresh database', path: [] });
  const { upgrades = [], version } = config;
  for (const [at, step] of upgrades.entries()) {
    const words = `a database at version ${JSON.stringify(step.from)}`;
    // As it came to be: the first version installed, then led on step by step.
    const path = first && upgrades.slice(0, at + 1).map(({ from }, n): BootstrapConfig<K> => ({
      ...{ ...config, version: from, ddl: first, upgrades: upgrades.slice(0, n) },
      onDrift: 'ignore',
    }));
    if (path) await kit.test({ words, path });
    else kit.say('upgrade', true, `on ${words}, nothing was tested, since there is no 'first'`);
  }
  const { findings, strategy } = kit;
  const passed = findings.every((finding) => finding.passed);
  const under = strategy === undefined ? '' : ` under strategy '${strategy}'`;
  const text = [
    `Version ${JSON.stringify(version)} is ${passed ? 'safe' : 'not safe'}${under}:`,
    ...findings.map((one) => `  ${one.passed ? 'passed' : 'FAILED'} ${one.check}: ${one.message}`),
  ].join('\n');
  const assert = () => {
    if (!passed) throw new Error(text);
  };
  return { passed, strategy, findings, assert, toString: () => text };
}
