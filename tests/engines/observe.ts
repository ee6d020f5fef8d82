/**
 * Lets a test see, hold up and break the statements of a Kysely instance below everything that
 * Kysely does, `begin` and `commit` included.
 *
 * @module
 */

import type { DatabaseConnection, Dialect, Driver } from 'kysely';

import type { AtomicBatch } from '../../mod.ts';
import type { Observer } from './engine.ts';

/**
 * The same dialect under the eyes of the observer, or the very same object if nobody looks.
 *
 * @param silentControl The driver begins and ends transactions without a statement of its own.
 */
export function observe(
  dialect: Dialect,
  observer: Observer,
  { silentControl = false }: { silentControl?: boolean } = {},
): Dialect {
  if (!observer.onStatement && !observer.onAnswer) return dialect;
  return {
    createAdapter: () => dialect.createAdapter(),
    createDriver: () => watch(dialect.createDriver(), observer, silentControl),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createQueryCompiler: () => dialect.createQueryCompiler(),
  };
}

/** The same batch under the eyes of the observer, to whom each unit is one statement. */
export function observeBatch(batch: AtomicBatch, observer: Observer): AtomicBatch {
  return {
    ...batch,
    execute: async (statements) => {
      const sql = statements.map((statement) => statement.sql).join(';\n');
      await observer.onStatement?.(sql);
      const result = await batch.execute(statements);
      await observer.onAnswer?.(sql);
      return result;
    },
  };
}

const controls: Readonly<Record<string, string>> = {
  beginTransaction: 'begin',
  commitTransaction: 'commit',
  rollbackTransaction: 'rollback',
};

function watch(driver: Driver, observer: Observer, silentControl: boolean): Driver {
  const watched = new WeakSet<DatabaseConnection>();
  const around = async <T>(
    sql: string,
    send: () => Promise<T>,
    parameters?: readonly unknown[],
  ): Promise<T> => {
    await observer.onStatement?.(sql, parameters);
    const result = await send();
    await observer.onAnswer?.(sql);
    return result;
  };
  return new Proxy(driver, {
    get(target, key) {
      // The drivers have private fields, so their methods must not see the proxy as `this`.
      const value = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      if (silentControl && typeof key === 'string' && key in controls) {
        return (...args: unknown[]) => around(controls[key]!, () => method(...args));
      }
      if (key !== 'acquireConnection') return method;
      return async (...args: unknown[]) => {
        const connection = await method(...args) as DatabaseConnection;
        // The very object has to be kept: drivers find their own by identity.
        if (!watched.has(connection)) {
          watched.add(connection);
          const execute = connection.executeQuery.bind(connection);
          connection.executeQuery = (query, ...rest) =>
            around(query.sql, () => execute(query, ...rest), query.parameters);
        }
        return connection;
      };
    },
  });
}
