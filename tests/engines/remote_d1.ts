/**
 * A D1 binding for the test process. It has the methods that dialects and batches use, and sends
 * what it is given to the real binding inside workerd.
 *
 * @module
 */

import type { Observer } from './engine.ts';
import type { WireRequest, WireStatement } from './wire.ts';

/** What D1 answers. */
export interface D1Answer {
  success: boolean;
  results: Record<string, unknown>[];
  meta: Record<string, unknown>;
}

type Call = <T>(request: WireRequest) => Promise<T>;

/** A D1 database. */
export class RemoteD1 {
  #database: string;
  #call: Call;
  #observer: Observer;

  constructor(database: string, call: Call, observer: Observer = {}) {
    this.#database = database;
    this.#call = call;
    this.#observer = observer;
  }

  prepare(sql: string): RemoteStatement {
    return new RemoteStatement(
      { sql, parameters: [] },
      (statement) => this.#send<D1Answer>('d1.all', [statement]),
    );
  }

  batch(statements: RemoteStatement[]): Promise<D1Answer[]> {
    return this.#send('d1.batch', statements.map(({ statement }) => statement));
  }

  exec(sql: string): Promise<{ count: number; duration: number }> {
    return this.#send('d1.exec', [{ sql, parameters: [] }]);
  }

  async #send<T>(call: WireRequest['call'], statements: WireStatement[]): Promise<T> {
    const sql = statements.map((statement) => statement.sql).join(';\n');
    await this.#observer.onStatement?.(sql, statements.flatMap((each) => each.parameters));
    const result = await this.#call<T>({ database: this.#database, call, statements });
    await this.#observer.onAnswer?.(sql);
    return result;
  }
}

/** A prepared statement. */
export class RemoteStatement {
  readonly statement: WireStatement;
  #send: (statement: WireStatement) => Promise<D1Answer>;

  constructor(statement: WireStatement, send: (statement: WireStatement) => Promise<D1Answer>) {
    this.statement = statement;
    this.#send = send;
  }

  bind(...parameters: unknown[]): RemoteStatement {
    return new RemoteStatement({ sql: this.statement.sql, parameters }, this.#send);
  }

  all(): Promise<D1Answer> {
    return this.#send(this.statement);
  }

  run(): Promise<D1Answer> {
    return this.all();
  }

  async first(column?: string): Promise<unknown> {
    const row = (await this.all()).results[0];
    return (column === undefined ? row : row?.[column]) ?? null;
  }

  async raw(): Promise<unknown[][]> {
    return (await this.all()).results.map((row) => Object.values(row));
  }
}
