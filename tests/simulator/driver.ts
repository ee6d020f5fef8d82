/**
 * A Kysely dialect whose every statement is a request to a simulation.
 *
 * @module
 */

import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresQueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';

import type { AtomicBatch } from '../../mod.ts';
import type { Db } from './scenario.ts';
import type { Session, World } from './server.ts';
import type { Answer, Sql } from './store.ts';

/** What a caller may ask of the database. */
export type Request =
  | { readonly kind: 'begin' | 'commit' | 'rollback'; readonly session: Session }
  | { readonly kind: 'statement'; readonly session: Session; readonly statement: Sql }
  | { readonly kind: 'batch'; readonly statements: readonly Sql[] };

/** The caller's side of the wire. */
export interface Wire {
  readonly caller: string;
  send(request: Request): Promise<Answer[]>;
  /** Connections in hand. */
  held: number;
}

/** A Kysely instance on a wire. */
export function openSimulated(wire: Wire, world: World, hasOneConnection: boolean): Db {
  const isPostgres = world.engine === 'postgres';
  const dialect: Dialect = {
    createAdapter: () =>
      isPostgres
        ? new PostgresAdapter()
        : hasOneConnection
        ? new SqliteAdapter()
        : new ManyConnectionsAdapter(),
    createDriver: () => new SimulatedDriver(wire, world),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => isPostgres ? new PostgresQueryCompiler() : new SqliteQueryCompiler(),
  };
  return new Kysely({ dialect });
}

/** A batch on a wire. */
export function simulatedBatch(wire: Wire): AtomicBatch {
  return {
    database: wire,
    async execute(statements) {
      const unit = statements.map((one) => ({ ...one, sql: unwrapped(one.sql) }));
      const answers = await wire.send({ kind: 'batch', statements: unit });
      return answers.map(({ rows }) => rows);
    },
  };
}

class ManyConnectionsAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true;
  }
}

class SimulatedConnection implements DatabaseConnection {
  readonly session: Session;
  readonly #wire: Wire;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.session = { caller: wire.caller, transaction: undefined, isBroken: false };
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const { session } = this;
    const statement = { sql: unwrapped(sql), parameters };
    const [answer] = await this.#wire.send({ kind: 'statement', session, statement });
    const numAffectedRows = BigInt(answer!.changes);
    return { rows: answer!.rows as R[], numAffectedRows };
  }

  // deno-lint-ignore require-yield
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error('Streaming is not simulated');
  }
}

/** What a "do" block does, which SQLite has not: a statement, behind the setting that it runs with. */
function unwrapped(sql: string): string {
  const [, setting, text] = /^do 'begin perform (.*?); (.*); end'$/s.exec(sql) ?? [];
  return text === undefined ? sql : `${text} /* ${setting} */`.replaceAll("''", "'");
}

class SimulatedDriver implements Driver {
  readonly #wire: Wire;
  readonly #transactions: World['transactions'];

  constructor(wire: Wire, { transactions }: World) {
    this.#wire = wire;
    this.#transactions = transactions;
  }

  async init(): Promise<void> {}
  async destroy(): Promise<void> {}

  acquireConnection(): Promise<DatabaseConnection> {
    this.#wire.held++;
    return Promise.resolve(new SimulatedConnection(this.#wire));
  }

  releaseConnection(): Promise<void> {
    this.#wire.held--;
    return Promise.resolve();
  }

  beginTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#transactions === 'none') throw new Error('Transactions are not supported yet.');
    return this.#control('begin', connection);
  }

  commitTransaction(connection: DatabaseConnection): Promise<void> {
    return this.#control('commit', connection);
  }

  rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    return this.#control('rollback', connection);
  }

  async #control(
    kind: 'begin' | 'commit' | 'rollback',
    connection: DatabaseConnection,
  ): Promise<void> {
    if (this.#transactions === 'silent') return;
    const { session } = connection as SimulatedConnection;
    await this.#wire.send({ kind, session });
  }
}
