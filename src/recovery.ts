/**
 * What a failed try comes to: another look at the database, or the error that its caller gets.
 *
 * @module
 */

import type { Call } from './call.ts';
import type { Strategy } from './config.ts';
import {
  contentionOf,
  isAdvisoryLockUnsupported,
  isMissingColumn,
  isMissingTable,
} from './contention.ts';
import { messageOf, SchemaError } from './errors.ts';

export class Recovery {
  /** What was in the way of the last try, for the error of a caller whose deadline has passed. */
  lastContention: unknown;
  readonly #call: Call;
  /** The error that has had its second chance. */
  #first: { readonly error: unknown; readonly contention: string } | undefined;

  constructor(call: Call) {
    this.#call = call;
  }

  /**
   * What to do before the next look, if that may find better: nothing, or to give an old ledger its
   * new columns, or to pause. Throws what the caller is to see otherwise.
   */
  after(error: unknown, strategy: Strategy): 'look' | 'modernize' | 'pause' {
    const { settings: { onContention }, patience, ddlErrors, hooks, log } = this.#call;
    const isFromDdl = ddlErrors.has(error);
    const isOurs = !isFromDdl && !(error instanceof SchemaError);
    if (isOurs && isMissingColumn(error) && !this.#call.isModern) return 'modernize';
    if (isOurs && this.#call.useAdvisoryLock && isAdvisoryLockUnsupported(error)) {
      this.#call.useAdvisoryLock = false;
      log(`no advisory locks (${messageOf(error)}), so none are used`);
      return 'look';
    }
    // Under a lease the next statement may read from a replica that lags behind our own writes.
    const isBehind = strategy === 'lease' && !isFromDdl && isMissingTable(error);
    const contention = isBehind ? 'busy' : contentionOf(error);
    this.#call.hasMetContention ||= contention !== undefined;
    const isPassing = contention === 'race' || (contention !== undefined && !isFromDdl);
    // Under a lease each statement of the DDL may meet those who look and claim, and it is idempotent.
    const isRepeatable = contention === 'busy' && strategy === 'lease' && onContention === 'wait';
    const isDoubtful = contention !== undefined && !isPassing && !isRepeatable;
    const isWorthIt = contention !== undefined && !(isDoubtful && this.#first);
    const isNews = messageOf(error) !== messageOf(this.lastContention);
    this.lastContention = error;
    const end = patience.exhausted();
    if (!isWorthIt || end) {
      // The second run of a lease's DDL meets what the first one had made by then.
      const isSame = strategy === 'lease' && this.#first?.contention === contention;
      const told = isDoubtful && isSame ? this.#first!.error : error;
      if (isFromDdl && !isWorthIt) hooks.onError?.(told);
      throw isPassing && end ? end.error : told;
    }
    if (isDoubtful) this.#first = { error, contention };
    if (isNews) log(`trying again, as another caller may be in the way: ${messageOf(error)}`);
    // Another caller need not be at work: whoever does not wait is told what the second try gets.
    return !isPassing && onContention === 'return' ? 'look' : 'pause';
  }
}
