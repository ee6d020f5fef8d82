/**
 * What is run with each version of Kysely: the cases that every user meets, on SQLite, Postgres and
 * D1. Run by Node's test runner.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { bootstrapSchema, planSchema } from '../../mod.ts';
import { testsFor } from '../../tests/cases/all.ts';
import { cases as installing } from '../../tests/cases/install.ts';
import { testsFor as lifeTestsFor } from '../../tests/cases/lifecycle/all.ts';
import { cases as drift } from '../../tests/cases/lifecycle/drift.ts';
import { cases as status } from '../../tests/cases/lifecycle/status.ts';
import { cases as upgrades } from '../../tests/cases/lifecycle/upgrades.ts';
import { cases as races } from '../../tests/cases/races.ts';
import { install, TABLES } from '../../tests/cases/support.ts';
import { d1 } from '../../tests/engines/cloudflare.ts';
import type { TestDatabase } from '../../tests/engines/engine.ts';
import { pg } from '../../tests/engines/postgres.ts';
import { sqlite } from '../../tests/engines/sqlite.ts';

const timeout = 60_000;

/** The cases, each by the start of its name. */
const MAIN = [
  'a fresh install says what it did',
  'installed and cold costs one statement',
  'without a strategy, transactions are used',
  'the ddl may read what it wrote',
  'a pool of one connection is enough',
  'of many callers at once one installs',
  'when the winner fails',
  'a fresh database takes the canonical ddl',
  'a database at any older version takes the steps',
  'a ddl that was edited is ignored, warned of or refused',
  'plans are compared like functions',
  'the entries of a line say what is known',
  'marker, schema and naming plugins are those of the install',
];

const cases = mainOf([...installing, ...races]);
const lifeCases = mainOf([...upgrades, ...drift, ...status]);
assert.equal(cases.length + lifeCases.length, MAIN.length, 'a case has another name');

function mainOf<T extends { readonly name: string }>(all: readonly T[]): T[] {
  return all.filter(({ name }) => MAIN.some((start) => name.startsWith(start)));
}

for (const engine of [sqlite, pg, d1]) {
  const inDatabase = (name: string, run: (database: TestDatabase) => Promise<void>) =>
    test(`${engine.name}: ${name}`, { timeout }, async () => {
      const database = await (await engine.start()).create();
      try {
        await run(database);
      } finally {
        await database.drop();
      }
    });

  for (const { name, run } of testsFor({ ...engine, lasting: true, batches: false }, cases)) {
    inDatabase(
      name,
      ({ connect }) => run({ connect: (options) => connect({ busyTimeoutMs: 0, ...options }) }),
    );
  }
  for (const { name, run } of lifeTestsFor(engine, lifeCases)) {
    inDatabase(name, run);
  }
  inDatabase('a plan is recorded, and installed', async ({ connect, tables }) => {
    const db = connect();
    const plan = await planSchema(db, install);
    const ddl = JSON.parse(JSON.stringify(plan));
    const { outcome } = await bootstrapSchema(db, { version: '0001_initial', ddl });
    assert.equal(outcome, 'installed');
    assert.deepEqual(await tables(), ['migrations', ...TABLES].sort());
  });
  after(async () => await (await engine.start()).stop());
}
