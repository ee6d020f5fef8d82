/**
 * Instances whose driver misbehaves, made from instances whose driver does not.
 *
 * @module
 */

import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type DatabaseMetadataOptions,
  type Driver,
  Kysely,
  type QueryResult,
  type TableMetadata,
} from 'kysely';

import type { AtomicBatch } from '../../mod.ts';
import { batchOf, setBatch, textOf } from './batches.ts';
import type { Db } from './support.ts';

type Run<T> = () => Promise<T>;

/** What happens in place of a driver's own work, which `run` or `send` would do. */
export interface Faults {
  query?(sql: string, send: Run<QueryResult<unknown>>): Promise<QueryResult<unknown>>;
  begin?(run: Run<void>): Promise<void>;
  commit?(run: Run<void>): Promise<void>;
  rollback?(run: Run<void>): Promise<void>;
  tables?(run: Run<TableMetadata[]>): Promise<TableMetadata[]>;
}

/** Begin, commit and rollback that do nothing and say nothing. */
export const SILENT: Faults = {
  begin: () => Promise.resolve(),
  commit: () => Promise.resolve(),
  rollback: () => Promise.resolve(),
};

/** An instance on the connections of `db` whose driver has these faults, and so has its batch. */
export function faulty(db: Db, faults: Faults): Db {
  const executor = db.getExecutor();
  const made: Db = new Kysely({
    dialect: {
      // An object of its own, by which the instance is told from the other.
      createAdapter: () => Object.create(executor.adapter),
      createQueryCompiler: () => ({
        compileQuery: (node, queryId) => executor.compileQuery(node, queryId),
      }),
      createIntrospector: () => introspectorOf(db, faults),
      createDriver: () => new FaultyDriver(db, faults),
    },
  });
  const batch = batchOf(db);
  if (batch) setBatch(made, faultyBatch(batch, faults));
  return made;
}

function introspectorOf({ introspection }: Db, { tables }: Faults): DatabaseIntrospector {
  if (!tables) return introspection;
  const getTables = (options: DatabaseMetadataOptions) =>
    tables(() => introspection.getTables(options));
  return Object.create(introspection, { getTables: { value: getTables } });
}

function faultyBatch(batch: AtomicBatch, { query }: Faults): AtomicBatch {
  return {
    ...batch,
    async execute(statements) {
      let rows: Awaited<ReturnType<AtomicBatch['execute']>> = [];
      const send = async () => {
        rows = await batch.execute(statements);
        return { rows: [] };
      };
      if (query) await query(textOf(statements), send);
      else await send();
      return rows;
    },
  };
}

class FaultyDriver implements Driver {
  readonly #db: Db;
  readonly #faults: Faults;

  constructor(db: Db, faults: Faults) {
    this.#db = db;
    this.#faults = faults;
  }

  async init(): Promise<void> {}
  async destroy(): Promise<void> {}

  acquireConnection(): Promise<DatabaseConnection> {
    return Promise.resolve(new Session(this.#db, this.#faults));
  }

  releaseConnection(session: DatabaseConnection): Promise<void> {
    return (session as Session).end();
  }

  beginTransaction(session: DatabaseConnection): Promise<void> {
    const run = () => (session as Session).begin();
    return this.#faults.begin ? this.#faults.begin(run) : run();
  }

  commitTransaction(session: DatabaseConnection): Promise<void> {
    const run = () => (session as Session).end();
    return this.#faults.commit ? this.#faults.commit(run) : run();
  }

  rollbackTransaction(session: DatabaseConnection): Promise<void> {
    const run = () => (session as Session).rollback();
    return this.#faults.rollback ? this.#faults.rollback(run) : run();
  }
}

const ROLLBACK = new Error('rolled back');

/** A connection of the instance beneath, held until its end, plain or in a real transaction. */
class Session implements DatabaseConnection {
  readonly #db: Db;
  readonly #faults: Faults;
  #connection: Promise<DatabaseConnection> | undefined;
  #work: Promise<void> | undefined;
  #over = Promise.withResolvers<void>();

  constructor(db: Db, faults: Faults) {
    this.#db = db;
    this.#faults = faults;
  }

  async begin(): Promise<void> {
    try {
      await this.#hold((use) =>
        this.#db.transaction().execute((trx) => trx.getExecutor().provideConnection(use))
      );
    } catch (error) {
      // Nothing has begun, so there is nothing that the release of the connection may trip over.
      this.#reset();
      throw error;
    }
  }

  /** Commits what was begun, and gives the connection back. */
  async end(): Promise<void> {
    this.#over.resolve();
    await this.#work;
    this.#reset();
  }

  async rollback(): Promise<void> {
    if (!this.#work) return;
    this.#over.reject(ROLLBACK);
    await this.#work.catch((error) => {
      if (error !== ROLLBACK) throw error;
    });
    this.#reset();
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const connection = await this.#open();
    // Some drivers throw in place of rejecting.
    const send = async () => await connection.executeQuery<R>(query);
    return this.#faults.query
      ? await this.#faults.query(query.sql, send) as QueryResult<R>
      : await send();
  }

  async *streamQuery<R>(query: CompiledQuery, size: number): AsyncIterableIterator<QueryResult<R>> {
    yield* (await this.#open()).streamQuery<R>(query, size);
  }

  #open(): Promise<DatabaseConnection> {
    return this.#connection ?? this.#hold((use) => this.#db.getExecutor().provideConnection(use));
  }

  #hold(
    provide: (use: (connection: DatabaseConnection) => Promise<void>) => Promise<void>,
  ): Promise<DatabaseConnection> {
    const over = this.#over.promise;
    over.catch(() => {});
    return this.#connection = new Promise((resolve, reject) => {
      this.#work = provide((connection) => {
        resolve(connection);
        return over;
      });
      this.#work.catch(reject);
    });
  }

  #reset(): void {
    this.#connection = undefined;
    this.#work = undefined;
    this.#over = Promise.withResolvers();
  }
}
