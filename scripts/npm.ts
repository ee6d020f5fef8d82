/**
 * Builds the npm package: `deno pack` makes JavaScript and declarations of the library, this adds
 * what it cannot say, and npm itself packs the result.
 *
 *     deno task npm      leaves dist/package and the tarball beside it
 *
 * @module
 */

import { relative } from 'node:path';

import { ROOT, run } from './checks/process.ts';
import { completed, type Manifest, publishedReadme } from './npm/manifest.ts';
import { npm } from './runtimes.ts';

/** A package that is ready to be published. */
export interface NpmPackage {
  readonly manifest: Manifest;
  /** What the tarball holds, as a folder. */
  readonly folder: string;
  readonly tarball: string;
  /** The files, relative to the folder, sorted. */
  readonly files: readonly string[];
}

/** JSON and nothing else, such as the news of a newer npm, whatever npm is told by its user. */
const PACK = [
  ...['pack', '--json', '--ignore-scripts', '--pack-destination=.', '--dry-run=false'],
  ...['--loglevel=error', '--no-update-notifier'],
];

/**
 * Builds the package into a folder, which is emptied first.
 *
 * @param destination Default: `dist`.
 */
export async function buildPackage(destination = `${ROOT}/dist`): Promise<NpmPackage> {
  await Deno.remove(destination, { recursive: true }).catch(() => {});
  await Deno.mkdir(destination, { recursive: true });
  const packed = `${destination}/packed.tgz`;
  // The maps would be inline, and name sources that are not in the package.
  const pack = ['pack', '--quiet', '--allow-dirty', '--no-source-maps', '--output', packed];
  await must([Deno.execPath(), ...pack]);
  await must(['tar', '-xzf', 'packed.tgz'], destination);
  await Deno.remove(packed);

  const folder = `${destination}/package`;
  const path = `${folder}/package.json`;
  const manifest = completed(JSON.parse(await Deno.readTextFile(path)));
  await Deno.writeTextFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
  const readme = `${folder}/README.md`;
  await Deno.writeTextFile(readme, publishedReadme(await Deno.readTextFile(readme)));

  const output = await must([...await npm(), ...PACK], folder);
  const [{ filename, files }] = JSON.parse(output);
  await Deno.rename(`${folder}/${filename}`, `${destination}/${filename}`);
  return {
    manifest,
    folder,
    tarball: `${destination}/${filename}`,
    files: files.map(({ path }: { path: string }) => path).sort(),
  };
}

async function must(command: readonly string[], cwd = ROOT): Promise<string> {
  const { code, output } = await run(command, { cwd });
  if (code !== 0) throw new Error(`${command.join(' ')}\n${output}`);
  return output;
}

if (import.meta.main) {
  const { manifest, tarball, files } = await buildPackage();
  const { size } = await Deno.stat(tarball);
  console.log(`${manifest.name} ${manifest.version}: ${files.length} files`);
  console.log(`${relative(ROOT, tarball)} (${(size / 1_000).toFixed(1)} kB)`);
}
