/**
 * A line to Postgres.
 *
 * @module
 */

import { Buffer } from 'node:buffer';
import { createConnection, createServer, type Socket } from 'node:net';
import { held, type LineState } from './held.ts';
import type { LineTarget } from './line.ts';

/** Starts it; resolves with its port. */
export async function startPostgresLine(target: LineTarget, state: LineState): Promise<number> {
  const server = createServer((client) => {
    const upstream = createConnection({ host: target.host, port: target.port });
    pair(client, upstream);
    const count = counter(state);
    const send = held<Buffer>((bytes) => client.write(bytes));
    let isNew = true;
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => {
      count(bytes as Buffer);
      // TCP's own handshake is a round trip, too, and is over at once on this machine.
      send(bytes as Buffer, isNew ? 2 * state.delayMs : state.delayMs);
      isNew = false;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as { port: number }).port;
}

function pair(client: Socket, upstream: Socket): void {
  for (const [socket, other] of [[client, upstream], [upstream, client]] as const) {
    socket.setNoDelay(true);
    socket.on('error', () => other.destroy());
    socket.on('close', () => other.destroy());
  }
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
const READY = 'Z'.charCodeAt(0);
const ENDS_OF_STATEMENTS = [...'CEI'].map((letter) => letter.charCodeAt(0));

/** Counts what the server of one connection answers: it ends statements, and it gets ready. */
function counter(state: LineState): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  let isStarted = false;
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    let at = 0;
    for (; rest.length - at >= 5; at += 1 + rest.readUInt32BE(at + 1)) {
      if (rest.length - at < 1 + rest.readUInt32BE(at + 1)) break;
      const type = rest[at]!;
      if (ENDS_OF_STATEMENTS.includes(type)) state.counts.statements++;
      if (type !== READY) continue;
      if (isStarted) state.counts.roundTrips++;
      else state.counts.connections++;
      isStarted = true;
    }
    rest = rest.subarray(at);
  };
}
