/**
 * What a caller has said, checked before any statement is sent, with every default filled in.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';
import type { BootstrapConfig, Strategy, UpgradeStep } from './config.ts';
import { checkFields, duration, oneOf, problem, type Rule, text } from './fields.ts';
import type { SchemaPlanData } from './plan_data.ts';
import { type Run, runOf, takesNone } from './run.ts';

type Optional = 'marker' | 'schema' | 'dialect' | 'batch' | 'signal';

/** What a caller has said: no field is there and undefined. */
type Given = { readonly [Field in keyof BootstrapConfig]: NonNullable<BootstrapConfig[Field]> };

export type Settings =
  & Required<Omit<Given, 'ddl' | 'upgrades' | Optional>>
  & Pick<Given, Optional>
  & {
    readonly ddl: Run;
    readonly upgrades: readonly { readonly from: string; readonly ddl: Run }[];
    /** The plans among `ddl` and the steps, which are replayed. */
    readonly plans: readonly SchemaPlanData[];
  };

export const RULES: Readonly<Record<keyof BootstrapConfig, Rule>> = {
  version: { ...text(255, 'characters', (value) => value.length), isRequired: true },
  ddl: {
    type: 'any',
    holds: (ddl?: { statements?: unknown }) =>
      typeof ddl === 'function' || Array.isArray(ddl?.statements),
    words: 'be a function or a plan',
    isRequired: true,
  },
  marker: {
    type: 'string',
    holds: (value: string) => /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/.test(value),
    words: 'be a string that matches [a-zA-Z_][a-zA-Z0-9_]* and has at most 63 characters',
  },
  schema: text(63, 'bytes', (value) => new TextEncoder().encode(value).length),
  dialect: oneOf('sqlite', 'postgres'),
  logger: {
    type: 'object',
    holds: ({ log, error }: Partial<Record<'log' | 'error', unknown>>) =>
      [log, error].every((part) => part === undefined || typeof part === 'function'),
    words: 'be an object with functions as its log and error, or without',
  },
  batch: {
    type: 'object',
    holds: ({ database, execute }: Partial<AtomicBatch>) =>
      Object(database) === database && typeof execute === 'function',
    words: "have an 'execute' and a 'database', which is undefined where a binding's name is wrong",
  },
  assumeFresh: { type: 'boolean', words: 'be a boolean' },
  strategy: oneOf('auto', 'batch', 'transaction', 'lease'),
  waitTimeoutMs: duration(1),
  leaseMs: duration(1),
  onContention: oneOf('wait', 'return'),
  upgrades: {
    type: 'object',
    holds: (steps: unknown) => Array.isArray(steps),
    words: 'be a list of steps, { from, ddl }',
  },
  onNewer: oneOf('ignore', 'warn', 'error'),
  onDrift: oneOf('ignore', 'warn', 'error'),
  signal: {
    type: 'object',
    // By what it has, as it may be of another realm: a request's is in Next's Edge runtime.
    holds: (value: object) => 'reason' in value && 'addEventListener' in value,
    words: 'be an AbortSignal',
  },
};

/**
 * Checks a configuration and fills in its defaults.
 *
 * @throws {TypeError} A field is missing, unknown or of the wrong type.
 * @throws {RangeError} A field is of the right type and out of range.
 */
export function parseConfig(config: unknown): Settings {
  const given = checkFields('config', config, RULES) as unknown as Given;
  const waitTimeoutMs = given.waitTimeoutMs ?? 30_000;
  const leaseMs = given.leaseMs ?? Math.min(10_000, waitTimeoutMs / 2);
  if (leaseMs >= waitTimeoutMs) {
    const words = `be below 'waitTimeoutMs', which is ${waitTimeoutMs}`;
    throw new RangeError(problem('leaseMs', words, leaseMs));
  }
  const { version, ddl } = RULES;
  // A copy, since `map` leaves holes out.
  const steps = [...given.upgrades ?? []].map((step, at) => {
    const name = `upgrades[${at}]`;
    return checkFields(name, step, { from: version, ddl }, `${name}.`) as unknown as UpgradeStep;
  });
  const line = [...steps.map(({ from }) => from), given.version];
  const twice = line.find((name, at) => line.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new RangeError(problem('upgrades', 'name each version once', twice));
  }
  return {
    logger: {},
    strategy: 'auto',
    assumeFresh: false,
    onContention: 'wait',
    onNewer: 'ignore',
    onDrift: 'ignore',
    ...given,
    waitTimeoutMs,
    leaseMs,
    ddl: runOf(given.ddl),
    upgrades: steps.map(({ from, ddl }) => ({ from, ddl: runOf(ddl) })),
    plans: [given.ddl, ...steps.map(({ ddl }) => ddl)].filter((ddl) => typeof ddl === 'object'),
  };
}

/**
 * The strategy that a call gets, at first: `'auto'` learns later whether the driver has transactions.
 *
 * @throws {TypeError} What was asked for needs a batch, and there is none.
 */
export function strategyOf({ strategy, batch, ddl, upgrades, assumeFresh }: Settings): Strategy {
  if (strategy === 'batch' && !batch) {
    throw new TypeError(`Cannot use strategy 'batch' as there is no 'batch'`);
  }
  const chosen = strategy !== 'auto'
    ? strategy
    : batch
    ? 'batch'
    : takesNone([ddl, ...upgrades.map((step) => step.ddl)])
    ? 'lease'
    : 'transaction';
  if (assumeFresh && chosen !== 'batch') {
    throw new TypeError(`Cannot use 'assumeFresh' as it needs strategy 'batch'`);
  }
  return chosen;
}
