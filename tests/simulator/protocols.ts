/**
 * What is simulated: the library, and the reference that it is compared with.
 *
 * @module
 */

import { claimThenDdl } from '../../scripts/claim_then_ddl.ts';
import type { Protocol } from './scenario.ts';

type Library = typeof import('../../mod.ts');

/** The library, or a copy of it. */
export function libraryProtocol(
  library: Library,
  times: { waitTimeoutMs: number; leaseMs: number },
): Protocol {
  return ({ db, batch, signal, schema, ddl, upgrades, caller, logger }) =>
    library.bootstrapSchema(db, {
      version: schema.version,
      ddl,
      upgrades,
      strategy: caller.strategy,
      ...(caller.strategy === 'batch' && { batch }),
      ...(caller.assumeFresh && { assumeFresh: true }),
      ...(caller.onContention && { onContention: caller.onContention }),
      ...times,
      signal,
      logger,
    });
}

/** The usual way, which is known to be wrong. */
export const referenceProtocol: Protocol = async ({ db, schema, ddl }) => {
  const { installed } = await claimThenDdl(db, { version: schema.version, ddl });
  return { installed, outcome: installed ? 'installed' : 'already-installed' };
};
