/**
 * The protocol as two callers run it: the statements of a real race on SQLite, in their order.
 *
 * @module
 */

import { bootstrapSchema } from '../../mod.ts';
import type { Connection } from '../../tests/engines/engine.ts';
import { sqlite } from '../../tests/engines/sqlite.ts';
import { createTable } from '../../tests/support/schema.ts';
import { dot, image, line, type Palette, rect, text, WIDTH } from './svg.ts';

/** What a caller did: a statement, or several in a row that say the same. */
export interface ProtocolStep {
  readonly caller: 'first' | 'second';
  readonly says: string;
}

const LOOK = 'look at the row';

/** What the statements of the library are for. */
const MEANINGS: readonly [sql: RegExp, says: string][] = [
  [/^begin/, 'begin'],
  [/^commit/, 'commit'],
  [/^rollback/, 'busy: roll back, wait outside'],
  [/^create table if not exists \S*"migrations"/, 'the ledger, if it is missing'],
  [/^insert into \S*"migrations"/, 'claim: insert the row'],
  [/^update \S*"migrations"/, 'finish: mark the row as installed'],
  [/^select .* from \S*"migrations"/, LOOK],
  [/^create table "(\w+)"/, 'ddl: create table $1'],
];

const TABLES = 3;

/** Runs the race: the second caller comes when the first one is in the middle of its DDL. */
export async function traceProtocol(): Promise<ProtocolStep[]> {
  const engine = await sqlite.start();
  const database = await engine.create();
  const steps: ProtocolStep[] = [];
  const open = (caller: ProtocolStep['caller']) =>
    database.connect({
      busyTimeoutMs: 0,
      onStatement: (sql) => void steps.push({ caller, says: meaningOf(sql) }),
    });
  const version = '0001_initial';
  let second: Promise<void> | undefined;
  async function ddl(db: Connection): Promise<void> {
    for (let n = 1; n <= TABLES; n++) {
      await createTable(db, n);
      second ??= call('second');
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
  }
  async function call(caller: ProtocolStep['caller']): Promise<void> {
    const { outcome } = await bootstrapSchema(open(caller), { version, ddl });
    steps.push({ caller, says: `resolves: ${outcome}` });
  }
  try {
    await call('first');
    await second;
  } finally {
    await database.drop();
    await engine.stop();
  }
  return gathered(steps);
}

/** The steps, each caller in a column of its own. */
export function drawProtocol(steps: readonly ProtocolStep[], palette: Palette): string {
  const columns = { first: 24, second: WIDTH / 2 + 24 };
  const shapes: string[] = [];
  for (const [caller, x] of Object.entries(columns)) {
    const name = `The ${caller} caller`;
    shapes.push(text(x - 8, 18, name, { fill: palette.text, size: 14, bold: true }));
  }
  let y = 44;
  const from: Partial<Record<string, number>> = {};
  let bracket: [from: number, to: number] | undefined;
  for (const { caller, says } of steps) {
    const x = columns[caller];
    if (from[caller] !== undefined) shapes.unshift(line(x, from[caller], x, y, palette.line));
    from[caller] = y;
    const isEnd = says.startsWith('resolves');
    const isDdl = says.startsWith('ddl');
    const isWait = caller === 'second' && !isEnd;
    const colour = isEnd ? palette.good : isDdl ? palette.work : palette.faint;
    shapes.push(dot(x, y - 4, isWait ? palette.wait : colour));
    shapes.push(text(x + 16, y, says, { fill: isEnd ? palette.good : palette.text }));
    if (caller === 'first' && says === 'begin') bracket = [y - 16, y];
    if (caller === 'first' && says === 'commit') bracket![1] = y + 6;
    y += 24;
  }
  if (bracket) {
    const [top, bottom] = bracket;
    shapes.push(rect(2, top, 4, bottom - top, palette.work));
    shapes.push(text(WIDTH / 2 - 24, top + 14, 'one transaction', {
      ...{ fill: palette.work, size: 12, anchor: 'end' },
    }));
  }
  return image(y - 8, 'Two callers: one installs in one transaction, the other waits', shapes);
}

function meaningOf(sql: string): string {
  for (const [pattern, says] of MEANINGS) {
    const match = pattern.exec(sql);
    if (match) return says.replace('$1', match[1] ?? '');
  }
  return sql.replace(/\s+/g, ' ').slice(0, 40);
}

/**
 * The steps with what each look found, and one step for all tries that the second caller makes
 * between two steps of the first.
 */
function gathered(steps: readonly ProtocolStep[]): ProtocolStep[] {
  const shown: ProtocolStep[] = [];
  const last = steps.findLast(({ caller, says }) => caller === 'second' && says === LOOK);
  let tries = 0;
  for (const step of steps) {
    const { caller, says } = step;
    if (caller === 'second' && step !== last && !says.startsWith('resolves')) {
      if (says.startsWith('busy')) tries++;
      continue;
    }
    if (tries > 0) shown.push({ caller: 'second', says: describeTries(tries) });
    tries = 0;
    const hasClaimed = shown.some((one) => one.caller === caller && one.says.startsWith('claim'));
    const found = step === last ? 'installed' : hasClaimed ? 'mine' : 'not there';
    shown.push(says === LOOK ? { caller, says: `${LOOK}: ${found}` } : step);
  }
  return shown;
}

function describeTries(tries: number): string {
  return `tries${tries > 1 ? ` ${tries} times` : ''}: busy; waits, holding nothing`;
}
