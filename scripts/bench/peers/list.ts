/**
 * All peers. To compare with another one, write an adapter for it and put it here.
 *
 * @module
 */

import type { EngineName } from '../caller.ts';
import { betterAuth } from './better_auth.ts';
import { drizzle } from './drizzle.ts';
import { oneBatch, oneSelect } from './floors.ts';
import { claimThenDdl, kyselyMigrator } from './kysely.ts';
import { knex } from './knex.ts';
import { assumeFresh, batch, transaction } from './ours.ts';
import type { Peer } from './peer.ts';
import { graphileWorker, pgBoss } from './queues.ts';
import { graphileMigrate, nodePgMigrate, postgrator } from './scripts.ts';
import { umzug } from './umzug.ts';

/** This library. */
export const OURS: readonly Peer[] = [batch, assumeFresh, transaction];

/** What it is compared with. */
export const OTHERS: readonly Peer[] = [
  kyselyMigrator,
  claimThenDdl,
  drizzle,
  umzug,
  knex,
  nodePgMigrate,
  postgrator,
  graphileMigrate,
  betterAuth,
  graphileWorker,
  pgBoss,
];

/** What both are multiples of. */
export const FLOORS: readonly Peer[] = [oneSelect, oneBatch];

/** All of them that are on an engine. */
export function peersOn(engine: EngineName): Peer[] {
  return [...FLOORS, ...OURS, ...OTHERS].filter((peer) => peer.on[engine]);
}
