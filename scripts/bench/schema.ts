/**
 * The schema that everybody installs: the same tables, as code and as SQL.
 *
 * @module
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { type Dialect, planSchema } from '../../mod.ts';
import { scratch } from '../../tests/engines/scratch.ts';
import { offline } from '../../tests/support/offline.ts';
import { schemaOf } from '../../tests/support/schema.ts';

/** The name that every peer gives to it. */
export const VERSION = '0001_initial';

/** A schema. */
export interface BenchSchema {
  readonly tables: number;
  readonly ddl: ReturnType<typeof schemaOf>;
  /** Its statements. */
  readonly statements: Readonly<Record<Dialect, readonly string[]>>;
}

/** The schema of so many tables. */
export async function schemaFor(tables: number): Promise<BenchSchema> {
  const ddl = schemaOf(tables);
  const statements = async (dialect: Dialect) => {
    const plan = await planSchema(offline(dialect), ddl);
    return plan.statements.map(({ sql }) => sql);
  };
  return {
    tables,
    ddl,
    statements: { sqlite: await statements('sqlite'), postgres: await statements('postgres') },
  };
}

const folders = new Map<string, string>();

/** A folder with these files, for tools that read migrations from files. */
export function folderWith(key: string, files: () => Record<string, string>): string {
  const known = folders.get(key);
  if (known) return known;
  const folder = scratch('migrations');
  for (const [name, text] of Object.entries(files())) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  folders.set(key, folder);
  return folder;
}

/** The schema as a script. */
export function scriptOf(statements: readonly string[]): string {
  return statements.map((sql) => `${sql};\n`).join('');
}
