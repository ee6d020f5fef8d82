/**
 * What the tests of strategy `'lease'` share.
 *
 * @module
 */

import { join } from 'node:path';

import { TABLES } from './counts.ts';
import { createFile } from './files.ts';
import type { Race } from './race.ts';

/**
 * Long enough for a process that a busy machine keeps waiting; the DDL rests a moment after each
 * table, since a synchronous driver would not let the claim be renewed otherwise.
 */
export const LEASE_MS = 500;

/**
 * A call on a fresh file. Every statement of its idempotent DDL is on its own and may find the file
 * busy, which would be an error of the DDL: so SQLite itself waits.
 */
export function leaseRace(folder: string, name: string): Race {
  const path = join(folder, name);
  createFile(path, 'wal');
  return {
    path,
    busyTimeoutMs: 5_000,
    tables: TABLES,
    strategy: 'lease',
    leaseMs: LEASE_MS,
    isIdempotent: true,
    pauseMs: 1,
  };
}
