/**
 * A schema as a growing application has it: its steps look before they write, and read what earlier
 * steps have seeded. No batch can carry that, since a batch holds no conversation.
 *
 * @module
 */

import { type Kysely, sql } from 'kysely';

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;

/** The step by which it can be told whether a bundle holds this code. */
export const LAST_STEP = 'numberTheOrdersThatHaveNone';

/** All steps, from an empty database on. */
export async function growingSchema(db: Db): Promise<void> {
  await createShop(db);
  await addCurrency(db);
  await seedCountries(db);
  await numberTheOrdersThatHaveNone(db);
}

async function createShop(db: Db): Promise<void> {
  await db.schema.createTable('countries')
    .addColumn('code', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull()).execute();
  await db.schema.createTable('orders')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('country', 'text', (column) => column.references('countries.code'))
    .addColumn('number', 'text').execute();
  await sql`create trigger no_empty_number after update on orders begin
    select raise(abort, 'an order has a number; it cannot be empty') where new.number = '';
  end`.execute(db);
}

/** Introspects: an old shop has the column already. */
async function addCurrency(db: Db): Promise<void> {
  for (const { name, columns } of await db.introspection.getTables()) {
    if (name !== 'orders' || columns.some((column) => column.name === 'currency')) continue;
    await db.schema.alterTable(name)
      .addColumn('currency', 'text', (column) => column.notNull().defaultTo('EUR')).execute();
  }
}

/** Reads: only what is not there yet is added. */
async function seedCountries(db: Db): Promise<void> {
  const countries = { AT: 'Austria', CI: "Côte d'Ivoire", DE: 'Germany; all of it' };
  for (const [code, name] of Object.entries(countries)) {
    const known = await db.selectFrom('countries').select('code').where('code', '=', code)
      .executeTakeFirst();
    if (known) continue;
    await db.insertInto('countries').values({ code, name }).execute();
    await db.insertInto('orders').values({ country: code }).execute();
  }
}

/** Reads rows and writes what follows from them. */
async function numberTheOrdersThatHaveNone(db: Db): Promise<void> {
  const orders = await db.selectFrom('orders').selectAll().where('number', 'is', null).execute();
  for (const { id, country } of orders) {
    const number = `${country}-${String(id).padStart(4, '0')}`;
    await db.updateTable('orders').set({ number }).where('id', '=', id).execute();
  }
  await db.schema.createIndex('orders_by_number').unique().on('orders').column('number').execute();
}
