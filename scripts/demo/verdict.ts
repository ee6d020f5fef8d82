/**
 * What was promised and what was found, side by side.
 *
 * @module
 */

import { TABLES } from './database.ts';
import type { Kill, Race } from './scenes.ts';
import { mark, strong } from './terminal.ts';

/** One promise, and how it went. */
export interface Finding {
  promise: string;
  kept: boolean;
  /** What was measured. */
  found: string;
}

/** Judges one protocol by its two scenes. */
export function judge({ callers }: Race, { tablesLeft, next, tables }: Kill): Finding[] {
  const settled = callers.flatMap((caller) => caller.settled ?? []);
  const installed = settled.filter((call) => call.installed).length;
  const resolved = settled.filter((call) => call.outcome !== 'threw');
  const ready = resolved.filter((call) => call.error === undefined).length;
  const threw = settled.length - resolved.length;
  return [
    {
      promise: 'one process installs',
      kept: installed === 1,
      found: `${installed} did`,
    },
    {
      promise: 'no caller throws',
      kept: threw === 0,
      found: `${threw} of ${settled.length} did`,
    },
    {
      promise: 'resolved means ready',
      kept: resolved.length > 0 && ready === resolved.length,
      found: `${ready} of ${resolved.length} were`,
    },
    {
      promise: 'a kill leaves nothing behind',
      kept: tablesLeft === 0,
      found: `${tablesLeft} of ${TABLES} tables`,
    },
    {
      promise: 'the next caller installs',
      kept: next.settled?.installed === true,
      found: next.settled?.outcome ?? 'died',
    },
    {
      promise: 'and its schema is whole',
      kept: tables === TABLES && next.settled?.error === undefined,
      found: `${tables} of ${TABLES} tables`,
    },
  ];
}

/** The findings of both protocols as a table. */
export function verdictTable(usual: Finding[], library: Finding[]): string[] {
  const head = '  ' + 'Promise'.padEnd(30) + 'The usual way'.padEnd(24) + 'db-migrate';
  return [
    strong(head),
    ...usual.map((finding, i) => {
      const [left, right] = [finding, library[i]!].map(cell);
      return `  ${finding.promise.padEnd(30)}${left}${right}`.trimEnd();
    }),
  ];
}

function cell({ kept, found }: Finding): string {
  return mark(`${kept ? 'kept  ' : 'BROKEN'}  ${found}`.padEnd(24), kept);
}
