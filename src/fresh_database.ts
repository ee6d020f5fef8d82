/**
 * A database of a user's test suite, as a check finds it: fresh, and its own.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';
import { bootstrapSchema } from './bootstrap.ts';
import type { BootstrapConfig } from './config.ts';
import type { Database, KyselyLike } from './kysely.ts';
import type { BootstrapResult } from './result.ts';

/** A fresh and empty database. */
export interface FreshDatabase<K extends KyselyLike = KyselyLike> {
  /**
   * A new instance on it, with connections of its own, as another process would have; destroyed
   * after the check. All callers are in this one process, so open SQLite files with a busy timeout
   * of 0: SQLite's own waiting would stop everybody else.
   */
  connect(): K | Promise<K>;
  /** The batch for an instance, where the config is to get one. */
  batch?: ((db: K) => AtomicBatch) | undefined;
  /** Removes the database. */
  close?: (() => unknown) | undefined;
}

/** A fresh database in use. */
export class Opened<K extends KyselyLike> {
  readonly #database: FreshDatabase<K>;
  readonly #instances: { destroy?(): Promise<void> }[] = [];

  constructor(database: FreshDatabase<K>) {
    this.#database = database;
  }

  async #connect(): Promise<K> {
    const db = await this.#database.connect();
    this.#instances.push(db as object);
    return db;
  }

  /** Bootstraps it, on an instance of this call's own. */
  async call(config: BootstrapConfig<K>): Promise<BootstrapResult> {
    const db = await this.#connect();
    const batch = this.#database.batch?.(db);
    return await bootstrapSchema(db, { ...config, ...(batch && { batch }) });
  }

  /** Lists the tables with their columns; undefined where it does not tell, as D1 does not. */
  async tables(): Promise<string[] | undefined> {
    const { introspection } = await this.#connect() as unknown as Database;
    const tables = await introspection.getTables().catch(() => undefined);
    return tables?.map(({ schema, name, columns }) => {
      const sorted = columns.map((column) => column.name).sort();
      return `${schema ? `${schema}.` : ''}${name} (${sorted.join(', ')})`;
    });
  }

  async close(): Promise<void> {
    // Where they share a connection, only the first of them can close it.
    await Promise.allSettled(this.#instances.map((db) => db.destroy?.()));
    await this.#database.close?.();
  }
}
