/**
 * Where a request or an answer ends on the wire: as much of HTTP and of Postgres' protocol as it
 * takes to count round trips.
 *
 * @module
 */

/** The protocols. */
export type Framing = 'http' | 'postgres';

/** Reads one connection. */
export interface Frames {
  /** The texts of the requests that these bytes complete. */
  requests(bytes: Uint8Array): string[];
  /** How many answers these bytes complete. */
  answers(bytes: Uint8Array): number;
}

/** Reads a connection from its beginning. */
export function framesOf(framing: Framing): Frames {
  return framing === 'http' ? httpFrames() : postgresFrames();
}

/** Takes what it can from the beginning of a text, or says that there is not enough yet. */
type Take<T> = (text: string) => { taken: T; length: number } | undefined;

function reader<T>(take: Take<T>): (bytes: Uint8Array) => T[] {
  let text = '';
  return (bytes) => {
    // One character a byte. What `TextDecoder` calls latin1 is not.
    text += Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
    const all: T[] = [];
    for (let next = take(text); next; next = take(text)) {
      all.push(next.taken);
      text = text.slice(next.length);
    }
    return all;
  };
}

function httpFrames(): Frames {
  const requests = reader(takeHttp);
  const answers = reader(takeHttp);
  return { requests, answers: (bytes) => answers(bytes).length };
}

function takeHttp(text: string): ReturnType<Take<string>> {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const head = text.slice(0, end);
  const length = /chunked/i.test(/^transfer-encoding:.*$/im.exec(head)?.[0] ?? '')
    ? endOfChunks(text, end + 4)
    : end + 4 + Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? 0);
  if (length === undefined || text.length < length) return undefined;
  return { taken: text.slice(0, length), length };
}

function endOfChunks(text: string, start: number): number | undefined {
  for (let at = start;;) {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const size = Number.parseInt(text.slice(at, end), 16);
    at = end + 2 + size + 2;
    if (size === 0) return at;
  }
}

// https://www.postgresql.org/docs/current/protocol-message-formats.html
function postgresFrames(): Frames {
  let isStarted = false;
  let extended = '';
  const sent = reader((text) => {
    const taken = takePostgres(text, isStarted ? 1 : 0);
    if (taken) isStarted = true;
    return taken;
  });
  const answered = reader((text) => takePostgres(text, 1));
  return {
    requests: (bytes) =>
      sent(bytes).flatMap(({ type, body }) => {
        if (type === '') return ['(startup)'];
        if (type === 'Q') return [body];
        // Parse, Bind, Describe, Execute and Sync travel together; Sync asks for the answer.
        if (type !== 'S') {
          extended += body;
          return [];
        }
        const request = extended;
        extended = '';
        return [request];
      }),
    // ReadyForQuery ends every answer, that of the start included.
    answers: (bytes) => answered(bytes).filter(({ type }) => type === 'Z').length,
  };
}

function takePostgres(
  text: string,
  typeLength: 0 | 1,
): ReturnType<Take<{ type: string; body: string }>> {
  if (text.length < typeLength + 4) return undefined;
  let length = typeLength;
  let size = 0;
  for (let at = 0; at < 4; at++) size = size * 256 + text.charCodeAt(length + at);
  length += size;
  if (text.length < length) return undefined;
  return {
    taken: { type: text.slice(0, typeLength), body: text.slice(typeLength + 4, length) },
    length,
  };
}
