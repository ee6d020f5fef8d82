/**
 * Reading SQL text: just enough of it to tell statements, comments and strings apart.
 *
 * @module
 */

/** The two families of SQL that the library speaks. */
export type Dialect = 'sqlite' | 'postgres';

interface Token {
  /** `'other'` is a string, a quoted identifier or any single character. */
  readonly kind: 'word' | 'parameter' | 'comment' | 'space' | 'other';
  readonly text: string;
}

/**
 * What a piece may be, the last of it any other single character. A quote that is doubled ends one
 * piece and begins the next, which together are the same text.
 */
const PIECES: Readonly<Record<Dialect, RegExp>> = {
  sqlite: anyOf(
    /\s+/,
    /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/,
    /--[^\n]*|\/\*[^]*?(?:\*\/|$)/,
    /'[^']*(?:'|$)/,
    /"[^"]*(?:"|$)|`[^`]*(?:`|$)|\[[^\]]*(?:\]|$)/,
    /\?\d*|[^]/,
  ),
  // Of a comment that may hold others, only the beginning is found here.
  postgres: anyOf(
    /\s+/,
    /(?![eE]')[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/,
    /--[^\n\r]*|\/\*/,
    // A string with escapes may go on in the next line, in quotes without an "e".
    /'[^']*(?:'|$)|[eE]'[^'\\]*(?:(?:''|\\[^]|'[^\S\n\r]*(?:--[^\n\r]*)?[\n\r](?:\s|--[^\n\r]*[\n\r])*')[^'\\]*)*(?:'|$)/,
    /\$((?!\d)[\w\u0080-\uffff]*)\$[^]*?(?:\$\1\$|$)/,
    /"[^"]*(?:"|$)/,
    /\$\d+|[^]/,
  ),
};

function anyOf(...pieces: RegExp[]): RegExp {
  return new RegExp(pieces.map(({ source }) => source).join('|'), 'g');
}

/** Splits SQL into its pieces; joined, their texts are the SQL again. */
export function tokens(sql: string, dialect: Dialect): Token[] {
  return piecesOf(sql, dialect).map((text) => ({ kind: kindOfPiece(text, dialect), text }));
}

function piecesOf(sql: string, dialect: Dialect): string[] {
  const piece = PIECES[dialect];
  if (dialect === 'sqlite' || !sql.includes('/*')) return sql.match(piece) ?? [];
  const pieces: string[] = [];
  for (let at = 0; at < sql.length; at += pieces.at(-1)!.length) {
    piece.lastIndex = at;
    const text = piece.exec(sql)![0];
    pieces.push(text === '/*' ? sql.slice(at, endOfNestedComment(sql, at)) : text);
  }
  return pieces;
}

/** The kind of a piece, by how it begins. Asked for every piece of every DDL, so it is no regex. */
function kindOfPiece(piece: string, dialect: Dialect): Token['kind'] {
  const first = piece[0]!;
  if (first === ' ') return 'space';
  if ((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') || first === '_') {
    return piece[1] === `'` ? 'other' : 'word';
  }
  if (piece.trim() === '') return 'space';
  if (first >= '\u0080') return 'word';
  if (/^(--|\/\*)/.test(piece)) return 'comment';
  const mark = dialect === 'sqlite' ? /^\?/ : /^\$\d/;
  return mark.test(piece) ? 'parameter' : 'other';
}

// Comments nest in Postgres and do not in SQLite.
function endOfNestedComment(sql: string, at: number): number {
  const mark = /\/\*|\*\//g;
  mark.lastIndex = at;
  let depth = 0;
  for (let match = mark.exec(sql); match; match = mark.exec(sql)) {
    depth += match[0] === '/*' ? 1 : -1;
    if (depth === 0) return mark.lastIndex;
  }
  return sql.length;
}

export interface Statement {
  /** As it is written, without the semicolon behind it. */
  readonly sql: string;
  /** Its unquoted words in lower case, but for an `update` that locks. */
  readonly words: readonly string[];
  /** All that it says, a line for each piece: what else separates them does not matter. */
  readonly normalized: string;
}

/**
 * The statements of a text. The body of a trigger or of an SQL-standard function belongs to its
 * statement, semicolons and all. What holds nothing but comments is none.
 */
export function statementsOf(text: string, dialect: Dialect): Statement[] {
  const statements: Statement[] = [];
  let start = 0;
  let at = 0;
  let words: string[] = [];
  let said: string[] = [];
  let isBody = false;
  let parens = 0;
  let before = '';
  const end = () => {
    const sql = text.slice(start, at).trim();
    if (words.length > 0) statements.push({ sql, words, normalized: `${said.join('\n')}\n` });
    start = at + 1;
    before = '';
    [words, said] = [[], []];
  };
  for (const piece of piecesOf(text, dialect)) {
    const kind = kindOfPiece(piece, dialect);
    if (piece === ';' && !isBody && parens === 0) end();
    else if (kind === 'word') {
      const word = piece.toLowerCase();
      const begins = dialect === 'sqlite'
        ? word === 'begin'
        : word === 'atomic' && before === 'begin';
      const opens = begins && !isBody && parens === 0 && BODY.test(beginningOf(words));
      if (opens) isBody = true;
      else if (isBody && word === 'end') isBody = before !== ';';
      // "for update" and "for no key update" lock rows, and change none.
      if (word !== 'update' || !/^(for|key)$/.test(before)) words.push(word);
      said.push(piece);
      // An empty body ends where it has begun.
      before = opens ? ';' : word;
    } else if (kind !== 'space' && kind !== 'comment') {
      said.push(before = piece);
      if (piece === '(') parens++;
      if (piece === ')' && parens > 0) parens--;
    }
    at += piece.length;
  }
  // Measured: Bun stops without a word in a string with escapes that has half a million of quotes.
  if (at < text.length) {
    throw new RangeError(
      'The SQL holds a literal that is too long to be read. Bind it as a parameter',
    );
  }
  end();
  return statements;
}

/** As many words as tell what a statement does, each with a space behind it. */
function beginningOf(words: readonly string[]): string {
  return words.slice(0, 5).map((word) => `${word} `).join('');
}

const BODY = /^create (or replace )?(temp |temporary )?(trigger|function|procedure) /;
const CONTROL =
  /^(begin|commit|end|rollback|abort|savepoint|release|(start|prepare)(?= transaction )) /;
const OUTSIDE =
  /^(?:(vacuum|(?:create|drop) database)|(?:create|drop|reindex)(?: .*)? (concurrently)) /;

// Measured: SQLite takes them in a transaction without a word, and does nothing. A table rebuilt with
// its foreign keys still on loses the rows that hang on it.
const INERT = /^pragma\n(?:.+\n\.\n)?["'`[]?(foreign_keys|journal_mode)["'`\]]?\n[=(]/i;
/** Pragmas that do something when they are asked. */
const DEED = /^(optimize|incremental_vacuum|wal_checkpoint|shrink_memory)$/;

/**
 * Why statements cannot be part of one transaction that the library has begun, as the rest of a
 * sentence about them; undefined if they can. Measured: a `commit` in the middle of a unit commits
 * half of it, and nothing afterwards notices.
 */
export function refusalInUnit(statements: readonly Statement[]): string | undefined {
  for (const { words, normalized } of statements) {
    const beginning = beginningOf(words);
    const control = CONTROL.exec(beginning)?.[1];
    if (control) {
      return `"${control}" would split the unit. Leave it out: the ddl is one transaction already`;
    }
    const inert = INERT.exec(normalized)?.[1];
    if (inert) {
      return `"pragma ${inert}" does nothing in a transaction. Set it on the connection before`;
    }
    const [, command, manner] = OUTSIDE.exec(beginning) ?? [];
    const outside = command ?? manner;
    if (outside) {
      return `"${outside}" cannot run in a transaction. Use strategy 'lease' with idempotent DDL, ` +
        `or run it before or after the install`;
    }
  }
  return undefined;
}

/** Whether a word begins a change of rows. */
export function isChange(word: string): boolean {
  return /^(insert|update|delete|merge|replace)$/.test(word);
}

/** Whether statements do nothing but read, as far as their text tells: a function may do anything. */
export function isRead(statements: readonly Statement[]): boolean {
  return statements.every(({ words, sql }) => {
    const [first = '', second = ''] = words;
    // "select … into" makes a table, and "setval" is what a seed ends with.
    if (first === 'select') return !words.some((word) => /^(into|setval)$/.test(word));
    // "replace" is a function, too, and what writes has an "into" behind it.
    const isWriting = words.some((word) =>
      /^(into|setval|create|execute)$/.test(word) || (isChange(word) && word !== 'replace')
    );
    if (first === 'with') return !isWriting;
    if (first === 'explain') return !isWriting || !words.includes('analyze');
    if (first !== 'pragma') return /^(values|show|table)$/.test(first);
    if (words.some((word) => DEED.test(word))) return false;
    return !/[=(]/.test(sql) || (/_(list|info|xinfo|check)$/.test(second) && !sql.includes('='));
  });
}
