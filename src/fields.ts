/**
 * Checking the fields of what a caller passes, and saying what is wrong with one.
 *
 * @module
 */

/** What a field must be: its type, what else must hold, and both in words. */
export interface Rule {
  readonly type: 'string' | 'number' | 'boolean' | 'object' | 'any';
  readonly holds?: (value: never) => boolean;
  readonly words: string;
  readonly isRequired?: boolean;
}

// The longest delay that timers of every runtime keep.
export const LONGEST_MS = 2_147_483_647;

/**
 * Checks each field of an object by its rule; leaves out what is undefined. Messages name the object
 * as `name`, and its fields with `path` before them.
 *
 * @throws {TypeError} It is not an object, or a field is missing, unknown or of the wrong type.
 * @throws {RangeError} A field is of the right type and out of range.
 */
export function checkFields(
  name: string,
  value: unknown,
  rules: Readonly<Record<string, Rule>>,
  path = '',
): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(problem(name, 'be an object', value));
  }
  const object = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(object)
    .find((field) => object[field] !== undefined && !Object.hasOwn(rules, field));
  if (unknown !== undefined) {
    const known = Object.keys(rules).join(', ');
    throw new TypeError(
      `Cannot use '${name}' as it has no field '${unknown}': its fields are ${known}`,
    );
  }
  const all: Record<string, unknown> = {};
  for (const [field, rule] of Object.entries(rules)) {
    // By name, as some are inherited: the `signal` of a Request or an AbortController is.
    const given = object[field];
    if (given === undefined && !rule.isRequired) continue;
    const isOfType = rule.type === 'any' || (given !== null && typeof given === rule.type);
    if (isOfType && rule.holds?.(given as never) !== false) {
      all[field] = given;
      continue;
    }
    const isOutOfRange = isOfType && (rule.type === 'string' || rule.type === 'number');
    const Problem = isOutOfRange ? RangeError : TypeError;
    throw new Problem(problem(path + field, rule.words, given));
  }
  return all;
}

export const ANYTHING: Rule = { type: 'any', words: 'be anything' };

export function duration(least: number): Rule {
  return {
    type: 'number',
    holds: (value: number) => value >= least && value <= LONGEST_MS,
    words: `be a number of milliseconds from ${least} to ${LONGEST_MS}`,
  };
}

// A lone surrogate is not text: every engine would store the same replacement character for it.
const UNSTORABLE = /[\0\p{Surrogate}]/u;

/** The rule of a text that a database can store. */
export function text(most: number, unit: string, sizeOf: (value: string) => number): Rule {
  return {
    type: 'string',
    holds: (value: string) => value !== '' && sizeOf(value) <= most && !UNSTORABLE.test(value),
    words: `be a string of 1 to ${most} ${unit} without NUL or lone surrogates`,
  };
}

/** The one grammar of every message about bad input. */
export function problem(field: string, words: string, value: unknown): string {
  return `Cannot use '${field}' as it must ${words}: current value is ${show(value)}`;
}

export function oneOf(...choices: string[]): Rule {
  return {
    type: 'string',
    holds: (value: string) => choices.includes(value),
    words: `be one of ${choices.join(', ')}`,
  };
}

function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return shown.length > 80 ? `${shown.slice(0, 79)}… (${shown.length} characters)` : shown;
}
