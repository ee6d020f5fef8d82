/**
 * Requests and answers in words.
 *
 * @module
 */

import type { Request } from './driver.ts';
import { DDL_TABLES, MARKER } from './scenario.ts';
import type { Answer, Sql } from './store.ts';

/** What a statement is to the protocol. */
export type Role =
  | 'session'
  | 'look'
  | 'create'
  | 'alter'
  | 'read'
  | 'claim'
  | 'install'
  | 'renew'
  | 'finish'
  | 'release'
  | 'discard'
  | 'ddl';

const roles = new Map<string, Role | undefined>();

/** What a statement is to the protocol. */
export function roleOf({ sql, parameters }: Sql): Role {
  let role = roles.get(sql);
  if (!roles.has(sql)) {
    role = findRole(sql.toLowerCase().replaceAll('"', ''));
    roles.set(sql, role);
  }
  return role ?? (parameters.includes('installing') ? 'claim' : 'install');
}

function findRole(sql: string): Role | undefined {
  // The DDL's own tables are the simulator's, so DDL is never mistaken for anything else.
  if (DDL_TABLES.test(sql)) return 'ddl';
  if (/pragma_table_info|pg_attribute|to_regclass|to_regnamespace/.test(sql)) return 'look';
  if (!sql.includes(MARKER)) return 'session';
  if (/^create/.test(sql)) return 'create';
  if (/^alter/.test(sql)) return 'alter';
  if (/^select/.test(sql)) return 'read';
  if (/^insert/.test(sql)) {
    return sql.includes(`'installing'`) || !sql.includes('state') ? 'claim' : undefined;
  }
  if (/^delete/.test(sql)) return sql.includes('lease') ? 'discard' : 'release';
  const set = /set (.*?) where/.exec(sql)?.[1] ?? '';
  return set.includes('state') ? 'finish' : 'renew';
}

const WORDS: Readonly<Record<Role, string>> = {
  session: 'settings and advisory lock',
  look: 'look whether the ledger is there',
  create: 'create the ledger if missing',
  alter: 'add a column to the ledger',
  read: 'read the ledger',
  claim: 'claim',
  install: 'insert the row as installed',
  renew: 'renew the claim',
  finish: 'finish: mark as installed',
  release: 'release the claim',
  discard: 'discard an expired claim',
  ddl: 'DDL',
};

function describeStatement(statement: Sql): string {
  const role = roleOf(statement);
  return role === 'ddl' ? `DDL: ${statement.sql.slice(0, 34)}` : WORDS[role];
}

/** A request in words. */
export function describe(request: Request): string {
  if (request.kind === 'statement') return describeStatement(request.statement);
  if (request.kind !== 'batch') return request.kind;
  const { statements } = request;
  if (statements.length === 1) return `${describeStatement(statements[0]!)} (batch)`;
  return `batch of ${statements.length}`;
}

/** True if a request carries statements of the caller's DDL. */
export function carriesDdl(request: Request): boolean {
  if (request.kind === 'statement') return roleOf(request.statement) === 'ddl';
  return request.kind === 'batch' && request.statements.some((one) => roleOf(one) === 'ddl');
}

/** Answers in words. */
export function describeAnswers(answers: readonly Answer[]): string {
  const row = answers.at(-1)?.rows[0];
  if (answers.length === 1 && row && 'name' in row) {
    const { name, state, owner, lease, clock } = row;
    if (name === null) return 'no row';
    if (state === undefined || state === null) return 'a row without a state';
    const isExpired = state === 'installing' && Number(lease) < Number(clock);
    return `${state} by ${owner}${isExpired ? ', expired' : ''}`;
  }
  if (row && 'hurry' in row) return row.hurry === '200ms' ? 'locked' : 'not locked';
  if (row && 'found' in row) return row.found ? 'it is there' : 'not there';
  const changes = answers.reduce((sum, answer) => sum + answer.changes, 0);
  if (changes > 0) return `ok, ${changes} changed`;
  return answers.some((answer) => answer.effective) ? 'ok' : 'ok, nothing';
}
