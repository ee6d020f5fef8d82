/**
 * `wrangler d1 migrations apply --local`: a command, so that only its time can be measured.
 *
 * @module
 */

import { ROOT, run as runCommand } from '../../checks/process.ts';
import { runtime } from '../../runtimes.ts';
import { folderWith, schemaFor, scriptOf, VERSION } from '../schema.ts';
import type { Run } from '../run.ts';
import { timed } from '../stats.ts';

/** One run of the command. */
export interface CommandRow {
  readonly command: string;
  readonly what: 'fresh' | 'installed';
  readonly ms?: number;
  readonly error?: string;
}

/** Runs it on a new local database, and again. */
export async function command({ effort, progress }: Run): Promise<CommandRow[]> {
  const { statements } = await schemaFor(effort.tables);
  const { command: node } = await runtime('node24');
  const cwd = folderWith('wrangler', () => ({
    'wrangler.json': JSON.stringify({
      name: 'bench',
      compatibility_date: '2026-07-01',
      d1_databases: [{ binding: 'DB', database_name: 'DB', database_id: 'bench' }],
    }),
    [`migrations/${VERSION}.sql`]: scriptOf(statements.sqlite),
  }));
  const name = 'wrangler d1 migrations apply DB --local';
  const rows: CommandRow[] = [];
  for (const what of ['fresh', 'installed'] as const) {
    progress.say('wire: wrangler', what);
    let error: string | undefined;
    const ms = await timed(async () => {
      const { code, output } = await runCommand(
        [node, `${ROOT}/node_modules/wrangler/bin/wrangler.js`, ...name.split(' ').slice(1)],
        { cwd, env: { CI: '1', WRANGLER_SEND_METRICS: 'false' }, limitMs: 60_000 },
      );
      const expected = what === 'fresh' ? VERSION : 'No migrations to apply';
      if (code !== 0 || !output.includes(expected)) error = output.trim().slice(-200);
    });
    rows.push({ command: name, what, ...(error === undefined ? { ms } : { error }) });
  }
  return rows;
}
