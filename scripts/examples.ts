/**
 * The README's examples, as users have them: in projects made afresh by npm, Bun and Deno, type-
 * checked and run on every runtime that they are for, with real servers and real workerd.
 *
 *     deno run -A scripts/examples.ts [FILE.md]      default: README.md
 *
 * @module
 */

import assert from 'node:assert/strict';

import { ROOT } from './checks/process.ts';
import { type Check, type Row, runProgram } from './checks/program.ts';
import {
  bunConsumer,
  compile,
  type Consumer,
  denoConsumer,
  must,
  nodeConsumer,
  runExample,
  typeCheck,
  writeExamples,
} from './examples/consumer.ts';
import {
  compilerOptionsIn,
  type Example,
  examplesIn,
  isWorker,
  packagesOf,
  type Place,
} from './examples/readme.ts';
import { firstCall } from './examples/first_call.ts';
import { whyNotHere, withServers } from './examples/servers.ts';
import { runInWorkerd } from './examples/worker.ts';
import { buildPackage } from './npm.ts';

/** The oldest TypeScript that Kysely's own types can be read by, and the newest. */
const COMPILERS = ['5.4.5', '7.0.2'];

/** What gives the types of what the drivers' examples use. */
const TYPES: Readonly<Record<string, string>> = {
  'better-sqlite3': '@types/better-sqlite3',
  'pg': '@types/pg',
};

/** What is checked with its declarations. Those of drivers are theirs, and fail in old compilers. */
const STRICT = ['kysely', '@arraypress/db-migrate'];

/** The README's `db.ts`, as far as types go. */
const UNDRIVEN = `
import type { Kysely } from 'kysely';
import type { Database } from './schema.ts';

export declare function open(path: string, options?: { timeout?: number }): Kysely<Database>;
export declare const db: Kysely<Database>;
`;

/** A module that becomes CommonJS. */
const COMMON = `
import { createBootstrap } from '@arraypress/db-migrate';
import type { Kysely } from 'kysely';

const ddl = (db: Kysely<unknown>) => db.schema.createTable('users').execute();
declare const console: { log(text: string): void };
console.log(typeof createBootstrap({ version: '0001', ddl }));
`;

/** What gives the types of the runtimes. */
const AMBIENT = ['@types/node', '@cloudflare/workers-types'];

const file = Deno.args[0] ?? `${ROOT}/README.md`;

await runProgram(async (folder) => {
  const markdown = await Deno.readTextFile(file);
  const found = examplesIn(markdown);
  const examples = [...found, firstCall(found)];
  const { tarball } = await buildPackage(`${folder}/dist`);
  console.log(`${found.length} examples, ${found.filter(isMarked).length} of them with a mark`);
  return [
    ...(['node22', 'node24', 'node26'] as const).map((name) =>
      consumer(
        name,
        'node',
        examples,
        (packages) => nodeConsumer(name, `${folder}/${name}`, tarball, packages),
      )
    ),
    consumer('bun', 'bun', examples, (packages) => bunConsumer(`${folder}/bun`, tarball, packages)),
    consumer('deno', 'deno', examples, (packages) => denoConsumer(`${folder}/deno`, packages)),
    workers(examples, (packages) => nodeConsumer('node24', `${folder}/worker`, tarball, packages)),
    ...COMPILERS.map((version) =>
      compiler(
        version,
        found,
        (packages) => nodeConsumer('node24', `${folder}/typescript-${version}`, tarball, packages),
      )
    ),
    checked(
      found,
      compilerOptionsIn(markdown),
      (packages) => nodeConsumer('node24', `${folder}/all`, tarball, packages),
    ),
  ];
}, 2);

type Make = (packages: readonly string[]) => Promise<Consumer>;

/** A runtime: installed, and every example for it run. */
function consumer(
  name: string,
  place: Place,
  all: readonly Example[],
  make: Make,
): Row {
  const examples = all.filter(({ places }) => places.includes(place));
  let made: Consumer;
  return [
    {
      name: `${name}: install`,
      run: async () => {
        made = await make(examples.flatMap(packagesOf));
        await writeExamples(made, examples);
      },
    },
    ...(place === 'deno'
      ? [{ name: 'deno: types', run: () => denoCheck(made.folder, examples) }]
      : []),
    ...examples.filter(isPossible).map((example): Check => ({
      name: `${name}: ${example.name}`,
      run: () => withServers(example.code, (env) => runExample(made, example, env)),
    })),
  ];
}

