/**
 * A run as text: numbered lines, at most 80 columns wide.
 *
 * @module
 */

import type { Scenario } from './scenario.ts';
import type { Outcome } from './simulation.ts';

const WIDTH = 80;
const INDENT = 16;

/** A run as text. */
export function timeline(scenario: Scenario, { lines, violation }: Outcome): string {
  const head = [
    scenario.name,
    `  waitTimeoutMs ${scenario.waitTimeoutMs}, leaseMs ${scenario.leaseMs}, start: ` +
    `${scenario.start?.name ?? 'fresh'}`,
    '',
    '   #      ms  who',
  ];
  const body = lines.flatMap(({ at, who, text }, index) => {
    const number = String(index + 1).padStart(4);
    const ms = String(Math.round(at)).padStart(7);
    return wrapped(`${number} ${ms}  ${who.padEnd(2)} `.padEnd(INDENT), text);
  });
  const tail = violation
    ? wrapped('FAILED: ', `${violation.invariant}. ${violation.message}`)
    : ['Everything held.'];
  return [...head, ...body, '', ...tail].join('\n');
}

function wrapped(prefix: string, text: string): string[] {
  const lines: string[] = [];
  let line = prefix;
  for (const word of text.split(/(?<= )/)) {
    if (line.length + word.trimEnd().length > WIDTH && line.trim() !== '') {
      lines.push(line.trimEnd());
      line = ' '.repeat(prefix.length + 2);
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}
