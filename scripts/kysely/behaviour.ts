/**
 * What is run with each version of Kysely: the cases that every user meets, on SQLite, libSQL,
 * Postgres and D1. Run by Node's test runner.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { bootstrapSchema, planSchema } from '../../mod.ts';
import { testsFor } from '../../tests/cases/all.ts';
import { cases as installing } from '../../tests/cases/install.ts';
import { cases as drift } from '../../tests/cases/lifecycle/drift.ts';
import { testsOn } from '../../tests/cases/lifecycle/on_engine.ts';
import { cases as status } from '../../tests/cases/lifecycle/status.ts';
import { cases as upgrades } from '../../tests/cases/lifecycle/upgrades.ts';
import { capabilitiesOf, caseDatabaseOf } from '../../tests/cases/on_engine.ts';
import { cases as races } from '../../tests/cases/races.ts';
import { install, TABLES } from '../../tests/cases/support.ts';
import { d1 } from '../../tests/engines/cloudflare.ts';
import type { Engine, TestDatabase } from '../../tests/engines/engine.ts';
import { libsqlFile } from '../../tests/engines/libsql.ts';
import { pg } from '../../tests/engines/postgres.ts';
import { sqlite } from '../../tests/engines/sqlite.ts';
import { type EngineTest, testOn } from '../../tests/support/test_on.ts';

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

for (const engine of [sqlite, libsqlFile, pg, d1]) testOn(engine, testsOf(engine));

function testsOf(engine: Engine): EngineTest[] {
  return [
    ...testsFor(capabilitiesOf(engine), cases).map(({ name, alone, run }): EngineTest => ({
      name,
      alone,
      run: (database) => run(caseDatabaseOf(engine, database)),
    })),
    ...testsOn(engine, lifeCases),
    { name: 'a plan is recorded, and installed', run: planned },
  ];
}

async function planned({ connect, tables }: TestDatabase): Promise<void> {
  const db = connect();
  const plan = await planSchema(db, install);
  const ddl = JSON.parse(JSON.stringify(plan));
  const { outcome } = await bootstrapSchema(db, { version: '0001_initial', ddl });
  assert.equal(outcome, 'installed');
  assert.deepEqual(await tables(), ['migrations', ...TABLES].sort());
}
