/**
 * What the benchmarks need of a tool that installs schemas.
 *
 * @module
 */

import type { Caller, CallerOn, EngineName } from '../caller.ts';
import type { BenchSchema } from '../schema.ts';

/** Makes the schema be there; an application calls it before it uses the database. */
export type Install = () => Promise<unknown>;

/** Makes an {@link Install} as an application does as it starts: nothing is sent by that. */
export type Installer<E extends EngineName> = (
  caller: CallerOn<E>,
  schema: BenchSchema,
) => Install | Promise<Install>;

/** A tool. */
export interface Peer {
  readonly name: string;
  /** The package that it comes from, for its version. */
  readonly package: string;
  /** How it is driven on each engine. */
  readonly on: { readonly [E in EngineName]?: Installer<E> };
  /** Why it is on no other engine. */
  readonly absent?: string;
  /** What a reader should know. */
  readonly note?: string;
  /** Runs where nothing is installed only. */
  readonly freshOnly?: true;
  /** Installs a schema of its own, not ours. */
  readonly ownSchema?: true;
  /** What is to be let go of once a caller is closed, before its database is dropped. */
  readonly settle?: () => Promise<void>;
}

/** How a peer is driven by a caller, or nothing if it is not on that engine. */
export function installerOf(
  peer: Peer,
  engine: EngineName,
): Installer<EngineName> | undefined {
  return peer.on[engine] as Installer<EngineName> | undefined;
}

/** The same way of driving it on several engines. */
export function alike<E extends EngineName>(
  engines: readonly E[],
  installer: (caller: Caller, schema: BenchSchema) => Install,
): { readonly [K in E]: Installer<K> } {
  return Object.fromEntries(engines.map((engine) => [engine, installer])) as never;
}
