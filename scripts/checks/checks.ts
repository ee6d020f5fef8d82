/**
 * What must hold for the sources, before any test is run. Each check counts as one test.
 *
 * @module
 */

import { checkImports } from './imports.ts';
import { single, type Step } from './outcome.ts';
import { ROOT, run } from './process.ts';
import { checkWebTypes } from './web_types.ts';
import { checkWorkflows } from './workflows.ts';

/** What needs no database: it needs no permission either. */
const UNITS = ['config', 'contention', 'recorder', 'sql_text', 'wait'];

/** The checks, in the order in which they run. */
export async function checks(): Promise<Step[]> {
  const library = ['mod.ts', ...await sources()];
  return [
    deno('fmt --check'),
    deno('lint'),
    deno('check --doc', ['--quiet', 'mod.ts', 'src', 'tests', 'scripts']),
    deno('doc --lint', await entryPoints()),
    deno('publish --dry-run', ['--allow-dirty']),
    deno('test --doc', ['--quiet', '--no-prompt', ...library]),
    {
      ...deno('test --no-prompt', ['--no-check', ...UNITS.map((unit) => `tests/${unit}.test.ts`)]),
      name: 'unit tests, no permission',
    },
    { name: 'imports of mod.ts, src', runtime: 'deno', run: () => checkImports(library) },
    { name: 'web types only', runtime: 'deno', run: () => checkWebTypes(library) },
    { name: 'workflows', runtime: 'deno', run: checkWorkflows },
  ];
}

/** A check by one of Deno's own tools. */
function deno(name: string, args: readonly string[] = []): Step {
  return {
    name: `deno ${name}`,
    runtime: 'deno',
    async run() {
      const { code, output } = await run([Deno.execPath(), ...name.split(' '), ...args]);
      return single(code === 0, output);
    },
  };
}

/** The files of src, whether or not mod.ts leads to them. */
async function sources(): Promise<string[]> {
  const files: string[] = [];
  for await (const { name } of Deno.readDir(`${ROOT}/src`)) {
    if (name.endsWith('.ts')) files.push(`src/${name}`);
  }
  return files.sort();
}

/** What deno.json exports. */
async function entryPoints(): Promise<string[]> {
  const { exports } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  return typeof exports === 'string' ? [exports] : Object.values(exports);
}
