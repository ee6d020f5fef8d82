/**
 * The database files of the tests, as someone who takes part in no race sees them.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { copyFileSync, existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';

import { scratch } from '../engines/scratch.ts';
import { tableName } from '../support/schema.ts';
import { openNative } from '../support/sqlite.ts';

/** How SQLite keeps its journal: `'delete'` is its own default, the rollback journal. */
export type Journal = 'wal' | 'delete';

/** What stands in a file. */
export interface Contents {
  /** Which tables of the schema are there. */
  tables: string[];
  /** The rows of the ledger; none where there is no ledger. */
  ledger: { name: string; state: string; owner: string; lease: number | null }[];
  /** What SQLite's own check says: `'ok'`. */
  integrity: string;
}

/** Runs `use` with a folder of its own, which is gone afterwards. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = scratch('processes');
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Makes an empty database; the file keeps its journal mode. */
export function createFile(path: string, journal: Journal): void {
  const database = openNative(path, { journal });
  try {
    // SQLite writes the file only when there is something to write.
    database.exec('pragma user_version = 1');
  } finally {
    database.close();
  }
}

/**
 * Copies a file with its journals, so that one can look into what a killed process has left: the
 * first to open a file repairs it, and that is to be the next caller, not the onlooker.
 */
export function copyFile(path: string): string {
  const copy = `${path}.copy`;
  for (const suffix of ['', '-journal', '-wal']) {
    if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
  }
  return copy;
}

/** Looks into a file, repairing it first where that is needed, as any opener does. */
export function look(path: string): Contents {
  const database = openNative(path, { busyTimeoutMs: 5_000 });
  try {
    const all = (sql: string) => database.prepare(sql).all() as Record<string, unknown>[];
    const [check] = all('pragma integrity_check');
    const names = all(`select name from sqlite_master where type = 'table' order by name`)
      .map(({ name }) => String(name));
    const ledger = names.includes('migrations')
      ? all('select name, state, owner, lease from migrations') as unknown as Contents['ledger']
      : [];
    const integrity = String(check?.integrity_check);
    return { tables: names.filter((name) => /^t\d{3}$/.test(name)), ledger, integrity };
  } finally {
    database.close();
  }
}

/** Asserts that a file holds the whole schema, finished, and nothing else of ours. */
export function assertWhole(path: string, tables: number): void {
  const found = look(path);
  assert.equal(found.integrity, 'ok');
  assert.deepEqual(found.tables, Array.from({ length: tables }, (_, n) => tableName(n + 1)));
  assert.deepEqual(
    found.ledger.map(({ name, state, lease }) => ({ name, state, lease })),
    [{ name: '0001_initial', state: 'installed', lease: null }],
  );
}

/** Asserts that a file holds the whole schema or nothing of it, and says which. */
export function assertAllOrNothing(path: string, tables: number): 'all' | 'nothing' {
  const found = look(path);
  if (found.tables.length > 0) {
    assertWhole(path, tables);
    return 'all';
  }
  assert.equal(found.integrity, 'ok');
  assert.deepEqual(found.ledger, []);
  return 'nothing';
}
