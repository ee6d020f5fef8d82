/**
 * Projects of users, made afresh: the packed library installed by a real package manager, with the
 * README's examples as their code.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { ROOT, run } from '../checks/process.ts';
import { npm, runtime } from '../runtimes.ts';
import type { Example, Place } from './readme.ts';

/** What a project is called that is of the library. */
const LIBRARY = '@arraypress/db-migrate';

/** What only examples and their types need; all else has its version in deno.json. */
const VERSIONS: Readonly<Record<string, string>> = {
  '@cloudflare/workers-types': '5.20261117.1',
  '@types/better-sqlite3': '9.6.0',
  '@types/node': '22.20.5',
  '@types/pg': '8.23.1',
  'hono': '4.13.19',
  'typescript': '7.0.2',
};

/** A project in a folder of its own. */
export interface Consumer {
  readonly folder: string;
  /** Where it runs. */
  readonly place: Place;
  /** Runs a file of it. */
  command(file: string): string[];
}

/** The version of a package that consumers install. */
export async function versionOf(name: string): Promise<string> {
  const { imports } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  const version = VERSIONS[name] ?? imports[name]?.replace(/^npm:.*@/, '');
  if (version === undefined) throw new Error(`There is no version for "${name}"`);
  return version;
}

/** A project for Node, by npm. */
export async function nodeConsumer(
  name: 'node22' | 'node24' | 'node26',
  folder: string,
  tarball: string,
  packages: readonly string[],
): Promise<Consumer> {
  const { command } = await runtime(name);
  await writeManifest(folder);
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', '--no-progress'];
  await must([...await npm(name), ...install, tarball, ...await exact(packages)], folder);
  const flags = ['--disable-warning=ExperimentalWarning'];
  return { folder, place: 'node', command: (file) => [command, ...flags, file] };
}

/** A project for Bun, by Bun's own package manager. */
export async function bunConsumer(
  folder: string,
  tarball: string,
  packages: readonly string[],
): Promise<Consumer> {
  const { command } = await runtime('bun');
  await writeManifest(folder);
  await must([command, 'add', '--no-progress', tarball, ...await exact(packages)], folder);
  return { folder, place: 'bun', command: (file) => [command, 'run', file] };
}

/** A project for Deno, with the library by path: as JSR serves it, in TypeScript. */
export async function denoConsumer(
  folder: string,
  packages: readonly string[],
): Promise<Consumer> {
  const { exports } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  const library = `${folder}/library`;
  await Deno.mkdir(`${library}/src`, { recursive: true });
  for await (const { name } of Deno.readDir(`${ROOT}/src`)) {
    await Deno.copyFile(`${ROOT}/src/${name}`, `${library}/src/${name}`);
  }
  await Deno.copyFile(`${ROOT}/mod.ts`, `${library}/mod.ts`);
  const imports: Record<string, string> = {};
  for (const [path, file] of Object.entries<string>(exports)) {
    imports[path.replace('.', LIBRARY)] = file.replace('.', './library');
  }
  for (const name of new Set(packages.filter((name) => name !== LIBRARY))) {
    imports[name] = `npm:${name}@${await versionOf(name)}`;
    imports[`${name}/`] = `npm:/${name}@${await versionOf(name)}/`;
  }
  const config = { nodeModulesDir: 'auto', lock: false, imports };
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config, null, 2));
  await must([Deno.execPath(), 'install'], folder);
  const command = [Deno.execPath(), 'run', '-A', '--quiet'];
  return { folder, place: 'deno', command: (file) => [...command, file] };
}

/** Writes the examples that concern a project, each into a folder with the files that it imports. */
export async function writeExamples(
  { folder, place }: Pick<Consumer, 'folder' | 'place'>,
  examples: readonly Example[],
): Promise<void> {
  const isHere = ({ places }: Example) => places.includes(place);
  const shared = examples.filter((one) => one.isShared && isHere(one));
  for (const example of examples) {
    const { name, code } = example;
    const directory = `${folder}/${name}`;
    await Deno.mkdir(directory, { recursive: true });
    for (const one of shared) await Deno.writeTextFile(`${directory}/${one.name}.ts`, one.code);
    await Deno.writeTextFile(`${directory}/${name}.ts`, code);
  }
}

/** Type-checks files of a Node or Bun project by the TypeScript that it has installed. */
export async function typeCheck(
  folder: string,
  options: { readonly types?: readonly string[]; readonly skipLibCheck?: boolean } = {},
): Promise<void> {
  const { types = [], skipLibCheck = false } = options;
  const config = {
    include: ['*/*.ts'],
    exclude: ['node_modules'],
    compilerOptions: {
      ...{ target: 'es2022', lib: ['esnext', 'dom'], types, skipLibCheck, noEmit: true },
      ...{ module: 'nodenext', moduleResolution: 'nodenext', allowImportingTsExtensions: true },
      ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true },
      ...{ verbatimModuleSyntax: true, isolatedModules: true },
    },
  };
  await compile(folder, config);
}

/** Compiles a Node or Bun project by the TypeScript that it has installed. */
export async function compile(folder: string, config: unknown): Promise<void> {
  await Deno.writeTextFile(`${folder}/tsconfig.json`, JSON.stringify(config, null, 2));
  const { command } = await runtime('node24');
  await must([command, 'node_modules/typescript/bin/tsc', '--pretty', 'false'], folder);
}

/** Runs an example in its own folder, and compares what it prints with what it says. */
export async function runExample(
  { folder, command }: Consumer,
  { name, expected }: Example,
  env: Record<string, string>,
): Promise<void> {
  const output = await must(command(`${name}.ts`), `${folder}/${name}`, env);
  if (expected.length > 0) assert.deepEqual(output.trim().split('\n'), expected, output);
}

/** Runs a command that has to end well. */
export async function must(
  command: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<string> {
  const { code, output } = await run(command, { cwd, env, limitMs: 240_000 });
  assert.equal(code, 0, `${command.join(' ')}\n${output}`);
  return output;
}

async function writeManifest(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(
    `${folder}/package.json`,
    JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
  );
}

async function exact(packages: readonly string[]): Promise<string[]> {
  const names = [...new Set(packages)].filter((name) => name !== LIBRARY);
  return await Promise.all(
    names.map(async (name) => /.@\d/.test(name) ? name : `${name}@${await versionOf(name)}`),
  );
}
