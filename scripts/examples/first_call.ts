/**
 * The README's first example is a module with a function for the reader's own database. This calls
 * it, so that it is run and not only read.
 *
 * @module
 */

import type { Example } from './readme.ts';

const CALL = `
import Sqlite from 'better-sqlite3';
import { Kysely as Instance, SqliteDialect } from 'kysely';

const dialect = new SqliteDialect({ database: new Sqlite(':memory:') });
const db = new Instance<Database>({ dialect });
const together = await Promise.all([handle(db), handle(db)]);
console.log(...together, await handle(db));
`;

/** The first example, with a program behind it. */
export function firstCall([first]: readonly Example[]): Example {
  if (!first?.code.includes('export async function handle(')) {
    throw new Error('The first example has no function handle()');
  }
  return {
    name: 'first_call',
    isShared: false,
    places: ['node', 'deno', 'bun'],
    code: `${first.code}${CALL}`,
    expected: ['0 0 0'],
  };
}
