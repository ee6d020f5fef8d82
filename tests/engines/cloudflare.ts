/**
 * D1 and SQLite-backed Durable Objects in real workerd, for code that runs in the test process.
 * Tests that run inside workerd use `isolates.ts`.
 *
 * @module
 */

import { type CompiledQuery, type DatabaseConnection, type Dialect, Kysely } from 'kysely';
import { DODialect } from 'kysely-do';
import { Closers, type Engine, everywhere, once, shared, type TestDatabase } from './engine.ts';
import { type Isolates, startIsolates } from './isolates.ts';
import { LIST_TABLES } from './list_tables.ts';
import { observe } from './observe.ts';
import type { WireStatement } from './wire.ts';

const workerd = shared(async () => {
  const started = [await startIsolates()];
  return {
    /** The one to make databases in. */
    current: () => started.at(-1)!,
    more: async () => {
      started.push(await startIsolates());
    },
    stop: async () => {
      for (const isolates of started) await isolates.stop();
    },
  };
});

/** D1 through `kysely-d1`. */
export const d1: Engine = {
  name: 'd1',
  dialect: 'sqlite',
  transactions: false,
  processes: false,
  concurrent: true,
  runtimes: everywhere,
  start: once(async () => {
    const { current, more } = await workerd.use();
    const all = new Closers();
    const create = async (): Promise<TestDatabase> => {
      const database = current().create();
      if (!database) {
        await more();
        return create();
      }
      return all.add(database, () => database.drop());
    };
    return {
      create,
      stop: async () => {
        await all.close();
        await workerd.release();
      },
    };
  }),
};

/** The storage of a Durable Object, as far as an atomic batch needs it. */
export interface ObjectStorage {
  /** Runs the statements in one `transactionSync`, and answers with the rows of each. */
  batch(statements: WireStatement[]): Promise<Record<string, unknown>[][]>;
}

/** A SQLite-backed Durable Object through `kysely-do`, which runs inside the object. */
export const durableObject: Engine = {
  name: 'durable-object',
  dialect: 'sqlite',
  transactions: false,
  processes: false,
  concurrent: true,
  runtimes: everywhere,
  start: once(async () => {
    const { current } = await workerd.use();
    const all = new Closers();
    return {
      create: () => {
        const database = objectDatabase(current());
        return Promise.resolve(all.add(database, () => database.drop()));
      },
      stop: async () => {
        await all.close();
        await workerd.release();
      },
    };
  }),
};

function objectDatabase({ call }: Isolates): TestDatabase {
  const database = crypto.randomUUID();
  const closers = new Closers();
  const batch = (statements: WireStatement[]) =>
    call<Record<string, unknown>[][]>({ database, call: 'object.batch', statements });
  const run = async (sql: string) => (await batch([{ sql, parameters: [] }]))[0]!;
  return {
    connect: (options = {}) => {
      const dialect = remoteObject((statement) =>
        call({ database, call: 'object.query', statements: [statement] })
      );
      const db = new Kysely({ dialect: observe(dialect, options) });
      return closers.add(db, () => db.destroy());
    },
    handle: ({ onStatement, onAnswer } = {}): ObjectStorage => ({
      batch: async (statements) => {
        const sql = statements.map((statement) => statement.sql).join(';\n');
        await onStatement?.(sql);
        const result = await batch(statements);
        await onAnswer?.(sql);
        return result;
      },
    }),
    run,
    tables: async () => (await run(LIST_TABLES.sqlite)).map((row) => String(row.name)),
    drop: () => closers.close(),
  };
}

/** `kysely-do` with its statements sent to where the object is: the rest of it runs here. */
function remoteObject(
  send: (statement: WireStatement) => ReturnType<DatabaseConnection['executeQuery']>,
): Dialect {
  const dialect = new DODialect({ ctx: {} as never });
  return {
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createDriver: () => {
      const driver = dialect.createDriver();
      const acquire = driver.acquireConnection.bind(driver);
      driver.acquireConnection = async (options) => {
        const connection = await acquire(options);
        connection.executeQuery = ({ sql, parameters }: CompiledQuery) =>
          send({ sql, parameters }) as never;
        return connection;
      };
      return driver;
    },
  };
}
