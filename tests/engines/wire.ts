/**
 * How the tests talk to a database that only exists inside workerd: JSON over HTTP. Both ends of it.
 *
 * Miniflare has a proxy for bindings of its own, which is right but slow: it takes three round trips
 * and 15 to 20 ms a statement.
 *
 * @module
 */

/** A statement on its way into workerd. */
export interface WireStatement {
  sql: string;
  parameters: readonly unknown[];
}

/** What workerd is asked to do. */
export interface WireRequest {
  /** Which database: the name of a D1 binding, or of a Durable Object. */
  database: string;
  call: 'd1.all' | 'd1.batch' | 'd1.exec' | 'object.query' | 'object.batch';
  statements: WireStatement[];
}

/** An answer, or what was thrown. */
export type WireAnswer = { result: unknown } | { error: WireError };

/** An error on its way. */
export interface WireError {
  name: string;
  message: string;
  cause?: WireError;
}

/** JSON that keeps what SQL drivers take and give beyond JSON. */
export function encode(value: unknown): string {
  return JSON.stringify(value, (_key, value) => {
    if (typeof value === 'bigint') return { $: 'bigint', value: String(value) };
    if (value === undefined) return { $: 'undefined' };
    if (value instanceof ArrayBuffer) value = new Uint8Array(value);
    if (value instanceof Uint8Array) return { $: 'bytes', value: Array.from(value) };
    return value;
  });
}

/** The reverse of {@link encode}. */
export function decode(text: string): unknown {
  return revive(JSON.parse(text));
}

// Not with a reviver function: what that returns as `undefined` is left out.
function revive(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(revive);
  const tagged = value as { $?: string; value?: unknown };
  if (tagged.$ === 'bigint') return BigInt(tagged.value as string);
  if (tagged.$ === 'undefined') return undefined;
  if (tagged.$ === 'bytes') return Uint8Array.from(tagged.value as number[]);
  return Object.fromEntries(Object.entries(value).map(([key, value]) => [key, revive(value)]));
}

/** An error for the wire. */
export function encodeError(error: unknown): WireError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, cause } = error;
  return { name, message, ...(cause !== undefined && { cause: encodeError(cause) }) };
}

/** The same error on this side. */
export function decodeError({ name, message, cause }: WireError): Error {
  const error = new Error(message, cause && { cause: decodeError(cause) });
  if (name !== 'Error') error.name = name;
  return error;
}
