/**
 * The check of the checker: what no fault may leave is made by hand, and it must be noticed.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { sqlite } from '../engines/sqlite.ts';
import { callAndUse } from '../races/call.ts';
import { judge } from './aftermath.ts';
import { askFor } from './asks.ts';

interface Wrong {
  readonly name: string;
  /** Whether the schema is there, before `statements` are run. */
  readonly isInstalled: boolean;
  readonly statements: readonly string[];
  readonly isAcknowledged: boolean;
  readonly noticed: RegExp;
}

/** What must be noticed. */
export const WRONGS: readonly Wrong[] = [
  {
    name: 'a table without a ledger',
    isInstalled: false,
    statements: ['create table t005 (id integer)'],
    isAcknowledged: false,
    noticed: /partial: t005/,
  },
  {
    name: 'a ledger without the tables',
    isInstalled: true,
    statements: ['drop table t005'],
    isAcknowledged: false,
    noticed: /partial: by_dead, t001/,
  },
  {
    name: 'a claim after a transaction',
    isInstalled: true,
    statements: [`update migrations set state = 'installing'`],
    isAcknowledged: false,
    noticed: /claimed: /,
  },
  {
    name: 'an install that was acknowledged and is gone',
    isInstalled: false,
    statements: [],
    isAcknowledged: true,
    noticed: /lost: nothing/,
  },
  {
    name: 'an install by somebody else than was told so',
    isInstalled: true,
    statements: ['alter table by_dead rename to by_other'],
    isAcknowledged: true,
    noticed: /by_dead: everything/,
  },
  {
    name: 'two installs',
    isInstalled: true,
    statements: ['create table by_other (id integer)'],
    isAcknowledged: true,
    noticed: /everything: by_dead, by_other/,
  },
];

/** Fails unless the checker does. */
export async function notice(wrong: Wrong): Promise<void> {
  const { isInstalled, statements, isAcknowledged, noticed } = wrong;
  const database = await (await sqlite.start()).create();
  try {
    const db = database.connect();
    if (isInstalled) await callAndUse({ db }, askFor('by_dead', 'transaction', false));
    for (const statement of statements) await database.run(statement);
    const acknowledged = isAcknowledged ? [{ outcome: 'installed', mark: 'by_dead' }] : [];
    const hit = { strategy: 'transaction', acknowledged } as const;
    const judged = judge(database, hit, () => ({ db }), { next: 'transaction', isAtOnce: false });
    await assert.rejects(judged, noticed);
  } finally {
    await database.drop();
  }
}
