/**
 * Apps and tenants that share a Postgres database.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { within } from '../cases/support.ts';
import { inDatabase } from '../engines/engine.ts';
import { pg } from '../engines/postgres.ts';
import { schemaOf } from '../support/schema.ts';
import { callAndUse, type Db, type Settled } from './call.ts';
import { COUNTS, FEW_TABLES } from './counts.ts';
import { assertOneInstall, Tally } from './tally.ts';

/** What both want, written as it is usually written. */
const SHARED: readonly string[] = [
  'create schema if not exists common',
  'create extension if not exists citext',
  `do $$ begin
    if not exists (select from pg_type where typname = 'mood') then
      create type mood as enum ('good', 'bad');
    end if;
  end $$`,
  `create or replace function common.one() returns integer language sql as 'select 1'`,
  'create table if not exists common.settings (name citext primary key, mood mood)',
];

/** The same, with time between look and act for another one to come in between, in seconds. */
function sharedSlowly(pause: number): readonly string[] {
  return [
    SHARED[0]!,
    SHARED[1]!,
    ifMissing("to_regtype('mood')", "create type mood as enum ('good', 'bad')"),
    ifMissing(
      "to_regprocedure('common.one()')",
      "create function common.one() returns integer language sql as 'select 1'",
    ),
    ifMissing(
      "to_regclass('common.settings')",
      'create table common.settings (name citext primary key, mood mood)',
    ),
  ];

  function ifMissing(lookup: string, create: string): string {
    return `do $$ begin
      if ${lookup} is null then
        perform pg_sleep(${pause});
        ${create};
      end if;
    end $$`;
  }
}

/** Two apps with ledgers of their own, that both want the same things and create what is missing. */
export function shareThings(how: 'at once' | 'slowly'): Promise<void> {
  const { callers, rounds } = COUNTS.apps;
  return inDatabase(pg, async (database) => {
    const apps = Array.from({ length: callers }, (_, n) => ({
      app: n % 2 === 0 ? 'shop' as const : 'blog' as const,
      db: database.connect(),
    }));
    const tally = new Tally(`two apps that share what they create ${how}`);
    for (let round = 0; round < rounds; round++) {
      await database.run(`drop schema public cascade; create schema public;
        drop schema if exists common cascade`);
      // Whoever comes second waits at the first thing that the other one creates: so let each of
      // them be the first.
      for (const statement of SHARED.slice(0, round % SHARED.length)) await database.run(statement);
      // The other one is at the same statement, or has committed it meanwhile.
      const pauses = { shop: 0.02, blog: round % 2 === 0 ? 0.02 : 0.2 };
      const settled = await within(
        60_000,
        Promise.all(apps.map(({ app, db }) =>
          callAndUse({ db }, {
            tables: 0,
            marker: `ledger_of_${app}`,
            ddl: async (db: Db) => {
              const statements = how === 'at once' ? SHARED : sharedSlowly(pauses[app]);
              for (const statement of statements) {
                await sql.raw(statement).execute(db);
              }
              await db.schema.createTable(`of_${app}`).addColumn('mood', sql`mood`).execute();
            },
          })
        )),
      );
      tally.add(settled, 2);
      const tables = await database.tables();
      assert.deepEqual(tables, [
        'common.settings',
        'ledger_of_blog',
        'ledger_of_shop',
        'of_blog',
        'of_shop',
      ]);
    }
    tally.tell();
  });
}

/** Tenants whose schemas are missing, all at once, by several callers each. */
export function bootstrapTenants(connections: 'own' | 'shared'): Promise<void> {
  const { callers, rounds: tenants } = COUNTS.tenants;
  return inDatabase(pg, async (database) => {
    const pools = Array.from({ length: callers }, () => database.connect({ connections: 10 }));
    const tally = new Tally(`${tenants} tenants at once, ${connections} connections`);
    const calls: Promise<Settled & { tenant: number }>[] = [];
    for (let tenant = 0; tenant < tenants; tenant++) {
      for (const pool of pools) {
        const db = connections === 'own' ? database.connect({ connections: 1 }) : pool;
        const ask = { tables: FEW_TABLES, ddl: schemaOf(FEW_TABLES), schema: `tenant_${tenant}` };
        calls.push(callAndUse({ db }, ask).then((settled) => ({ ...settled, tenant })));
      }
    }
    const settled = await within(120_000, Promise.all(calls));
    for (let tenant = 0; tenant < tenants; tenant++) {
      assertOneInstall(settled.filter((one) => one.tenant === tenant));
    }
    assert.equal((await database.tables()).length, tenants * (FEW_TABLES + 1));
    tally.add(settled, tenants);
    tally.tell();
  });
}
