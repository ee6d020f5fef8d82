/**
 * A proxy in front of a server: it reads what passes, and treats its connections as networks do.
 *
 * @module
 */

import { createConnection, createServer, type Socket } from 'node:net';

import { framesOf, type Framing } from './frames.ts';

/** A place that a client connects to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * What befalls every connection, new ones included, until it is healed:
 * - `'cut'` closes them, and refuses new ones.
 * - `'silence'` keeps them open and drops what is sent either way, from here on.
 * - `'silence answers'` does so with what the server sends only.
 *
 * What befalls the one connection that a request comes on:
 * - `'lose request'` cuts it, and the server has not seen the request.
 * - `'lose answer'` cuts it when the server has answered and the client has not heard of it.
 */
export type Fault = 'cut' | 'silence' | 'silence answers' | 'lose request' | 'lose answer';

/** Which request: the first one from now on with this in its text, or the n-th
 * of {@link Proxy.requests}, from 1. */
export type Where = string | number;

/** A running proxy. */
export interface Proxy extends Endpoint {
  /** The texts of the requests that have come; to be emptied by whoever counts. */
  readonly requests: string[];
  /** How many answers were withheld for a `'lose answer'`. */
  readonly cuts: number;
  /** Does this now. */
  inflict(fault: 'cut' | 'silence' | 'silence answers'): void;
  /** Does it when that request comes: before the server sees it, unless it is about its answer. */
  inflictAt(where: Where, fault: Fault): Promise<void>;
  /** Holds everything up for so long, either way, from here on. */
  delay(ms: number): void;
  /** Lets bytes pass again on the connections that are still there, the dropped ones being lost. */
  heal(): void;
  stop(): Promise<void>;
}

/** Starts a proxy. */
export async function startProxy(framing: Framing, target: Endpoint): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  let state: 'cut' | 'silence' | 'silence answers' | undefined;
  let trap: { where: Where; fault: Fault; sprung: () => void } | undefined;
  let cuts = 0;
  let delayMs = 0;

  const inflict: Proxy['inflict'] = (fault) => {
    state = fault;
    if (fault !== 'cut') return;
    // A mere end of the stream would be no news to a server that is busy answering.
    for (const socket of sockets) socket.resetAndDestroy();
  };

  /** The fault that this request springs, if it does. */
  const spring = (text: string): Fault | undefined => {
    if (!trap) return undefined;
    const { where, fault, sprung } = trap;
    const isHere = typeof where === 'string' ? text.includes(where) : requests.length === where;
    if (!isHere) return undefined;
    trap = undefined;
    sprung();
    return fault;
  };

  const server = createServer((client) => {
    if (state === 'cut') return void client.destroy();
    const upstream = createConnection(target);
    const frames = framesOf(framing);
    let unanswered = 0;
    let isWithheld = false;
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
    const pass = (to: Socket, bytes: Uint8Array): void => {
      if (delayMs === 0) to.write(bytes);
      else setTimeout(() => to.write(bytes), delayMs);
    };
    client.on('data', (chunk) => {
      const bytes = chunk as Uint8Array;
      for (const text of frames.requests(bytes)) {
        unanswered++;
        requests.push(text);
        const fault = spring(text);
        if (fault === 'lose request') return end();
        if (fault === 'lose answer') isWithheld = true;
        else if (fault) inflict(fault);
      }
      if (state === undefined || state === 'silence answers') pass(upstream, bytes);
    });
    upstream.on('data', (chunk) => {
      const bytes = chunk as Uint8Array;
      unanswered -= frames.answers(bytes);
      if (state !== undefined) return;
      if (!isWithheld) pass(client, bytes);
      else if (unanswered <= 0) {
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
    inflict,
    inflictAt: (where, fault) =>
      new Promise((resolve) => {
        trap = { where, fault, sprung: resolve };
      }),
    delay: (ms) => {
      delayMs = ms;
    },
    heal: () => {
      state = undefined;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
