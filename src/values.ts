/**
 * Bound values outside a driver: in JSON, and in SQL text.
 *
 * @module
 */

import { escaped, quoted } from './sql.ts';
import type { Dialect } from './sql_text.ts';

/**
 * A value in JSON. What JSON has no word for is an object that names its type: `'bigint'`, `'date'`
 * or, in hexadecimal, `'bytes'`, each with a string; or `'json'`, with what goes as JSON itself.
 */
export type EncodedValue =
  | null
  | boolean
  | number
  | string
  | { readonly type: string; readonly value: unknown };

/**
 * Encodes a bound value.
 *
 * @throws {TypeError} It has no form in JSON that comes back the same.
 */
export function encode(value: unknown): EncodedValue {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'bigint') return { type: 'bigint', value: String(value) };
  if (value instanceof Date && Number.isFinite(value.getTime())) {
    return { type: 'date', value: value.toISOString() };
  }
  if (value instanceof ArrayBuffer) return encode(new Uint8Array(value));
  if (value instanceof Uint8Array) return { type: 'bytes', value: hexOf(value) };
  if (typeof value === 'object' && isPlain(value)) return { type: 'json', value };
  throw new TypeError(`Cannot plan the schema as a parameter is ${nameOf(value)}: not plain data`);
}

/**
 * Decodes it again.
 *
 * @throws {TypeError} It is of a type that no plan has.
 */
export function decode(value: EncodedValue): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value.type === 'json') return value.value;
  const text = String(value.value);
  if (value.type === 'bigint') return BigInt(text);
  if (value.type === 'date') return new Date(text);
  if (value.type !== 'bytes') {
    throw new TypeError(`Cannot use 'ddl' as a parameter is of type ${value.type}`);
  }
  const pairs = text.match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/**
 * A bound value as SQL text. Postgres gives a literal in quotes the type that is wanted at its place,
 * as it does a parameter, but for a number or a word it has made up its mind.
 *
 * @throws {TypeError} Its type has no literal that is safe in this dialect.
 */
export function literal(value: unknown, dialect: Dialect): string {
  const isPostgres = dialect === 'postgres';
  if (value === null) return 'null';
  if (isPostgres && /^(boolean|number|bigint)$/.test(typeof value)) return quoted(`${value}`);
  if (typeof value === 'boolean') return value ? '1' : '0';
  // In parentheses, since a minus before a minus begins a comment.
  if (typeof value === 'number' || typeof value === 'bigint') {
    return value < 0 ? `(${value})` : `${value}`;
  }
  if (typeof value === 'string' && !value.includes('\0')) {
    // The sqlite3 shell reads a script line by line, and takes a carriage return for an end of one.
    if (isPostgres) return escaped(value);
    const parts = value.split('\r');
    return parts.length === 1 ? quoted(value) : `(${parts.map(quoted).join(' || char(13) || ')})`;
  }
  if (value instanceof Uint8Array) {
    return isPostgres ? `decode('${hexOf(value)}', 'hex')` : `x'${hexOf(value)}'`;
  }
  if (value instanceof Date && isPostgres) return quoted(value.toISOString());
  throw new TypeError(`Cannot write the plan as SQL as a parameter is ${nameOf(value)}`);
}

/** A value as it is now: whoever has bound it may change it and bind it again. */
export function copyOf(value: unknown): unknown {
  if (value instanceof Date) return new Date(value);
  if (value instanceof Uint8Array) return Uint8Array.prototype.slice.call(value);
  if (Array.isArray(value)) return value.map(copyOf);
  if (typeof value !== 'object' || value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, copyOf(one)]));
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object') return typeof value === 'string' || typeof value === 'boolean';
  if (value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) &&
    Object.values(value).every(isPlain);
}

function nameOf(value: unknown): string {
  if (typeof value === 'string') return 'a string with NUL';
  if (typeof value === 'number') return 'not a finite number';
  return typeof value === 'object' && value !== null
    ? `of type ${value.constructor?.name ?? 'object'}`
    : `of type ${typeof value}`;
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
