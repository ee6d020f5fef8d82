/**
 * Writing SQL: statements with bound parameters, identifiers and string literals.
 *
 * @module
 */

import { type CompiledQuery, plain } from './kysely.ts';
import type { Dialect } from './sql_text.ts';

/** Text in a statement; whatever else is put into one becomes a bound parameter. */
export interface Raw {
  readonly raw: string;
}

/**
 * Makes a statement of a template. A list becomes one in parentheses, a list of lists several of
 * them; a line break in the template is one space.
 */
export type Sql = (texts: TemplateStringsArray, ...values: readonly unknown[]) => CompiledQuery;

/** The {@linkcode Sql} of a dialect. */
export function sqlFor(dialect: Dialect): Sql {
  return (texts, ...values) => {
    const parameters: unknown[] = [];
    const write = (value: unknown): string => {
      if (Array.isArray(value)) {
        const list = value.map(write).join(', ');
        return Array.isArray(value[0]) ? list : `(${list})`;
      }
      if (isRaw(value)) return value.raw;
      parameters.push(value);
      return dialect === 'postgres' ? `$${parameters.length}` : '?';
    };
    const pieces = texts.map((text, at) =>
      text.replace(/\n\s+/g, ' ') + (at < values.length ? write(values[at]) : '')
    );
    return plain(pieces.join(''), parameters);
  };
}

/** Marks text as part of a statement. */
export function raw(text: string): Raw {
  return { raw: text };
}

function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null;
}

/** An identifier as it stands in SQL text. */
export function quote(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** A string literal of either dialect. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
