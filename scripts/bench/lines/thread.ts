/**
 * The thread of a line.
 *
 * @module
 */

import { startHttpLine } from './http.ts';
import { noCounts, type Order } from './line.ts';
import { startPostgresLine } from './postgres.ts';

// Of a thread's global scope only what is used here.
const scope = globalThis as unknown as {
  onmessage: (event: { data: Order }) => void;
  postMessage(message: unknown): void;
};

const state = { delayMs: 0, counts: noCounts() };

scope.onmessage = async ({ data }) => {
  scope.postMessage({ id: data.id, answer: await carryOut(data) });
};

async function carryOut(order: Order): Promise<unknown> {
  switch (order.what) {
    case 'start': {
      const start = order.target.kind === 'http' ? startHttpLine : startPostgresLine;
      return await start(order.target, state);
    }
    case 'delay':
      state.delayMs = order.ms;
      return;
    case 'take': {
      const { counts } = state;
      state.counts = noCounts();
      return counts;
    }
  }
}
