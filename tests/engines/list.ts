/**
 * All engines. To test another one, write an opener for it and put it here.
 *
 * @module
 */

import { d1, durableObject } from './cloudflare.ts';
import type { Engine } from './engine.ts';
import { libsqlFile, libsqlHttp } from './libsql.ts';
import { pglite } from './pglite.ts';
import { bunSql, pg, postgresJs } from './postgres.ts';
import { betterSqlite3, sqlite } from './sqlite.ts';

/** In the order of their cost. */
export const engines: readonly Engine[] = [
  sqlite,
  betterSqlite3,
  libsqlFile,
  libsqlHttp,
  pg,
  postgresJs,
  ...bunSql,
  pglite,
  d1,
  durableObject,
];

/** The engine of that name. */
export function engineNamed(name: string): Engine {
  const found = engines.find((engine) => engine.name === name);
  if (!found) throw new Error(`there is no engine "${name}"`);
  return found;
}
