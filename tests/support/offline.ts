/**
 * Instances without a database: they compile, and fail whatever is asked of their driver.
 *
 * @module
 */

import {
  DummyDriver,
  Kysely,
  type KyselyConfig,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';

import type { Dialect } from '../../mod.ts';

/** What `new Kysely()` takes for such an instance. */
export function offlineConfig(dialect: Dialect): KyselyConfig {
  const driver = new DummyDriver();
  driver.acquireConnection = () => Promise.reject(new Error('a connection was asked for'));
  return {
    dialect: dialect === 'sqlite'
      ? {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => driver,
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      }
      : {
        createAdapter: () => new PostgresAdapter(),
        createDriver: () => driver,
        createIntrospector: (db) => new PostgresIntrospector(db),
        createQueryCompiler: () => new PostgresQueryCompiler(),
      },
  };
}

/** An instance through which nothing can be sent. */
// deno-lint-ignore no-explicit-any
export function offline(dialect: Dialect): Kysely<any> {
  return new Kysely(offlineConfig(dialect));
}
