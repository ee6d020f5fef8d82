/**
 * Names and texts as they stand in SQL.
 *
 * @module
 */

/** An identifier as it stands in SQL text. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** A string literal of either dialect; on Postgres of a text without backslashes. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A string literal of Postgres, where a backslash may be an escape in a plain one. */
export function escaped(text: string): string {
  return text.includes('\\') ? ` E${quoted(text.replaceAll('\\', '\\\\'))}` : quoted(text);
}
