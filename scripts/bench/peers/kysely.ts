/**
 * Kysely's own Migrator, and what people write by hand in its place.
 *
 * @module
 */

import { Migrator } from 'kysely/migration';

import { claimThenDdl as claim } from '../../claim_then_ddl.ts';
import { VERSION } from '../schema.ts';
import { alike, type Peer } from './peer.ts';

const EVERYWHERE = ['postgres', 'libsql', 'd1', 'sqlite'] as const;

/** Kysely's Migrator. */
export const kyselyMigrator: Peer = {
  name: 'Kysely Migrator',
  package: 'kysely',
  on: alike(EVERYWHERE, ({ kysely: db }, { ddl: up }) => {
    const provider = { getMigrations: () => Promise.resolve({ [VERSION]: { up } }) };
    return async () => {
      const { error } = await new Migrator({ db, provider }).migrateToLatest();
      if (error) throw error;
    };
  }),
};

/** The usual protocol by hand. */
export const claimThenDdl: Peer = {
  name: 'claim-then-DDL',
  package: 'kysely',
  on: alike(EVERYWHERE, ({ kysely }, { ddl }) => () => claim(kysely, { version: VERSION, ddl })),
};
