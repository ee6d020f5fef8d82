/**
 * Preloaded by Node: puts another version of Kysely in the place of every import of it, those of
 * the drivers' dialects included.
 *
 * @module
 */

import { registerHooks } from 'node:module';
import process from 'node:process';

/** The address of the module that stands in for Kysely. */
const address = process.env.DB_MIGRATE_KYSELY;
if (address === undefined) throw new Error('DB_MIGRATE_KYSELY is not set');

registerHooks({
  resolve(specifier, context, next) {
    const isKysely = specifier === 'kysely' || specifier === 'kysely/migration';
    // The module itself imports the version by its path.
    return isKysely ? { url: address, shortCircuit: true } : next(specifier, context);
  },
});
