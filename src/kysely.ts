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
  /** Kysely's operation node. */
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

export interface Connection {
  executeQuery(query: CompiledQuery, ...rest: unknown[]): Promise<QueryResult>;
  streamQuery(query: CompiledQuery, ...rest: unknown[]): AsyncIterableIterator<QueryResult>;
}

type Consumer = (connection: Connection) => Promise<unknown>;

export interface ConnectionProvider {
  provideConnection(consumer: Consumer, ...rest: unknown[]): Promise<unknown>;
}

export interface Executor extends ConnectionProvider {
  readonly plugins: readonly unknown[];
  withConnectionProvider(provider: ConnectionProvider): Executor;
}

interface Plugin {
  transformQuery(args: { node: unknown }): unknown;
  transformResult(args: { result: unknown }): Promise<unknown>;
}

/** The instance as the library itself uses it. */
export interface Database extends Handle {
  readonly isTransaction: boolean;
  /** Rejects where a database refuses to be introspected, as D1 does. */
  readonly introspection: {
    getTables(options?: object): Promise<
      { schema?: string; name: string; columns: { name: string }[] }[]
    >;
  };
  getExecutor(): Executor;
  transaction(): { execute<T>(run: (trx: Database) => Promise<T>): Promise<T> };
  withSchema(schema: string): Database;
  withoutPlugins(): Database;
  withPlugin(plugin: Plugin): Database;
}

export function builderOf(db: Database): Fluent {
  return db as unknown as Fluent;
}

export function compile(builder: Fluent): CompiledQuery {
  return builder.compile!() as unknown as CompiledQuery;
}

/** A statement as text, in the shape that every version of Kysely executes. */
export function plain(sql: string, parameters: readonly unknown[] = []): CompiledQuery {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] };
  // As Kysely's own, and cheaper: the first UUID of a process takes Node 4 ms.
  const queryId = { queryId: Math.random().toString(36).slice(2) };
  return { sql, parameters, query, queryId } as CompiledQuery;
}

/** A table as an instance finds it: where its schema and its plugins lead the name. */
export function tableOf(db: Database, table: string): { schema: string | undefined; name: string } {
  const { from } = compile(builderOf(db).selectFrom!(table).selectAll!()).query as {
    from: { froms: [{ table: { schema?: { name: string }; identifier: { name: string } } }] };
  };
  const { schema, identifier } = from.froms[0].table;
  return { schema: schema?.name, name: identifier.name };
}

/** What a statement is by Kysely's operation node; a text that it has not built is a `RawNode`. */
export function kindOf(query: CompiledQuery): string {
  return (query.query as { kind?: string } | undefined)?.kind ?? 'RawNode';
}
