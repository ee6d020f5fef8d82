/**
 * This library.
 *
 * @module
 */

import { createBootstrap } from '../../../mod.ts';
import { VERSION } from '../schema.ts';
import { alike, type Peer } from './peer.ts';

const PACKAGE = '@arraypress/db-migrate';

/** One atomic batch. */
export const batch: Peer = {
  name: 'db-migrate, batch',
  package: PACKAGE,
  on: alike(['postgres', 'libsql', 'd1'], (caller, { ddl }) => {
    const ensure = createBootstrap({ version: VERSION, ddl });
    return () => ensure(caller.kysely, { batch: caller.batch });
  }),
};

/** One atomic batch, on a database that the caller has just created. */
export const assumeFresh: Peer = {
  name: 'db-migrate, batch, assumeFresh',
  package: PACKAGE,
  freshOnly: true,
  on: alike(['postgres', 'libsql', 'd1'], (caller, { ddl }) => {
    const ensure = createBootstrap({
      version: VERSION,
      ddl,
      assumeFresh: true,
      strategy: 'batch',
      batch: caller.batch,
    });
    return () => ensure(caller.kysely);
  }),
};

/** One transaction. */
export const transaction: Peer = {
  name: 'db-migrate, transaction',
  package: PACKAGE,
  on: alike(['postgres', 'libsql', 'sqlite'], (caller, { ddl }) => {
    const ensure = createBootstrap({ version: VERSION, ddl, strategy: 'transaction' });
    return () => ensure(caller.kysely);
  }),
};
