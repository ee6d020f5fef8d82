/**
 * The releases of Postgres before the one that all other tests run on: the suites of conformance and
 * of a schema's life, and the races, on a real server of each.
 *
 *     deno run -A scripts/postgres_versions.ts             all of it, about 10 minutes
 *     deno run -A scripts/postgres_versions.ts --oldest    conformance on the oldest of them
 *
 * @module
 */

import assert from 'node:assert/strict';

import { readArguments } from './checks/arguments.ts';
import { type Row, runProgram } from './checks/program.ts';
import { suite } from './checks/suites.ts';
import { postgresPackage, runtime } from './runtimes.ts';

/** The last of each, by the versions of the packages that hold them. */
const VERSIONS = [
  '13.23.0-beta.16',
  '14.23.0-beta.17',
  '15.18.0-beta.17',
  '16.14.0-beta.17',
  '17.10.0-beta.17',
];

const FILES = ['conformance', 'lifecycle', 'races_postgres'];

const { oldest = false } = readArguments({ oldest: { type: 'boolean' } });

await runProgram(() =>
  Promise.resolve(
    oldest ? [rowOf(VERSIONS[0]!, ['conformance'])] : VERSIONS.map((one) => rowOf(one, FILES)),
  )
);

function rowOf(version: string, files: readonly string[]): Row {
  return files.map((file) => ({
    name: `postgres ${version}: ${file}`,
    run: async () => {
      const env = {
        DB_MIGRATE_ENGINES: 'postgres,postgres-js',
        DB_MIGRATE_POSTGRES_PACKAGE: await postgresPackage(version),
        // What is set for other runs: a server of any version, and counts that take too long.
        DB_MIGRATE_POSTGRES_URL: '',
        DB_MIGRATE_FULL: '',
      };
      const test = suite(`tests/${file}.test.ts`, await runtime('deno'), { env });
      const { passed, failed, details } = await test.run();
      assert.ok(failed === 0 && passed > 0, details);
      return `${passed} tests`;
    },
  }));
}
