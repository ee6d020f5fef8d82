/**
 * A proxy in front of a server: it reads what passes, counts the requests on the wire, and cuts a
 * connection when the server has answered and the client has not heard of it.
 *
 * @module
 */

import { createConnection, createServer, type Socket } from 'node:net';
import { framesOf, type Framing } from './frames.ts';

/** A running proxy. */
export interface Proxy {
  readonly host: string;
  readonly port: number;
  /** The texts of the requests that have passed. */
  readonly requests: string[];
  /** How many answers were withheld. */
  readonly cuts: number;
  /** Lets the server answer the next request that contains `part`, and cuts the connection then. */
  cutAnswerTo(part: string): void;
  stop(): Promise<void>;
}

/** Starts a proxy. */
export async function startProxy(
  framing: Framing,
  target: { host: string; port: number },
): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let part: string | undefined;
  let cuts = 0;

  const server = createServer((client) => {
    const upstream = createConnection(target);
    const frames = framesOf(framing);
    const unanswered: string[] = [];
    let isWithheld = false;
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', end);
      socket.on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    client.on('data', (bytes) => {
      for (const text of frames.requests(bytes as Uint8Array)) {
        unanswered.push(text);
        requests.push(text);
        if (part !== undefined && text.includes(part)) {
          isWithheld = true;
          part = undefined;
        }
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      for (let left = frames.answers(bytes as Uint8Array); left > 0; left--) unanswered.shift();
      if (!isWithheld) client.write(bytes);
      else if (unanswered.length === 0) {
        cuts++;
        end();
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return {
    host: '127.0.0.1',
    port: (server.address() as { port: number }).port,
    requests,
    get cuts() {
      return cuts;
    },
    cutAnswerTo: (text) => part = text,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