async function denoCheck(folder: string, examples: readonly Example[]): Promise<void> {
  const files = examples.map(({ name }) => `${name}/${name}.ts`);
  await must([Deno.execPath(), 'check', '--quiet', ...files], folder);
}

/** Workers: bundled by esbuild, as wrangler does it, and run in workerd. */
function workers(all: readonly Example[], make: Make): Row {
  const examples = all.filter(isWorker);
  let made: Consumer;
  return [
    {
      name: 'workerd: install',
      run: async () => {
        made = await make(examples.flatMap(packagesOf));
        await writeExamples({ ...made, place: 'workerd' }, all);
      },
    },
    ...examples.map((example) => ({
      name: `workerd: ${example.name}`,
      run: () => {
        const file = `${made.folder}/${example.name}/${example.name}.ts`;
        return withServers(example.code, (env) => runInWorkerd(file, example, env));
      },
    })),
  ];
}

/** One TypeScript, strict and with the declarations of the packages checked, too. */
function compiler(version: string, all: readonly Example[], make: Make): Row {
  const examples = all
    .map((one) => one.isShared && one.name === 'db' ? { ...one, code: UNDRIVEN } : one)
    .filter((one) => packagesOf(one).every((name) => STRICT.includes(name)))
    .filter(({ code }) => !/from '(node|bun):/.test(code));
  let made: Consumer;
  const strict = {
    name: `typescript ${version}, strict, libraries checked`,
    run: async () => {
      made = await make(['kysely', `typescript@${version}`]);
      await writeExamples({ ...made, place: 'node' }, examples);
      await typeCheck(made.folder);
      return `${examples.length} examples`;
    },
  };
  const commonJs = {
    name: `typescript ${version}, to CommonJS as it did by default`,
    run: async () => {
      const { folder, command } = made;
      await Deno.writeTextFile(`${folder}/main.cts`, COMMON);
      const compilerOptions = { module: 'commonjs', moduleResolution: 'node10', target: 'es2022' };
      const options = { ...compilerOptions, strict: true, types: [] };
      await compile(folder, { files: ['main.cts'], compilerOptions: options });
      assert.equal(await must(command('main.cjs'), folder), 'function\n');
    },
  };
  // Newer ones read the exports of packages however they compile.
  return Number.parseInt(version) < 7 ? [strict, commonJs] : [strict];
}

/**
 * All examples, with the types of all drivers, whether or not they can be run; and those that can be
 * by the compiler options that their readers are told.
 */
function checked(all: readonly Example[], compilerOptions: object, make: Make): Row {
  const examples = all.filter(({ code }) => !code.includes("from 'bun:"));
  const types = AMBIENT.map((name) => name.replace('@types/', ''));
  let folder: string;
  const asTold = (place: Place, more: object): Check => ({
    name: `types by the options of the text: ${place}`,
    run: async () => {
      const here = examples.filter(({ places }) => places.includes(place));
      await compile(folder, {
        include: here.map(({ name }) => `${name}/${name}.ts`),
        compilerOptions: { ...compilerOptions, ...more },
      });
      return `${here.length}`;
    },
  });
  return [
    {
      name: 'types of all examples',
      run: async () => {
        const packages = [...examples.flatMap(packagesOf), ...AMBIENT, 'typescript'];
        folder = (await make([...packages, ...typesFor(packages)])).folder;
        await writeExamples({ folder, place: 'node' }, examples);
        await typeCheck(folder, { types, skipLibCheck: true });
        return `${examples.length}`;
      },
    },
    asTold('node', {}),
    asTold('workerd', { types: types.slice(1) }),
  ];
}

function typesFor(packages: readonly string[]): string[] {
  return packages.flatMap((name) => TYPES[name] ?? []);
}

function isPossible({ name, code }: Example): boolean {
  const reason = whyNotHere(code);
  if (reason !== undefined) console.log(`skipped: example ${name}: ${reason}`);
  return reason === undefined;
}

function isMarked({ places }: Example): boolean {
  return places.length > 0;
}
