/**
 * better-auth's `getMigrations()`, with the schema as that of a plugin.
 *
 * @module
 */

import { getMigrations } from 'better-auth/db/migration';

import { tableName } from '../../../tests/support/schema.ts';
import type { BenchSchema } from '../schema.ts';
import type { Install, Peer } from './peer.ts';

/** better-auth. */
export const betterAuth: Peer = {
  name: 'better-auth',
  package: 'better-auth',
  note: 'compares the database with the schema; four tables more, which are its own',
  on: {
    postgres: ({ pool }, schema) => installWith(pool, schema),
    libsql: ({ kysely }, schema) => installWith({ db: kysely, type: 'sqlite' }, schema),
    d1: ({ binding }, schema) => installWith(binding, schema),
    sqlite: ({ database }, schema) => installWith(database, schema),
  },
};

function installWith(database: unknown, { tables }: BenchSchema): Install {
  const schema = Object.fromEntries(
    Array.from({ length: tables }, (_, n) => [tableName(n + 1), {
      fields: {
        slug: { type: 'string' as const, required: true, unique: true },
        title: { type: 'string' as const, required: false },
        position: { type: 'number' as const, required: false, defaultValue: 0 },
      },
    }]),
  );
  return async () => {
    const { runMigrations } = await getMigrations({
      database: database as never,
      plugins: [{ id: 'bench', schema }],
      secret: 'a secret of the benchmarks, and of nobody else',
      telemetry: { enabled: false },
      logger: { disabled: true },
    });
    await runMigrations();
  };
}
