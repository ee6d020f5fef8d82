/**
 * What the npm package says about itself beyond what `deno pack` reads from deno.json.
 *
 * @module
 */

/** A package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly [field: string]: unknown;
}

/** The versions of Kysely that the library works with. A range without a tag has no betas in it. */
export const KYSELY_RANGE = '>=0.27.0 <0.31.0 || ^0.30.0-beta.0';

const REPOSITORY = 'https://github.com/arraypress/db-migrate';

/** The package.json that is published, made of the one that `deno pack` wrote. */
export function completed(packed: Manifest): Manifest {
  const { name, version, type, license, exports } = packed;
  return {
    name,
    version,
    description: 'Race-safe, one-shot schema bootstrap for Kysely on Cloudflare D1, SQLite, ' +
      'libSQL and Postgres',
    keywords: [
      ...['kysely', 'schema', 'migration', 'bootstrap', 'ddl', 'race-safe'],
      ...['cloudflare', 'workers', 'd1', 'durable-objects', 'serverless'],
      ...['sqlite', 'libsql', 'turso', 'postgres', 'deno', 'bun'],
    ],
    license,
    homepage: `${REPOSITORY}#readme`,
    bugs: `${REPOSITORY}/issues`,
    repository: { type: 'git', url: `git+${REPOSITORY}.git` },
    type,
    sideEffects: false,
    engines: { node: '>=22' },
    // For TypeScript that compiles to CommonJS by default, and does not read the exports.
    main: exports['.']!.default,
    types: exports['.']!.types,
    // All runtimes that read a manifest's exports know "default"; "import" would say it twice.
    exports: Object.fromEntries(
      Object.entries(exports).map(([path, { types, default: code }]) => [
        path,
        { types, default: code },
      ]),
    ),
    peerDependencies: { kysely: KYSELY_RANGE },
  };
}

/**
 * The README that is published. npm leads the address of an `<img>` to the repository by itself, but
 * not that of a `<source>`, which readers with a dark screen get.
 */
export function publishedReadme(readme: string): string {
  return readme.replaceAll(/(?<=<source [^>]*srcset=")(?!https:)/g, `${REPOSITORY}/raw/HEAD/`);
}
