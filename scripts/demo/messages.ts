/**
 * What the demo and its processes say to each other: one JSON value a line. All times are
 * milliseconds since the epoch, the one clock that all processes of a machine share.
 *
 * @module
 */

/** Who bootstraps: the reference implementation or the library. */
export type Protocol = 'claim-then-ddl' | 'bootstrapSchema';

/** One call to make. */
export interface Job {
  protocol: Protocol;
  /** The SQLite file. */
  path: string;
  /** How long SQLite itself waits for a lock. */
  busyTimeoutMs: number;
  /** When to make the call: the same instant for all who race. */
  at: number;
  /** How long the DDL rests before each statement, so that a race is long enough to watch. */
  pauseMs: number;
}

/** What a process reports, in this order. */
export type Message =
  | { kind: 'ready' }
  | { kind: 'called'; at: number }
  /** How many statements of the DDL have run; 0 as soon as the DDL is entered. */
  | { kind: 'ddl'; statements: number; at: number }
  | Settled;

/** How a call ended. */
export interface Settled {
  kind: 'settled';
  at: number;
  /** The word for the timeline: `'installed'`, `'waited'`, `'returned'`, `'threw'`, … */
  outcome: string;
  installed: boolean;
  /** Why it threw, or why the last table could not be queried once it had resolved. */
  error?: string;
}

/** Reads values, one a line, until the stream ends. A line cut short by a death is dropped. */
export async function* readLines<T>(stream: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) yield JSON.parse(line);
  }
}

/** One line for {@link readLines}. */
export function toLine(value: Job | Message): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value) + '\n');
}
