/**
 * What a fault has left, what the next callers make of it, and whether that is as promised.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { namesOf } from '../batch/ddl.ts';
import { allTextOf, patiently, within } from '../cases/support.ts';
import { callAndUse, type Caller, type Settled, VERSION } from '../races/call.ts';
import { SIGNS } from '../races/isolate_messages.ts';
import { askFor, withBatchFor } from './asks.ts';
import { CEILING_MS, TABLES } from './counts.ts';

/**
 * What was found: `'claimed'` is a claim without its end, and `'partial'` some tables without a
 * claim. Both are for the next caller to deal with, and under a lease only. Where nobody looked
 * before the next caller, what that had to install was `'undone'`.
 */
export type Left = 'nothing' | 'claimed' | 'partial' | 'undone' | 'everything';

/** A database that may be looked into. */
export interface Patient {
  tables(): Promise<string[]>;
  run(sql: string): Promise<unknown[]>;
}

/** An install that a fault has hit. */
export interface Hit {
  readonly strategy: Strategy;
  /** The outcomes of the calls that had resolved: whoever made them counts on the schema. */
  readonly acknowledged: readonly { readonly outcome: string; readonly mark: string }[];
}

/** Those of these calls that have resolved. */
export function acknowledgedIn(
  calls: readonly { readonly settled: Settled; readonly mark: string }[],
): Hit['acknowledged'] {
  return calls
    .filter(({ settled }) => settled.outcome !== 'threw')
    .map(({ settled, mark }) => ({ outcome: settled.outcome, mark }));
}

/**
 * Looks at what is left, calls again, and looks again.
 *
 * @param nextOn Connects the next caller.
 * @param isAtOnce The next caller comes before anybody has looked, who would give it time to pass.
 */
export async function judge(
  patient: Patient,
  { strategy, acknowledged }: Hit,
  nextOn: () => Caller | Promise<Caller>,
  { next, isAtOnce, mark = 'by_next' }: { next: Strategy; isAtOnce: boolean; mark?: string },
): Promise<Left> {
  const before = isAtOnce ? undefined : await look(patient);
  if (before && strategy !== 'lease') {
    assert.ok(before.left === 'nothing' || before.left === 'everything', text(before));
  }
  const isCounted = acknowledged.length > 0;
  if (before && isCounted) assert.equal(before.left, 'everything', `lost: ${text(before)}`);

  const isRepeated = strategy === 'lease';
  const caller = await nextOn();
  const settled = await within(
    CEILING_MS,
    callAndUse(withBatchFor(next, caller), askFor(mark, next, isRepeated)),
  );
  assert.ok(settled.outcome !== 'threw' && settled.unusable === undefined, JSON.stringify(settled));
  if (isCounted) assert.equal(settled.outcome, 'already-installed', 'an install was lost');
  if (before?.left === 'everything') assert.equal(settled.installed, false);
  if (before && before.left !== 'everything' && strategy !== 'lease') {
    // What had been sent before the fault may have been carried out after we looked.
    assert.ok(settled.installed || (await look(patient)).marks[0] !== mark);
  }

  const after = await look(patient);
  assert.equal(after.left, 'everything', text(after));
  assert.equal(after.rows[0]!.lease, null);
  if (strategy !== 'lease') assert.equal(after.marks.length, 1, text(after));
  assert.equal(after.marks.includes(mark), settled.installed, text(after));
  for (const { outcome, mark } of acknowledged) {
    if (outcome === 'installed') assert.ok(after.marks.includes(mark), `${mark}: ${text(after)}`);
  }
  const last = await callAndUse(withBatchFor(strategy, caller), askFor('by_last', strategy, true));
  assert.equal(last.outcome, 'already-installed', JSON.stringify(last));
  return before?.left ?? (settled.installed ? 'undone' : 'everything');
}

interface Found {
  readonly left: Left;
  readonly tables: readonly string[];
  /** The tables that tell who has installed. */
  readonly marks: readonly string[];
  readonly rows: readonly Record<string, unknown>[];
}

/** Looks without taking part; what is committed meanwhile is seen as a whole. */
async function look(patient: Patient): Promise<Found> {
  for (;;) {
    const rows = await rowsOf(patient);
    const tables = (await patiently(() => patient.tables()))
      .filter((name) => name !== SIGNS && name !== 'migrations');
    if (JSON.stringify(await rowsOf(patient)) !== JSON.stringify(rows)) continue;
    const marks = tables.filter((name) => name.startsWith('by_'));
    return { left: leftIn(tables, rows), tables, marks, rows };
  }
}

async function rowsOf(patient: Patient): Promise<Record<string, unknown>[]> {
  try {
    const rows = await patiently(() => patient.run('select * from migrations'));
    return rows.map((row) => ({ ...row as Record<string, unknown> }));
  } catch (error) {
    if (/no such table|does not exist/.test(allTextOf(error))) return [];
    throw error;
  }
}

function leftIn(tables: readonly string[], rows: readonly Record<string, unknown>[]): Left {
  assert.ok(rows.length <= 1, JSON.stringify(rows));
  const [row] = rows;
  if (row?.state === 'installed') {
    const isWhole = namesOf(TABLES).every((name) => tables.includes(name));
    return isWhole && row.name === VERSION ? 'everything' : 'partial';
  }
  if (row) return 'claimed';
  return tables.length === 0 ? 'nothing' : 'partial';
}

function text({ left, tables, rows }: Found): string {
  return `${left}: ${tables.join(', ')}; ${JSON.stringify(rows)}`;
}
