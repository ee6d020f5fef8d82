/**
 * The life of a schema on every engine: upgrades, rolling deploys, drift, status and hand-over.
 *
 * @module
 */

import process from 'node:process';
import { test } from 'node:test';

import { CHECKSUM_CASES } from './cases/lifecycle/checksums.ts';
import { testsOn } from './cases/lifecycle/on_engine.ts';
import { engines } from './engines/list.ts';
import { testOn } from './support/test_on.ts';

for (const { name, run } of CHECKSUM_CASES) test(`checksum: ${name}`, run);

// Set by the test command, which has not the time for all of them under all runtimes.
const names = process.env.DB_MIGRATE_ENGINES?.split(',');

for (const engine of engines.filter(({ name }) => names?.includes(name) ?? true)) {
  testOn(engine, testsOn(engine));
}
