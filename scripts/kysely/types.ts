/**
 * What the types of a user's tables do in the library's: read by the compiler only, with each
 * version of Kysely. A mistake that is none any more is an error, too.
 *
 * @module
 */

import {
  type AtomicBatch,
  bootstrapSchema,
  createBootstrap,
  planSchema,
  schemaStatus,
} from '@arraypress/db-migrate';
import { testSchema } from '@arraypress/db-migrate/testing';
import type { Kysely } from 'kysely';

/** A user's tables. */
export interface Tables {
  /** One of them. */
  users: { id: number; email: string };
}

/** An instance knows its tables, and so does the DDL. */
export async function ownTables(db: Kysely<Tables>): Promise<void> {
  await bootstrapSchema(db, {
    version: '0001',
    ddl: async (db) => {
      await db.insertInto('users').values({ id: 1, email: 'a' }).execute();
      // @ts-expect-error There is no such column.
      await db.insertInto('users').values({ id: 1, mail: 'a' }).execute();
      // @ts-expect-error There is no such table.
      await db.selectFrom('people').selectAll().execute();
    },
    upgrades: [{
      from: '000',
      // What the tables were then need not be said any more.
      // deno-lint-ignore no-explicit-any
      ddl: (db: Kysely<any>) => db.schema.dropTable('people').execute(),
    }, {
      from: '0000',
      ddl: async (db) => {
        await db.updateTable('users').set({ email: 'b' }).execute();
        // @ts-expect-error It is no number.
        await db.updateTable('users').set({ email: 1 }).execute();
      },
    }],
  });
  const ensure = createBootstrap({
    version: '0001',
    ddl: (db: Kysely<Tables>) => db.selectFrom('users').select('email').execute(),
  });
  await ensure(db);
  await planSchema(db, (db) => db.selectFrom('users').select('id').execute());
  // @ts-expect-error There is no such column.
  await planSchema(db, (db) => db.selectFrom('users').select('name').execute());
  const [entry] = await schemaStatus(db);
  entry?.version satisfies string | undefined;
}

/** A field may be undefined, and a plan is typed as the import of a JSON file is. */
export async function looseInput(
  db: Kysely<Tables>,
  given: {
    batch: AtomicBatch | undefined;
    signal: AbortSignal | undefined;
    logger: { log: Console['log'] | undefined };
  },
  ddl: {
    dialect: string;
    schema: null;
    statements: { sql: string; parameters: (number | { type: string; value: string })[] }[];
    checksum: string;
  },
): Promise<void> {
  await bootstrapSchema(db, { version: '0001', ddl, ...given });
  const { logger, ...options } = given;
  await createBootstrap({ version: '0001', ddl, logger })(db, options);
}

/** What is no instance is refused, and so is what is no field. */
export async function wrongInput(db: Kysely<Tables>): Promise<void> {
  // @ts-expect-error No version.
  await bootstrapSchema(db, { ddl: () => {} });
  // @ts-expect-error No strategy.
  await bootstrapSchema(db, { version: '0001', ddl: () => {}, strategy: 'fast' });
  // @ts-expect-error No instance.
  await bootstrapSchema({}, { version: '0001', ddl: () => {} });
  // @ts-expect-error No field.
  await bootstrapSchema(db, { version: '0001', ddl: () => {}, timeout: 1 });
  await bootstrapSchema(db, {
    version: '0001',
    ddl(_db) {
      // @ts-expect-error Nothing calls it as a method.
      return this.version;
    },
  });
}

/** The kit for test suites knows them, too. */
export async function ownTest(connect: () => Kysely<Tables>): Promise<void> {
  const report = await testSchema({
    database: () => ({ connect }),
    config: {
      version: '0001',
      ddl: (db) => db.selectFrom('users').select('email').execute(),
    },
  });
  report.passed satisfies boolean;
}
