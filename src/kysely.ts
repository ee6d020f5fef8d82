/**
 * What the library sees of the caller's Kysely.
 *
 * Kysely is never imported: any copy of it, from npm or JSR, of any version from 0.27 on, fits
 * {@linkcode KyselyLike}. Its builders are typed loosely here on purpose, since their exact types
 * differ from version to version while the calls below have not changed.
 *
 * @module
 */

/**
 * The part of a Kysely instance by which it is recognised. Every `Kysely<Database>` is one.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import type { KyselyLike } from '@arraypress/db-migrate';
 *
 * function fits(db: Kysely<{ users: { id: number } }>): KyselyLike {
 *   return db;
 * }
 * ```
 */
export interface KyselyLike {
  /** True for a `Transaction`, which the library does not take as its database. */
  readonly isTransaction: boolean;
  /** Kysely's own executor: compiler, plugins and connections. */
  getExecutor(): object;
  /** Begins a transaction. */
  transaction(): object;
  /** A copy whose tables live in another schema. */
  withSchema(schema: string): object;
}

/** A statement with its bound parameters, as Kysely's `compile()` returns it. */
export interface CompiledQuery {
  /** The text, with placeholders. */
  readonly sql: string;
  /** The values for the placeholders. */
  readonly parameters: readonly unknown[];
  /** Kysely's operation node; only {@linkcode tableOf} looks into it. */
  readonly query: unknown;
}

/** What a statement answered. */
export interface QueryResult {
  /** Rows as plain objects; empty for a statement that returns none. */
  readonly rows: readonly Record<string, unknown>[];
  readonly [detail: string]: unknown;
}

/** A Kysely builder: every call returns another one. */
export interface Fluent {
  (...args: unknown[]): Fluent;
  readonly [name: string]: Fluent;
}

/** Anything that runs compiled statements: a Kysely instance or a transaction of it. */
export interface Handle {
  executeQuery(query: CompiledQuery): Promise<QueryResult>;
}

/** A database connection as Kysely's drivers hand it out. */
export interface Connection {
  executeQuery(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult>;
  streamQuery(query: CompiledQuery, ...rest: unknown[]): AsyncIterableIterator<QueryResult>;
}

type Consumer = (connection: Connection) => Promise<unknown>;

/** Whoever lends connections. */
export interface ConnectionProvider {
  provideConnection(consumer: Consumer, ...rest: unknown[]): Promise<unknown>;
}

interface Executor extends ConnectionProvider {
  withConnectionProvider(provider: ConnectionProvider): Executor;
}

interface Plugin {
  transformQuery(args: { node: unknown }): unknown;
  transformResult(args: { result: unknown }): Promise<unknown>;
}

/** The instance as the library itself uses it. */
export interface Database extends Handle {
  readonly isTransaction: boolean;
  readonly introspection: object;
  getExecutor(): Executor;
  transaction(): { execute<T>(run: (trx: Database) => Promise<T>): Promise<T> };
  withSchema(schema: string): Database;
  withoutPlugins(): Database;
  withPlugin(plugin: Plugin): Database;
}

/** The builders of an instance. */
export function builderOf(db: Database): Fluent {
  return db as unknown as Fluent;
}

/** Compiles a builder. */
export function compile(builder: Fluent): CompiledQuery {
  return builder.compile!() as unknown as CompiledQuery;
}

/** A statement as text, in the shape that every version of Kysely executes. */
export function plain(sql: string, parameters: readonly unknown[] = []): CompiledQuery {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] };
  const queryId = { queryId: crypto.randomUUID() };
  return { sql, parameters, query, queryId } as CompiledQuery;
}

/** The table that a compiled `select` reads, as the caller's plugins left its name. */
export function tableOf(select: CompiledQuery): { schema?: string; name: string } {
  const { from } = select.query as {
    from: { froms: [{ table: { schema?: { name: string }; identifier: { name: string } } }] };
  };
  const { schema, identifier } = from.froms[0].table;
  return schema ? { schema: schema.name, name: identifier.name } : { name: identifier.name };
}

/** What a statement is by Kysely's operation node; a text that it has not built is a `RawNode`. */
export function kindOf(query: CompiledQuery): string {
  return (query.query as { kind?: string } | undefined)?.kind ?? 'RawNode';
}

/** What a {@linkcode Gate} is told of each statement that the caller's DDL issues. */
export interface Gate {
  /** Whether one has to leave before the next one may enter. */
  readonly isSerial: boolean;
  /** Before it is sent on `connection`. Throws to refuse it. */
  enter(query: CompiledQuery, connection: Handle): Promise<void>;
  /** After it, with its error if it failed. */
  leave(failure?: { error: unknown }): void;
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
    { createIntrospector: () => trx.introspection },
  );
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

/** What a nested `transaction()` of an instance made by {@linkcode instanceOn} does. */
export interface NestedTransactions {
  begin(connection: Connection): Promise<void>;
  commit(connection: Connection): Promise<void>;
  rollback(connection: Connection): Promise<void>;
}

/**
 * An instance of the caller's own Kysely class, with its compiler, adapter and plugins, on the
 * connections of `provider`.
 */
export function instanceOn(
  db: Database,
  provider: ConnectionProvider,
  nested: NestedTransactions,
  introspector: () => object,
): Database {
  // A subclass may have a constructor of its own, so Kysely's own class is looked up.
  let prototype: object = db;
  while (!Object.hasOwn(prototype, 'getExecutor')) prototype = Object.getPrototypeOf(prototype);
  return instanceOf(
    prototype.constructor,
    db.getExecutor().withConnectionProvider(provider),
    { createIntrospector: introspector },
    {
      beginTransaction: nested.begin,
      commitTransaction: nested.commit,
      rollbackTransaction: nested.rollback,
    },
  );
}

// Kysely's constructors take either a configuration or, as its own methods call them, these props.
function instanceOf(
  constructor: unknown,
  executor: Executor,
  dialect: object,
  driver: object = {},
): Database {
  const Instance = constructor as new (props: object) => Database;
  return new Instance({ config: { dialect }, driver, dialect, executor });
}

function gated(connection: Connection, gate: Gate): Connection {
  let last: Promise<unknown> = Promise.resolve();
  function executeQuery(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult> {
    if (!gate.isSerial) return execute(query, ...rest);
    const answer = last.then(() => execute(query, ...rest));
    last = answer.catch(() => {});
    return answer;
  }
  async function execute(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult> {
    await gate.enter(query, connection);
    let failure: { error: unknown } | undefined;
    try {
      return await connection.executeQuery(query, ...rest);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      gate.leave(failure);
    }
  }
  async function* streamQuery(
    query: CompiledQuery,
    ...rest: unknown[]
  ): AsyncIterableIterator<QueryResult> {
    await gate.enter(query, connection);
    let failure: { error: unknown } | undefined;
    try {
      yield* connection.streamQuery(query, ...rest);
    } catch (error) {
      failure = { error };
      throw error;
    } finally {
      gate.leave(failure);
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
