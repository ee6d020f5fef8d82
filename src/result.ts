/**
 * The result of a call.
 *
 * @module
 */

import type { Strategy } from './config.ts';

/** What a call came to. */
export interface BootstrapResult {
  /** True only for the one call whose DDL was committed. */
  readonly installed: boolean;
  /** True if this call won the claim and committed: the same as `installed`. */
  readonly wonClaim: boolean;
  /** The version that is in the database now (with `'pending'`: soon, if all goes well). */
  readonly version: string;
  /**
   * - `'installed'`: by this call.
   * - `'upgraded'`: by this call, from an older version.
   * - `'already-installed'`: found at the first look.
   * - `'waited'`: found at a later look: another caller was installing, or the database busy.
   * - `'pending'`: another caller is installing, or the database was busy, and `onContention` is
   *   `'return'`. Call again.
   */
  readonly outcome: 'installed' | 'upgraded' | 'already-installed' | 'waited' | 'pending';
  /** With `'upgraded'`: the version that the database was at. */
  readonly from?: string;
  /** With `'upgraded'`: the versions that it was led through, the last one being `version`. */
  readonly steps?: readonly string[];
  /** The strategy that was used, or would have been tried first. */
  readonly strategy: Strategy;
  /** How long the call took, in milliseconds. */
  readonly durationMs: number;
}
