/**
 * What a Worker of the tests finds in its environment: the parts that are used.
 *
 * @module
 */

import type { D1Like } from '../../mod.ts';

/** The bindings. */
export interface Env {
  readonly DB: D1Like;
  readonly OBJECTS: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

/** The state of a Durable Object. */
export interface ObjectState {
  readonly storage: {
    readonly sql: { exec(sql: string, ...parameters: unknown[]): { toArray(): unknown[] } };
    transactionSync<T>(run: () => T): T;
    deleteAll(): Promise<void>;
  };
}
