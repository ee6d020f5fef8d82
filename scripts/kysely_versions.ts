/**
 * The versions of Kysely that the library says it works with: what users' types do, and the main
 * cases on SQLite, libSQL, Postgres and D1.
 *
 *     deno run -A scripts/kysely_versions.ts [VERSION]
 *
 * @module
 */

import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';

import { ROOT, run } from './checks/process.ts';
import { type Row, runProgram } from './checks/program.ts';
import { must, nodeConsumer, typeCheck } from './examples/consumer.ts';
import { buildPackage } from './npm.ts';
import { runtime } from './runtimes.ts';

/** The first and the last of each line. */
const VERSIONS = ['0.27.0', '0.27.6', '0.28.0', '0.28.18', '0.29.9', '0.30.0-beta.2'];

const selected = Deno.args.length > 0 ? Deno.args : VERSIONS;

await runProgram(async (folder) => {
  const { tarball } = await buildPackage(`${folder}/dist`);
  return selected.map((version) => rowOf(version, `${folder}/${version}`, tarball));
}, 2);

function rowOf(version: string, folder: string, tarball: string): Row {
  return [
    {
      // With the manifest's range, npm itself refuses a version that is out of it.
      name: `kysely ${version}: install`,
      run: async () => {
        await nodeConsumer('node24', folder, tarball, [`kysely@${version}`, 'typescript']);
      },
    },
    { name: `kysely ${version}: types`, run: () => checkTypes(folder) },
    { name: `kysely ${version}: behaviour`, run: () => checkBehaviour(folder) },
  ];
}

async function checkTypes(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/types`);
  await Deno.copyFile(`${ROOT}/scripts/kysely/types.ts`, `${folder}/types/types.ts`);
  // The declarations of 0.27.0 itself do not pass the newest compiler.
  await typeCheck(folder, { skipLibCheck: true });
}

async function checkBehaviour(folder: string): Promise<string> {
  const { command } = await runtime('node24');
  const output = await must(
    [
      command,
      '--disable-warning=ExperimentalWarning',
      '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
      `--import=${pathToFileURL(`${ROOT}/scripts/kysely/hook.ts`)}`,
      '--test',
      '--test-reporter=tap',
      `${ROOT}/scripts/kysely/behaviour.ts`,
    ],
    ROOT,
    { DB_MIGRATE_KYSELY: await standIn(folder, command) },
  );
  const count = (what: string) => Number(new RegExp(`^# ${what} (\\d+)$`, 'm').exec(output)?.[1]);
  assert.ok(count('pass') > 0 && count('fail') === 0 && count('skipped') === 0, output);
  return `${count('pass')} cases`;
}

/**
 * A module that is this version, with what the tests' engines import of newer ones, although they
 * do not use it here: the name of a dialect, and what lives under `kysely/migration` since 0.29.
 */
async function standIn(folder: string, node: string): Promise<string> {
  const list = `
    import * as kysely from 'kysely';
    const migration = await import('kysely/migration').catch(() => ({}));
    const missing = ['PGliteDialect'].filter((name) => !(name in kysely));
    const moved = Object.keys(migration).filter((name) => !(name in kysely));
    console.log(JSON.stringify({ missing, moved, path: import.meta.resolve('kysely'),
      migration: moved.length > 0 ? import.meta.resolve('kysely/migration') : '' }));`;
  await Deno.writeTextFile(`${folder}/list.mjs`, list);
  const { output } = await run([node, 'list.mjs'], { cwd: folder });
  const { missing, moved, path, migration } = JSON.parse(output);
  const file = `${folder}/stand_in.mjs`;
  await Deno.writeTextFile(
    file,
    [
      `export * from ${JSON.stringify(path)};`,
      ...(moved.length > 0
        ? [`export { ${moved.join(', ')} } from ${JSON.stringify(migration)};`]
        : []),
      ...missing.map((name: string) => `export class ${name} {}`),
    ].join('\n'),
  );
  return pathToFileURL(file).href;
}
