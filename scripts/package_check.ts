/**
 * Checks the npm package as it would be published: its files, its manifest, what two linters of
 * packages say, and its size.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { ROOT, run } from './checks/process.ts';
import { type Check, runProgram } from './checks/program.ts';
import { buildPackage, type NpmPackage } from './npm.ts';
import { KYSELY_RANGE } from './npm/manifest.ts';
import { bundledSize, describeSize, SIZE_LIMITS } from './package/size.ts';

/** Run from Deno's cache, so that they are no dependencies of the project. */
const PUBLINT = 'npm:publint@0.3.25';
const ATTW = 'npm:@arethetypeswrong/cli@0.18.5';

await runProgram(async (folder) =>
  checksOf(await buildPackage(`${folder}/dist`)).map((check) => [check])
);

function checksOf(built: NpmPackage): Check[] {
  return [
    { name: 'nothing but the library is packed', run: () => checkFiles(built) },
    { name: 'package.json', run: () => checkManifest(built) },
    { name: 'publint', run: () => tool(PUBLINT, ['run', built.tarball, '--strict']) },
    {
      name: 'are the types wrong',
      run: () => tool(ATTW, [built.tarball, '--profile', 'esm-only']),
    },
    ...SIZE_LIMITS.map((limit) => ({
      name: `size of ${limit.what}`,
      run: async () => {
        const size = await bundledSize(built.folder, limit);
        assert.ok(size <= limit.limit, describeSize(size, limit));
        console.log(`note: ${limit.what}: ${describeSize(size, limit)}`);
      },
    })),
  ];
}

async function checkFiles({ folder, files }: NpmPackage): Promise<string> {
  const expected = /^(package\.json|README\.md|LICENSE|(mod|src\/\w+)\.(js|d\.ts))$/;
  assert.deepEqual(files.filter((file) => !expected.test(file)), []);
  for (const file of ['README.md', 'LICENSE', 'mod.js', 'mod.d.ts']) {
    assert.ok(files.includes(file), `there is no ${file}`);
  }
  const readme = await Deno.readTextFile(`${folder}/README.md`);
  const sources = [...readme.matchAll(/<source [^>]*srcset="([^"]*)"/g)].map(([, url]) => url!);
  assert.ok(sources.length > 0);
  assert.deepEqual(sources.filter((url) => !URL.canParse(url)), [], 'a picture of the README');
  const code = files.filter((file) => /\.(js|d\.ts)$/.test(file));
  for (const file of code) {
    const text = await Deno.readTextFile(`${folder}/${file}`);
    assert.doesNotMatch(text, /sourceMappingURL/, file);
    assert.doesNotMatch(text, /^\s*(import|export) [^;]*from ['"][^.]/m, `${file} needs a package`);
  }
  return `${files.length} files`;
}

async function checkManifest({ manifest }: NpmPackage): Promise<void> {
  const source = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  for (const field of ['name', 'version', 'license']) {
    assert.equal(manifest[field], source[field], field);
  }
  assert.deepEqual(Object.keys(manifest.exports), Object.keys(source.exports));
  assert.deepEqual(manifest.peerDependencies, { kysely: KYSELY_RANGE });
  for (const field of ['dependencies', 'optionalDependencies', 'scripts', 'bin']) {
    assert.equal(manifest[field], undefined, field);
  }
  const { main, types } = manifest;
  assert.deepEqual({ types, default: main }, manifest.exports['.']);
  assert.equal(manifest.type, 'module');
  assert.equal(manifest.sideEffects, false);
  for (const field of ['description', 'keywords', 'repository', 'homepage', 'bugs', 'engines']) {
    assert.ok(manifest[field], `there is no "${field}"`);
  }
}

async function tool(name: string, args: readonly string[]): Promise<void> {
  const command = [Deno.execPath(), 'run', '-A', '--quiet', '--no-config', '--no-lock', name];
  const { code, output } = await run([...command, ...args]);
  assert.equal(code, 0, output);
}
