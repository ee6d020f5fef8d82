/**
 * Tables in Markdown.
 *
 * @module
 */

/** A table; the columns from the second on are aligned to the right, being numbers. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  align: 'numbers' | 'text' = 'numbers',
): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const marks = heading.map((_, at) => at === 0 || align === 'text' ? '---' : '---:');
  return [line(heading), line(marks), ...rows.map(line)].join('\n');
}

/** Paragraphs and tables, one below the other. */
export function document(parts: readonly (string | false | undefined)[]): string {
  return `${parts.filter((part) => part).join('\n\n')}\n`;
}
