/**
 * Atomic batches: several statements that are committed together or not at all, without a
 * conversation in between.
 *
 * @module
 */

/** A statement with its bound parameters. */
export interface BatchStatement {
  /** One statement, with the placeholders of the dialect: `?` or `$1`. */
  readonly sql: string;
  /** The values for the placeholders. */
  readonly parameters: readonly unknown[];
}

/**
 * Sends statements to one database as one unit. Write your own for any driver with a batch, such
 * as an HTTP driver without interactive transactions.
 *
 * @example
 * ```ts
 * import type { AtomicBatch } from '@arraypress/db-migrate';
 *
 * interface HttpDriver {
 *   query(sql: string, parameters: readonly unknown[]): object;
 *   transaction(queries: object[]): Promise<Record<string, unknown>[][]>;
 * }
 *
 * export function httpBatch(driver: HttpDriver): AtomicBatch {
 *   return {
 *     database: driver,
 *     execute: (statements) =>
 *       driver.transaction(statements.map((s) => driver.query(s.sql, s.parameters))),
 *   };
 * }
 * ```
 */
export interface AtomicBatch {
  /** What identifies the database: the same object for every batch on it, as `env.DB` is. */
  readonly database: object;
  /**
   * Runs the statements in order, in one transaction on the primary. Rejects if one of them fails,
   * and then none has had an effect. A single statement needs no transaction around it.
   *
   * @param signal Aborted once nobody waits for the answer: what has not been sent by then, as it
   * waits for a connection, must not be sent any more.
   * @returns The rows of each statement as plain objects; an empty list where it has none.
   */
  execute(
    statements: readonly BatchStatement[],
    signal?: AbortSignal,
  ): Promise<readonly (readonly Record<string, unknown>[])[]>;
  /** What the database refuses, checked before anything is sent. */
  readonly limits?: BatchLimits | undefined;
}

/** The limits of a database, per statement. */
export interface BatchLimits {
  /** The longest text, in bytes of UTF-8. */
  readonly statementBytes?: number | undefined;
  /** The most bound parameters. */
  readonly parameters?: number | undefined;
}
