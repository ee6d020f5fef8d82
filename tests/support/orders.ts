/**
 * The side of the process in `child.ts`: takes orders from stdin and reports on stdout, one JSON
 * value a line, and ends when stdin does, so that it does not outlive the test, however that ends.
 *
 * @module
 */

import { writeSync } from 'node:fs';
import process from 'node:process';
import { createInterface } from 'node:readline';

/** Takes orders until there are no more, reporting `'ready'` first; `leave` comes before the end. */
export function takeOrders<Order>(
  obey: (order: Order) => Promise<void>,
  leave: () => void = () => {},
): void {
  const orders = createInterface({ input: process.stdin });
  orders.on('line', (line) => void obey(JSON.parse(line)));
  orders.on('close', () => {
    leave();
    process.exit();
  });
  report({ kind: 'ready' });
}

/** Reports. Synchronous, so that it is out before anything that comes after it, a kill included. */
export function report(message: { readonly kind: string }): void {
  writeSync(1, JSON.stringify(message) + '\n');
}

/** Blocks the thread, timers and all, for longer than any test: until the process is killed. */
export function block(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
}
