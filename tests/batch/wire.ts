/**
 * Callers whose bytes pass a proxy.
 *
 * @module
 */

import { inDatabase, type TestDatabase } from '../engines/engine.ts';
import type { Framing } from '../support/frames.ts';
import { type Proxy, startProxy } from '../support/proxy.ts';
import { type Caller, callerOn, onPostgres, onSqld, type Subject } from './subjects.ts';

/** An engine whose bytes can be read. */
export interface WireSubject {
  readonly subject: Subject;
  readonly framing: Framing;
  /** What a request contains that commits. */
  readonly commit: string;
}

/** Those that have a server. */
export const WIRED: readonly WireSubject[] = [
  { subject: onSqld, framing: 'http', commit: 'create table' },
  { subject: onPostgres, framing: 'postgres', commit: 'commit' },
];

/** A caller behind a proxy of its own. */
export interface WiredCaller extends Caller {
  readonly proxy: Proxy;
}

/** A database, and callers with a proxy each. */
export interface WiredStage {
  readonly database: TestDatabase;
  /** A caller that is connected, so that only what it is told to do counts. */
  caller(): Promise<WiredCaller>;
}

/** Runs a test on a database of its own. */
export function onWire(
  { subject, framing }: WireSubject,
  run: (stage: WiredStage) => Promise<void>,
): Promise<void> {
  return inDatabase(subject.engine, async (database) => {
    const { endpoint } = await subject.engine.start();
    const proxies: Proxy[] = [];
    const caller = async () => {
      const proxy = await startProxy(framing, endpoint!);
      proxies.push(proxy);
      const made = callerOn(subject, database, { via: proxy, connections: 1 });
      // The clients ask a server for its version or its settings as they connect.
      await made.batch.execute([{ sql: 'select 1', parameters: [] }]);
      proxy.requests.length = 0;
      return { ...made, proxy };
    };
    try {
      await run({ database, caller });
    } finally {
      for (const proxy of proxies) await proxy.stop();
    }
  });
}
