/**
 * What the tests say to the Worker in `d1_worker.ts`, and what it answers.
 *
 * @module
 */

import type { BootstrapResult, SchemaPlanData, Strategy } from '../../mod.ts';

/** A call that the Worker makes. */
export interface Order {
  /** `remember` asks through a `createBootstrap` that lasts as long as the isolate. */
  readonly how: 'bootstrap' | 'remember';
  readonly version: string;
  /** How many tables the schema has. */
  readonly tables: number;
  /** One more table, to tell by who has installed. */
  readonly mark?: string;
  readonly strategy?: Strategy;
  /** The DDL never comes to its end. */
  readonly isEndless?: boolean;
  readonly assumeFresh?: boolean;
  /** When to begin, in milliseconds since 1970. At once where absent. */
  readonly wakeAt?: number;
  /** Instead of a DDL. */
  readonly plan?: SchemaPlanData;
}

/** What came of it. */
export interface Told {
  readonly result?: BootstrapResult;
  readonly error?: string;
  /** The calls of the D1 binding that reach the database, in order. */
  readonly calls: readonly string[];
  /** The tables that were there as the call came back. */
  readonly tables: readonly string[];
}
