/**
 * The tools that run the script of a plan: the real ones where this machine has them.
 *
 * @module
 */

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { TestDatabase } from '../engines/engine.ts';
import type { RemoteD1 } from '../engines/remote_d1.ts';
import { scratch } from '../engines/scratch.ts';
import { openNative } from '../support/sqlite.ts';

/** Runs a script with the `sqlite3` shell, or where there is none with SQLite's own `exec`. */
export async function runInSqlite(path: string, script: string): Promise<void> {
  if (await tool('sqlite3', ['-batch', '-bail', path, `.read '${fileOf(script)}'`])) return;
  const database = openNative(path);
  try {
    database.exec(script);
  } finally {
    database.close();
  }
}

/** Runs a script with `psql`, or where there is none as one simple query. */
export async function runInPostgres(database: TestDatabase, script: string): Promise<void> {
  const options = ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', fileOf(script)];
  if (await tool('psql', [...options, database.address!])) return;
  await database.run(script);
}

/**
 * Runs a script as `wrangler d1 execute --local --file` does: split into statements, which go to D1
 * as one batch. Where the split ends a trigger is a matter of its words, as it is for wrangler.
 */
export async function runAsWrangler(binding: RemoteD1, script: string): Promise<void> {
  await binding.batch(splitAsWrangler(script).map((statement) => binding.prepare(statement)));
}

/** What is passed over as a whole; then words that open and close a compound statement. */
const PIECES = /'[^']*'|"[^"]*"|`[^`]*`|--[^\n]*\n?|\/\*[^]*?\*\/|\b(?:begin|case|end)\b|;/gi;

function splitAsWrangler(script: string): string[] {
  const ends: number[] = [];
  let depth = 0;
  for (const { 0: piece, index } of script.matchAll(PIECES)) {
    if (/^(begin|case)$/i.test(piece)) depth++;
    else if (/^end$/i.test(piece)) depth--;
    else if (piece === ';' && depth === 0) ends.push(index);
  }
  return [...ends, script.length]
    .map((end, n) => script.slice(n === 0 ? 0 : ends[n - 1]! + 1, end).trim())
    .filter((statement) => statement !== '');
}

function fileOf(script: string): string {
  const path = join(scratch('script'), 'plan.sql');
  writeFileSync(path, script);
  return path;
}

/** False if there is no such program. */
function tool(program: string, parameters: string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    execFile(program, parameters, (error, stdout, stderr) => {
      if (!error) resolve(true);
      else if ((error as { code?: unknown }).code === 'ENOENT') resolve(false);
      else reject(new Error(`${program}: ${error.message}\n${stdout}${stderr}`));
    });
  });
}
