/**
 * Names and texts as they stand in SQL.
 *
 * @module
 */

/** An identifier as it stands in SQL text. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** A string literal of either dialect. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
