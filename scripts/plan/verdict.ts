/**
 * What planning ahead promises, and what was found.
 *
 * @module
 */

import { mark, strong } from '../demo/terminal.ts';

/** One promise, and how it went. */
export interface Finding {
  readonly promise: string;
  readonly kept: boolean;
  /** What was measured. */
  readonly found: string;
}

/** The findings as lines. */
export function verdict(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ promise }) => promise.length));
  return [
    '',
    strong('Verdict'),
    '',
    ...findings.map(({ promise, kept, found }) =>
      `  ${promise.padEnd(width)}  ${mark(kept ? 'yes' : 'NO ', kept)}  ${found}`
    ),
    '',
    findings.every(({ kept }) => kept)
      ? mark('Every promise was kept.', true)
      : mark('A promise was broken.', false),
  ];
}
