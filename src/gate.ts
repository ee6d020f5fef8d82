/**
 * The gate that every statement of the caller's DDL passes on its way into the transaction.
 *
 * @module
 */

import type { Call } from './call.ts';
import type { Claim } from './claim.ts';
import { contentionOf } from './contention.ts';
import { StatementRefusedError } from './errors.ts';
import type { Gate, Handle } from './kysely.ts';
import { isRead, refusalInUnit, type Statement, statementsOf } from './sql_text.ts';

/** The gate of one try. */
export class DdlGate implements Gate {
  /** Whether the DDL is running: no statement passes before or after. */
  isOpen = false;
  /** True once the DDL has issued a statement through the instance it was given. */
  hasIssued = false;
  /** True once one has been sent. */
  hasSent = false;
  /** What the DDL has changed: what a recorder would record. */
  readonly changes: Statement[] = [];
  /** The last error that a statement got. */
  lastFailure: { readonly error: unknown } | undefined;
  /** Why no further statement is sent: the transaction is gone, or nobody waits for it. */
  end: { readonly error: unknown } | undefined;
  readonly #call: Call;
  readonly #claim: Claim;
  #inFlight = 0;

  constructor(call: Call, claim: Claim) {
    this.#call = call;
    this.#claim = claim;
  }

  /** True if no statement is under way and further ones may come. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && !this.end;
  }

  /** Lets a statement in, or refuses it. */
  async enter(sql: string, connection: Handle): Promise<void> {
    const { dialect, details } = this.#call;
    const statements = statementsOf(sql, dialect);
    this.hasIssued = true;
    this.#check(sql);
    const reason = refusalInUnit(statements);
    if (reason) throw new StatementRefusedError(sql, reason, details);
    await this.#claim.check(connection, (error) => this.doom(error));
    // Again, as a renewal may have taken its time, or have found the transaction gone.
    this.#check(sql);
    this.hasSent = true;
    if (!isRead(statements)) this.changes.push(...statements);
    this.#inFlight++;
  }

  /** Hears of the end of a statement. */
  leave(failure?: { error: unknown }): void {
    this.#inFlight--;
    if (!failure) return;
    this.lastFailure = failure;
    this.doom(failure.error);
  }

  /** After an error that only a race can cause, the transaction is gone, whoever catches it. */
  doom(error: unknown): void {
    if (contentionOf(error) === 'race') this.end ??= { error };
  }

  #check(sql: string): void {
    if (!this.isOpen) {
      // Kysely before 0.28 would send it on a connection that serves somebody else by now.
      const reason = 'the install that it belonged to is over';
      throw new StatementRefusedError(sql, reason, this.#call.details);
    }
    if (this.end) throw this.end.error;
  }
}
