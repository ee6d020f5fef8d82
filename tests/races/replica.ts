/**
 * A database whose reads may come from a replica that lags behind.
 *
 * @module
 */

import {
  type CompiledQuery,
  type ControlledTransaction,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
} from 'kysely';

import type { AtomicBatch } from '../../mod.ts';
import type { Caller, Db } from './call.ts';

/** For how long a caller reads from the replica. */
export interface Lag {
  /** For so many reads. */
  readonly reads: number;
  /** Not after its first write, as in a session that is consistent in itself. */
  readonly untilWrite: boolean;
}

/** A caller whose reads may be stale. */
export interface Lagging extends Caller {
  /** How many reads the replica has answered. */
  readonly staleReads: number;
}

/**
 * The caller, whose reads outside of a transaction go to the replica at first: another database, in
 * the state that this one was in.
 */
export function lagging({ db, batch }: Caller, replica: Db, { reads, untilWrite }: Lag): Lagging {
  let left = reads;
  let staleReads = 0;
  const toReplica = (): Db => {
    staleReads++;
    return replica;
  };
  const isStale = (sql: string): boolean => {
    if (/^select\b/i.test(sql)) return left-- > 0;
    if (untilWrite) left = 0;
    return false;
  };
  const executor = db.getExecutor();
  const routed: Db = new Kysely({
    dialect: {
      createAdapter: () => executor.adapter,
      createQueryCompiler: () => ({
        compileQuery: (node, queryId) => executor.compileQuery(node, queryId),
      }),
      createIntrospector: () => db.introspection,
      createDriver: () => new RoutingDriver(db, (sql) => isStale(sql) ? toReplica() : db),
    },
  });
  const routedBatch: AtomicBatch | undefined = batch && {
    ...batch,
    execute: async (statements) => {
      const stale = statements.map(({ sql }) => isStale(sql));
      if (statements.length > 1 || !stale[0]) return await batch.execute(statements);
      const { sql, parameters } = statements[0]!;
      const { rows } = await toReplica().executeQuery({ sql, parameters } as CompiledQuery);
      return [rows as Record<string, unknown>[]];
    },
  };
  return {
    db: routed,
    app: db,
    ...(routedBatch && { batch: routedBatch }),
    get staleReads() {
      return staleReads;
    },
  };
}

class RoutingDriver implements Driver {
  readonly #primary: Db;
  readonly #route: (sql: string) => Db;

  constructor(primary: Db, route: (sql: string) => Db) {
    this.#primary = primary;
    this.#route = route;
  }

  async init(): Promise<void> {}
  async destroy(): Promise<void> {}
  async releaseConnection(): Promise<void> {}

  acquireConnection(): Promise<DatabaseConnection> {
    return Promise.resolve(new RoutedConnection(this.#route));
  }

  async beginTransaction(connection: RoutedConnection): Promise<void> {
    connection.transaction = await this.#primary.startTransaction().execute();
  }

  async commitTransaction(connection: RoutedConnection): Promise<void> {
    await connection.transaction!.commit().execute();
    connection.transaction = undefined;
  }

  async rollbackTransaction(connection: RoutedConnection): Promise<void> {
    await connection.transaction!.rollback().execute();
    connection.transaction = undefined;
  }
}

class RoutedConnection implements DatabaseConnection {
  transaction: ControlledTransaction<unknown> | undefined;
  readonly #route: (sql: string) => Db;

  constructor(route: (sql: string) => Db) {
    this.#route = route;
  }

  executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    return (this.transaction ?? this.#route(query.sql)).executeQuery<R>(query as CompiledQuery<R>);
  }

  // deno-lint-ignore require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('nothing here is streamed');
  }
}
