/**
 * Statements and round trips, counted on the wire.
 *
 * @module
 */

import type { BenchEngine, EngineName } from '../caller.ts';
import type { Counts } from '../lines/line.ts';
import { told, withPeer } from '../measure.ts';
import type { Install, Peer } from '../peers/peer.ts';
import { peersOn } from '../peers/list.ts';
import type { Run } from '../run.ts';
import { type BenchSchema, schemaFor } from '../schema.ts';

/** What was counted, or what was thrown. */
export type Counted = Counts | { readonly error: string };

/** A peer on an engine. */
export interface WireRow {
  readonly engine: EngineName;
  readonly peer: string;
  readonly tables: number;
  /** Nothing is installed. */
  readonly fresh?: Counted;
  /** The schema is installed, and the caller does not know. */
  readonly cold?: Counted;
  /** The same caller once more. */
  readonly warm?: Counted;
}

/** The engines of this section. */
const ENGINES: readonly EngineName[] = ['postgres', 'libsql', 'd1', 'sqlite'];

/** Counts all peers on all engines. */
export async function wire({ engines, effort, progress }: Run): Promise<WireRow[]> {
  const schema = await schemaFor(effort.tables);
  const rows: WireRow[] = [];
  for (const name of ENGINES) {
    const engine = await engines.get(name);
    for (const peer of peersOn(name)) {
      progress.say(`wire: ${name}`, peer.name);
      rows.push(await countPeer(engine, peer, schema));
    }
  }
  return rows;
}

/** Counts one peer. */
export function countPeer(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
): Promise<WireRow> {
  return withPeer(engine, peer, schema, async ({ caller }) => {
    const row = { engine: engine.name, peer: peer.name, tables: schema.tables };
    const fresh = await count(engine, await caller());
    if (peer.freshOnly) return { ...row, fresh };
    const second = await caller();
    const cold = await count(engine, second);
    return {
      ...row,
      ...(!peer.ownSchema && { fresh }),
      cold,
      warm: await count(engine, second),
    };
  });
}

/** Counts an install of one peer, and nothing else. */
export function countFresh(
  engine: BenchEngine,
  peer: Peer,
  schema: BenchSchema,
): Promise<Counted> {
  return withPeer(engine, peer, schema, async ({ caller }) => count(engine, await caller()));
}

async function count({ line }: BenchEngine, install: Install): Promise<Counted> {
  await line.take();
  try {
    await install();
  } catch (error) {
    return { error: told(error) };
  }
  return await line.take();
}
