/**
 * Which engine runs where, as a table in Markdown.
 *
 * @module
 */

import type { Engine, Runtime } from './engine.ts';

/** The columns of the table, with their headings. */
const runtimes: Readonly<Record<Runtime, string>> = {
  deno: 'Deno 2',
  node22: 'Node 22',
  node24: 'Node 24',
  node26: 'Node 26',
  bun: 'Bun 1',
  workerd: 'workerd',
};

/**
 * The table. A cell is what `cell` says, by default whether the engine runs there; the reasons why
 * it does not are listed below.
 */
export function matrix(
  engines: readonly Engine[],
  cell: (engine: Engine, runtime: Runtime) => string = () => 'yes',
): string {
  const columns = Object.keys(runtimes) as Runtime[];
  const reasons: string[] = [];
  const rows = engines.map((engine) => [
    engine.name,
    ...columns.map((runtime) => {
      const reason = engine.missing ?? engine.runtimes[runtime];
      if (reason === true) return cell(engine, runtime);
      if (!reasons.includes(reason)) reasons.push(reason);
      return `no (${reasons.indexOf(reason) + 1})`;
    }),
  ]);
  const head = ['engine', ...Object.values(runtimes)];
  const widths = head.map((_, n) => Math.max(...[head, ...rows].map((row) => row[n]!.length)));
  const line = (cells: string[], fill = ' ') =>
    `| ${cells.map((cell, n) => cell.padEnd(widths[n]!, fill)).join(' | ')} |`;
  return [
    line(head),
    line(head.map(() => ''), '-'),
    ...rows.map((row) => line(row)),
    '',
    ...reasons.map((reason, n) => `${n + 1}. ${reason}`),
  ].join('\n');
}
