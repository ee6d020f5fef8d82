/**
 * The conformance suite on a driver that only JSR has: `@db/sqlite`, under Deno, wherever JSR can be
 * reached.
 *
 * @module
 */

import { Kysely, type SqliteDatabase, SqliteDialect } from 'kysely';
import { test } from 'node:test';

import { QUICK_CASES, testsFor } from './cases/all.ts';
import { type CaseDatabase, within } from './cases/support.ts';
import { observe } from './engines/observe.ts';
import { sqliteFiles } from './engines/sqlite_files.ts';

// Kept in a variable, so that neither the type checker nor `deno install` looks for it.
const SPECIFIER = 'jsr:@db/sqlite@0.12.0';

const CEILING_MS = 90_000;

/** The part of the driver that is used here. */
interface Driver {
  Database: new (path: string, options: { int64: boolean }) => {
    exec(sql: string): unknown;
    close(): void;
    readonly lastInsertRowId: number;
    prepare(sql: string): {
      columnNames(): string[];
      all(...parameters: unknown[]): unknown[];
      run(...parameters: unknown[]): number;
    };
  };
}

const driver = await load();
if (!driver) console.log('skipped: jsr:@db/sqlite: JSR is out of reach');
else runOn(driver);

/** Nothing if there is no way to JSR. Any other failure is one. */
async function load(): Promise<Driver | undefined> {
  try {
    return await import(SPECIFIER);
  } catch (error) {
    if (/JSR package manifest .* failed to load/.test(String(error))) return undefined;
    throw error;
  }
}

function runOn(driver: Driver): void {
  const engine = sqliteFiles('jsr-sqlite', (path, options, closers) => {
    const dialect = new SqliteDialect({ database: open(driver, path, options.busyTimeoutMs) });
    return closers.add(new Kysely({ dialect: observe(dialect, options) }), (db) => db.destroy());
  });
  const able = { transactions: true, concurrent: true, lasting: true, batches: false };
  for (const { name, run } of testsFor({ dialect: 'sqlite', ...able }, QUICK_CASES)) {
    test(`jsr:@db/sqlite: ${name}`, { timeout: 120_000 }, async () => {
      const database = await engine.create();
      try {
        const connect: CaseDatabase['connect'] = (options) =>
          database.connect({ busyTimeoutMs: 0, ...options });
        await within(CEILING_MS, run({ connect }));
      } finally {
        await database.drop();
      }
    });
  }
}

function open({ Database }: Driver, path: string, busyTimeoutMs = 0): SqliteDatabase {
  // Without `int64` the driver cuts numbers to 32 bits, and times are longer.
  const database = new Database(path, { int64: true });
  database.exec(`pragma busy_timeout = ${busyTimeoutMs}`);
  return {
    close: () => database.close(),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      return {
        reader: statement.columnNames().length > 0,
        all: (parameters) => statement.all(...parameters),
        run: (parameters) => ({
          changes: statement.run(...parameters),
          lastInsertRowid: database.lastInsertRowId,
        }),
        iterate: (parameters) => statement.all(...parameters)[Symbol.iterator](),
      };
    },
  };
}
