/**
 * A line between a client and its server, which counts what passes and takes its time.
 *
 * @module
 */

/** What has passed. */
export interface Counts {
  /** Connections that were opened. */
  connections: number;
  /** Requests that were answered, without those that open a connection. */
  roundTrips: number;
  /** Statements that the server has carried out or refused. */
  statements: number;
}

/** A line. */
export interface Line {
  /** Makes each round trip take so many milliseconds longer from now on. */
  delay(ms: number): Promise<void>;
  /** What has passed since this was asked last. */
  take(): Promise<Counts>;
}

/** Nothing has passed yet. */
export function noCounts(): Counts {
  return { connections: 0, roundTrips: 0, statements: 0 };
}

/** A server that a line can lead to. */
export interface LineTarget {
  readonly kind: 'postgres' | 'http';
  readonly host: string;
  readonly port: number;
}

/** The client's end of a line. */
export interface RunningLine extends Line {
  readonly host: string;
  readonly port: number;
  stop(): void;
}

/** What is said to the thread of a line. */
export type Order =
  | { id: number; what: 'start'; target: LineTarget }
  | { id: number; what: 'delay'; ms: number }
  | { id: number; what: 'take' };

/** Starts a line in a thread of its own, so that it does not take turns with what is measured. */
export async function startLine(target: LineTarget): Promise<RunningLine> {
  const thread = new Worker(new URL('./thread.ts', import.meta.url), { type: 'module' });
  const waiting = new Map<number, (answer: unknown) => void>();
  let last = 0;
  thread.onmessage = ({ data: { id, answer } }) => {
    waiting.get(id)!(answer);
    waiting.delete(id);
  };
  const ask = <T>(order: Record<string, unknown>): Promise<T> =>
    new Promise((resolve) => {
      const id = ++last;
      waiting.set(id, resolve as (answer: unknown) => void);
      thread.postMessage({ id, ...order });
    });
  const port = await ask<number>({ what: 'start', target });
  return {
    host: '127.0.0.1',
    port,
    delay: (ms) => ask({ what: 'delay', ms }),
    take: () => ask({ what: 'take' }),
    stop: () => thread.terminate(),
  };
}
