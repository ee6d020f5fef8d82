/**
 * Reading SQL text: just enough of it to tell statements, comments and strings apart.
 *
 * @module
 */

/** The two families of SQL that the library speaks. */
export type Dialect = 'sqlite' | 'postgres';

/** A piece of SQL text. */
export interface Token {
  /** `quoted` is a quoted identifier, `symbol` any other single character. */
  readonly kind: 'word' | 'quoted' | 'string' | 'parameter' | 'comment' | 'space' | 'symbol';
  /** The piece as it is written. */
  readonly text: string;
}

type Rules = readonly (readonly [Token['kind'], RegExp])[];

const WORD = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const STRING = /'(?:[^']|'')*(?:'|$)/y;
const IDENTIFIER = /"(?:[^"]|"")*(?:"|$)/y;

const RULES: Readonly<Record<Dialect, Rules>> = {
  sqlite: [
    ['space', /\s+/y],
    ['comment', /--[^\n]*/y],
    ['comment', /\/\*[^]*?(?:\*\/|$)/y],
    ['string', STRING],
    ['quoted', IDENTIFIER],
    ['quoted', /`(?:[^`]|``)*(?:`|$)/y],
    ['quoted', /\[[^\]]*(?:\]|$)/y],
    ['parameter', /\?\d*/y],
    ['word', WORD],
  ],
  postgres: [
    ['space', /\s+/y],
    ['comment', /--[^\n\r]*/y],
    ['parameter', /\$\d+/y],
    ['string', /[eE]'(?:[^'\\]|''|\\[^])*(?:'|$)/y],
    ['string', STRING],
    ['string', /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[^]*?(?:\$\1\$|$)/y],
    ['quoted', IDENTIFIER],
    ['word', WORD],
  ],
};

/** Splits SQL into its pieces; joined, their texts are the SQL again. */
export function* tokens(sql: string, dialect: Dialect): Generator<Token> {
  for (let at = 0; at < sql.length;) {
    const token = tokenAt(sql, at, dialect);
    yield token;
    at += token.text.length;
  }
}

function tokenAt(sql: string, at: number, dialect: Dialect): Token {
  if (dialect === 'postgres' && sql.startsWith('/*', at)) {
    return { kind: 'comment', text: sql.slice(at, endOfNestedComment(sql, at)) };
  }
  for (const [kind, rule] of RULES[dialect]) {
    rule.lastIndex = at;
    const match = rule.exec(sql);
    if (match) return { kind, text: match[0] };
  }
  return { kind: 'symbol', text: sql.charAt(at) };
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

/** One statement of a text. */
export interface Statement {
  /** As it is written, without the semicolon behind it. */
  readonly sql: string;
  /** Its unquoted words in lower case. */
  readonly words: readonly string[];
}

/**
 * The statements of a text. The body of a trigger or of an SQL-standard function belongs to its
 * statement, semicolons and all. What holds nothing but comments is none.
 */
export function statementsOf(text: string, dialect: Dialect): Statement[] {
  const statements: Statement[] = [];
  let sql = '';
  let words: string[] = [];
  let depth = 0;
  const end = () => {
    if (words.length) statements.push({ sql: sql.trim(), words });
    sql = '';
    words = [];
  };
  for (const token of tokens(text, dialect)) {
    if (token.text === ';' && depth === 0) {
      end();
      continue;
    }
    sql += token.text;
    if (token.kind !== 'word') continue;
    const word = token.text.toLowerCase();
    if (word === 'begin' ? depth > 0 || hasBody(words) : word === 'case' && depth > 0) depth++;
    else if (word === 'end' && depth > 0) depth--;
    words.push(word);
  }
  end();
  return statements;
}

function hasBody(words: readonly string[]): boolean {
  return /^create (or replace )?(temp |temporary )?(trigger|function|procedure) /.test(
    `${words.slice(0, 5).join(' ')} `,
  );
}

const CONTROL = new Set([
  'begin',
  'commit',
  'end',
  'rollback',
  'abort',
  'savepoint',
  'release',
  'start transaction',
  'prepare transaction',
]);

/**
 * Why a text cannot be part of one transaction that the library has begun, as the rest of a
 * sentence about it; undefined if it can. Measured: a `commit` in the middle of a unit commits
 * half of it, and nothing afterwards notices.
 */
export function refusalInUnit(sql: string, dialect: Dialect): string | undefined {
  for (const { words } of statementsOf(sql, dialect)) {
    const [first = '', second = ''] = words;
    const control = CONTROL.has(first) ? first : CONTROL.has(`${first} ${second}`) ? first : '';
    if (control) {
      return `"${control}" would split the unit that the schema is installed in. Leave it out: ` +
        `the whole ddl is one transaction already`;
    }
    const outside = first === 'vacuum'
      ? first
      : /^(create|drop) database$/.test(`${first} ${second}`)
      ? `${first} ${second}`
      : /^(create|drop|reindex)$/.test(first) && words.slice(1, 5).includes('concurrently')
      ? 'concurrently'
      : '';
    if (outside) {
      return `"${outside}" cannot run in a transaction. Use strategy 'lease' with idempotent DDL, ` +
        `or run it after the install`;
    }
  }
  return undefined;
}

/** Whether a word begins a change of rows. */
export function isChange(word: string): boolean {
  return /^(insert|update|delete|merge|replace)$/.test(word);
}

/** Whether statements do nothing but read. */
export function isRead(statements: readonly Statement[]): boolean {
  return statements.every(({ words, sql }) =>
    /^(select|values|show|explain|table)$/.test(words[0]!) ||
    (words[0] === 'with' && !words.some(isChange)) ||
    (words[0] === 'pragma' && !sql.includes('='))
  );
}
