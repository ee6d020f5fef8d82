/**
 * Instances of the caller's own Kysely class that the library makes: with a gate before each
 * statement, or on connections of another kind.
 *
 * @module
 */

import type {
  CompiledQuery,
  Connection,
  ConnectionProvider,
  Database,
  Executor,
  Handle,
  QueryResult,
} from './kysely.ts';

/** What a {@linkcode Gate} is told of each statement that the caller's DDL issues. */
export interface Gate {
  /** Before it is sent on `connection`. Throws to refuse it. */
  enter?(query: CompiledQuery, connection: Handle): Promise<void>;
  /** After it, if it failed. */
  fail(error: unknown): void;
  /** After it, in any case. */
  leave?(): void;
}

/**
 * A transaction that runs in `trx`, with every statement passing `gate` first. It is of the
 * caller's own `Transaction` class, with its compiler, adapter and plugins.
 */
export function gatedTransaction(trx: Database, gate: Gate): Database {
  const executor = trx.getExecutor();
  // A transaction has one connection.
  let inside: Connection | undefined;
  return instanceOf(
    trx.constructor,
    executor.withConnectionProvider({
      provideConnection: (consumer, ...rest) =>
        executor.provideConnection(
          (connection) => consumer(inside ??= gated(connection, gate)),
          ...rest,
        ),
    }),
    { createIntrospector: (own: unknown) => introspectionOf(trx, own) },
  );
}

/** What `db` introspects with, on another instance. */
export function introspectionOf(db: Database, own: unknown): object {
  const { introspection } = db;
  const Introspector = introspection.constructor as new (db: unknown) => object;
  // One that a dialect has written as a plain object has its instance already.
  return Introspector === Object ? introspection : new Introspector(own);
}

/** A copy of `db` that calls `check` before each statement is compiled, or executed as it is. */
export function checkedInstance(db: Database, check: () => void): Database {
  const copy = db.withPlugin({
    transformQuery({ node }) {
      check();
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  });
  return Object.assign(copy, {
    executeQuery(query: CompiledQuery, ...rest: []) {
      check();
      return db.executeQuery(query, ...rest);
    },
  });
}

/** What Kysely asks of its driver for a `transaction()`. */
interface Driver {
  beginTransaction(connection: Connection): Promise<void>;
  commitTransaction(connection: Connection): Promise<void>;
  rollbackTransaction(connection: Connection): Promise<void>;
  savepoint(): unknown;
}

/**
 * An instance of the caller's own Kysely class, with its compiler, adapter and plugins, on the
 * connections of `provider`.
 */
export function instanceOn(
  db: Database,
  provider: ConnectionProvider,
  driver: Driver,
  createIntrospector: (own: unknown) => object,
): Database {
  // A subclass may have a constructor of its own, so Kysely's own class is looked up; and a proxy may
  // have no prototype of it.
  let prototype: object = db.withoutPlugins();
  while (!Object.hasOwn(prototype, 'getExecutor')) prototype = Object.getPrototypeOf(prototype);
  const executor = db.getExecutor().withConnectionProvider(provider);
  return instanceOf(prototype.constructor, executor, { createIntrospector }, driver);
}

// Kysely's constructors take either a configuration or, as its own methods call them, these props.
function instanceOf(
  constructor: unknown,
  executor: Executor,
  dialect: object,
  driver: Partial<Driver> = {},
): Database {
  const Instance = constructor as new (props: object) => Database;
  return new Instance({ config: { dialect }, driver, dialect, executor });
}

function gated(connection: Connection, gate: Gate): Connection {
  // One at a time: in a transaction Kysely waits for each before it sends the next one.
  async function executeQuery(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult> {
    await gate.enter?.(query, connection);
    try {
      return await connection.executeQuery(query, ...rest);
    } catch (error) {
      gate.fail(error);
      throw error;
    } finally {
      gate.leave?.();
    }
  }
  async function* streamQuery(
    query: CompiledQuery,
    ...rest: unknown[]
  ): AsyncIterableIterator<QueryResult> {
    await gate.enter?.(query, connection);
    try {
      yield* connection.streamQuery(query, ...rest);
    } catch (error) {
      gate.fail(error);
      throw error;
    } finally {
      gate.leave?.();
    }
  }
  return new Proxy(connection, {
    get(target, key) {
      if (key === 'executeQuery') return executeQuery;
      if (key === 'streamQuery') return streamQuery;
      // Drivers keep private fields, so their methods must run on the driver's own object.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
