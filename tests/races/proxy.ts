/**
 * A proxy in front of a server, which treats its connections as networks do.
 *
 * @module
 */

import { createConnection, createServer, type Socket } from 'node:net';

/** A place that a client connects to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * - `'cut'` closes every connection, and refuses new ones.
 * - `'silence'` keeps them open and drops what is sent either way, from here on.
 * - `'silence answers'` does so with what the server sends only.
 */
export type Fault = 'cut' | 'silence' | 'silence answers';

/** A running proxy. */
export interface Proxy extends Endpoint {
  /** Does this now. */
  inflict(fault: Fault): void;
  /** Does it when a client sends something with `part` in it: before that, unless answers only. */
  inflictAt(part: string, fault: Fault): Promise<void>;
  /** Lets bytes pass again on the connections that are still there, the dropped ones being lost. */
  heal(): void;
  stop(): Promise<void>;
}

/** Starts a proxy. */
export async function startProxy(target: Endpoint): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let state: Fault | undefined;
  let trap: { part: string; fault: Fault; sprung: () => void } | undefined;

  const inflict = (fault: Fault): void => {
    state = fault;
    if (fault === 'cut') { for (const socket of sockets) socket.destroy(); }
  };

  const server = createServer((client) => {
    if (state === 'cut') return void client.destroy();
    const upstream = createConnection(target);
    const end = (): void => {
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
      if (trap && (bytes as Uint8Array).length > 0 && textOf(bytes).includes(trap.part)) {
        inflict(trap.fault);
        trap.sprung();
        trap = undefined;
      }
      if (state === undefined || state === 'silence answers') upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (state === undefined) client.write(bytes);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });

  return {
    host: '127.0.0.1',
    port: (server.address() as { port: number }).port,
    inflict,
    inflictAt: (part, fault) =>
      new Promise((resolve) => {
        trap = { part, fault, sprung: resolve };
      }),
    heal: () => {
      state = undefined;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function textOf(bytes: unknown): string {
  return new TextDecoder().decode(bytes as Uint8Array);
}
