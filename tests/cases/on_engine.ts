/**
 * Engines and their databases as the cases see them.
 *
 * @module
 */

import { BATCHES } from '../batch/subjects.ts';
import type { Engine, TestDatabase } from '../engines/engine.ts';
import type { Capabilities, CaseDatabase } from './support.ts';

/** What an engine can do. */
export function capabilitiesOf(engine: Engine): Capabilities {
  const { name, dialect, transactions, concurrent } = engine;
  // sqld takes the write lock from a transaction after 5 s, once somebody else wants it.
  const lasting = name !== 'libsql-http';
  return { dialect, transactions, concurrent, lasting, batches: name in BATCHES };
}

/** The part of an engine's empty database that the cases use. */
export function caseDatabaseOf({ name }: Engine, database: TestDatabase): CaseDatabase {
  // Some drivers wait for a lock inside SQLite, and everything else in this process too.
  return {
    connect: (options) => database.connect({ busyTimeoutMs: 0, ...options }),
    batch: (options) => BATCHES[name]!(database.handle!({ busyTimeoutMs: 0, ...options }) as never),
  };
}
