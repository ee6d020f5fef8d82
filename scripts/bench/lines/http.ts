/**
 * A line to a server that speaks HTTP: libSQL's.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import type { LineState } from './held.ts';
import type { LineTarget } from './line.ts';

/** Starts it; resolves with its port. */
export async function startHttpLine(target: LineTarget, state: LineState): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const fresh = new WeakSet<object>();
  const server = createServer(async (asked, answer) => {
    const body = await read(asked);
    const sent = request({
      agent,
      host: target.host,
      port: target.port,
      path: asked.url!,
      method: asked.method!,
      headers: { ...asked.headers, 'accept-encoding': 'identity' },
    });
    sent.on('error', () => answer.destroy());
    sent.on('response', async (got) => {
      const text = await read(got);
      state.counts.roundTrips++;
      state.counts.statements += statementsIn(body.toString(), text.toString());
      // TCP's own handshake is a round trip, too, and is over at once on this machine.
      const trips = fresh.delete(asked.socket) ? 2 : 1;
      const send = () => answer.writeHead(got.statusCode!, got.headers).end(text);
      if (state.delayMs === 0) send();
      else setTimeout(send, trips * state.delayMs);
    });
    sent.end(body);
  });
  server.keepAliveTimeout = 60_000;
  server.on('connection', (socket) => {
    fresh.add(socket);
    state.counts.connections++;
    socket.setNoDelay(true);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as { port: number }).port;
}

async function read(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

interface Hrana {
  requests?: { type: string; sql?: string }[];
  results?: { response?: { result?: { step_results?: unknown[]; step_errors?: unknown[] } } }[];
}

// https://github.com/tursodatabase/libsql/blob/main/docs/HRANA_3_SPEC.md
function statementsIn(asked: string, answered: string): number {
  if (!asked.startsWith('{')) return 0;
  const { requests = [] } = JSON.parse(asked) as Hrana;
  const { results = [] } = JSON.parse(answered) as Hrana;
  return requests.reduce((sum, { type, sql = '' }, at) => {
    if (type === 'execute') return sum + 1;
    if (type === 'sequence') return sum + sql.split(';').filter((one) => one.trim()).length;
    if (type !== 'batch') return sum;
    const { step_results = [], step_errors = [] } = results[at]?.response?.result ?? {};
    return sum + [...step_results, ...step_errors].filter((one) => one !== null).length;
  }, 0);
}
