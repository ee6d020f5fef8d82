/**
 * What counts in a checksum, and what does not. These need no database.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { checksumOf } from '../../../src/plan_data.ts';
import type { Dialect } from '../../../src/sql_text.ts';

/** Texts of one or both dialects that are the same schema, or are not. */
interface Texts {
  readonly name: string;
  /** Default: both. */
  readonly dialect?: Dialect;
  readonly same?: readonly string[];
  readonly different?: readonly string[];
}

const TEXTS: readonly Texts[] = [
  {
    name: 'line endings, trailing space, indentation and final semicolons do not count',
    same: [
      'create table a (id integer)',
      'create table a\n(id integer)',
      'create\r\ntable a (id integer)\r\n',
      '  create table a ( id integer )  ',
      'create table a (id integer);',
      'create table a (id integer) ;\n;\n',
      '\tcreate table a(id integer)',
    ],
  },
  {
    name: 'comments do not count',
    same: [
      'create table a (id integer)',
      '-- one\ncreate table a (id integer)',
      'create table a (id integer) -- one',
      'create table a (id integer) -- one\r\n',
      'create /* two */ table a (id /* ; \' " */ integer)',
      'create/**/table a (id integer)',
      'create table a (id integer) /* never closed',
      "create table a (id integer) -- it's",
    ],
  },
  {
    name: 'what comes after a comment that ends does',
    different: [
      'create table a (id integer)',
      '-- one\ncreate table a (id integer, b text)',
      'create table a (id integer -- , b text\n, c text)',
      '/* one */ create table a (id integer) /* two */ strict',
    ],
  },
  {
    name: 'words, names and numbers count, and so does the case that they are in',
    different: [
      'create table a (id integer)',
      'create table b (id integer)',
      'create table A (id integer)',
      'CREATE TABLE a (id integer)',
      'create table a (id int eger)',
      'create table a (id integer default 1)',
      'create table a (id integer default 2)',
      'create table a (id integer default 12)',
    ],
  },
  {
    name: 'a string counts to the letter, even if it looks like a comment',
    different: [
      `insert into a values ('-- x')`,
      `insert into a values ('-- y')`,
      `insert into a values ('')`,
      `insert into a values ('/* x */')`,
      `insert into a values ('/* y */')`,
      `insert into a values (' -- x')`,
      `insert into a values ('--  x')`,
      `insert into a values ('x\ny')`,
      `insert into a values ('x\r\ny')`,
      `insert into a values ('it''s -- x')`,
      `insert into a values ('it''s -- y')`,
      `insert into a values (';')`,
      `insert into a values (';;')`,
    ],
  },
  {
    name: 'a quoted identifier counts to the letter, even if it looks like a comment',
    different: [
      'create table "a -- x" (id integer)',
      'create table "a -- y" (id integer)',
      'create table "a" (id integer)',
      'create table a (id integer)',
      'create table "a "" -- x" (id integer)',
      'create table "a "" -- y" (id integer)',
      'create table "a  b" (id integer)',
      'create table "a b" (id integer)',
      'create table "/* a */" (id integer)',
      `create table "it's" (id integer)`,
    ],
  },
  {
    name: 'so do the other quotes of SQLite',
    dialect: 'sqlite',
    different: [
      'create table `a -- x` (id integer)',
      'create table `a -- y` (id integer)',
      'create table [a -- x] (id integer)',
      'create table [a -- y] (id integer)',
      'create table `a``; -- x` (id integer)',
      "create table [it's] (id integer)",
    ],
  },
  {
    name: 'a string of SQLite has no backslashes: what follows it is a comment',
    dialect: 'sqlite',
    same: [`insert into a values ('x\\') -- one')`, `insert into a values ('x\\') -- two')`],
  },
  {
    name: 'comments of SQLite do not nest',
    dialect: 'sqlite',
    same: ['/* one /* two */ create table a (id integer)', 'create table a (id integer)'],
    different: [
      '/* /* */ create table a (id integer) -- */',
      '/* /* */ */ create table a (id integer)',
    ],
  },
  {
    name: 'comments of Postgres nest',
    dialect: 'postgres',
    same: [
      '/* one /* two */ ; three */ create table a (id integer)',
      '/* /* /* */ */ -- */ create table a (id integer)',
      'create table a /* /**/ (b text) */ (id integer)',
      'create table a (id integer)',
    ],
    different: ['/* /* */ create table a (id integer) */ select 1', 'create table a (id integer)'],
  },
  {
    name: 'a dollar-quoted string counts to the letter',
    dialect: 'postgres',
    different: [
      'select $$ -- x $$',
      'select $$ -- y $$',
      'select $$ ; $$',
      'select $a$ -- x $$ $a$',
      'select $a$ -- y $$ $a$',
      'select $a$ /* x */ $a$',
      'select $a$ /* y */ $a$',
      'select $A$ -- x $a$ $A$',
      "select $$ it's $$",
      'select $$  x$$',
      'select $$ x$$',
      'select $$\nx$$',
    ],
  },
  {
    name: 'and ends where it ends',
    dialect: 'postgres',
    same: ['select $a$ x $$ y $a$ -- one', 'select $a$ x $$ y $a$ -- two', 'select $a$ x $$ y $a$'],
    different: ['select $$ x $$, 1', 'select $$ x $$, 2'],
  },
  {
    name: 'a dollar inside a word is no quote',
    dialect: 'postgres',
    same: ['select a$b$ -- one\n from t$b$', 'select a$b$ -- two\n from t$b$'],
  },
  {
    name: 'a string with escapes ends after them',
    dialect: 'postgres',
    different: [
      `insert into a values (E'it\\'s -- x')`,
      `insert into a values (E'it\\'s -- y')`,
      `insert into a values (e'\\\\') -- x\n, ('z')`,
    ],
    same: [`insert into a values (E'\\\\') -- x`, `insert into a values (E'\\\\') -- y`],
  },
  {
    name: 'a plain string of Postgres has no escapes',
    dialect: 'postgres',
    same: [`insert into a values ('x\\') -- one')`, `insert into a values ('x\\') -- two')`],
  },
];

/** The cases, for any test runner. */
export const CHECKSUM_CASES: readonly { name: string; run(): Promise<void> }[] = [
  ...TEXTS.flatMap(({ name, dialect, same, different }) =>
    (dialect ? [dialect] : ['sqlite', 'postgres'] as const).map((dialect) => ({
      name: `${name} [${dialect}]`,
      async run() {
        if (same) {
          assert.equal((await sums(same, dialect)).size, 1, show(same, await all(same, dialect)));
        }
        if (!different) return;
        assert.equal(
          (await sums(different, dialect)).size,
          different.length,
          show(different, await all(different, dialect)),
        );
      },
    }))
  ),
  {
    name: 'it is the same however the statements are spread over texts',
    async run() {
      const [one, two] = ['create table a (id integer)', 'create table b (id integer)'];
      const spread = [[`${one};${two}`], [one, two], [`${one};`, '-- nothing', `\n${two}`, ';']];
      for (const dialect of ['sqlite', 'postgres'] as const) {
        const found = await Promise.all(
          spread.map((texts) => checksumOf(texts, dialect)),
        );
        assert.equal(new Set(found).size, 1);
        const other = await checksumOf([two, one], dialect);
        assert.notEqual(other, found[0]);
        assert.notEqual(await checksumOf([`${one} ${two}`], dialect), found[0]);
      }
    },
  },
  {
    name: 'the body of a trigger belongs to its statement',
    async run() {
      const trigger = (end: string) =>
        `create trigger t after insert on a begin update a set b = 1; delete from c${end}; end`;
      const found = await sums([trigger(''), trigger(' where d = 1')], 'sqlite');
      assert.equal(found.size, 2);
      const apart = await checksumOf(trigger('').split(';'), 'sqlite');
      assert.ok(!found.has(apart));
    },
  },
  {
    name: 'it is SHA-256 in hexadecimal, and stable from release to release',
    async run() {
      const sum = await checksumOf(['create table a (id integer)'], 'sqlite');
      const pieces = ['create', 'table', 'a', '(', 'id', 'integer', ')'];
      const text = new TextEncoder().encode(pieces.map((piece) => `${piece}\n`).join(''));
      const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', text));
      const expected = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('');
      assert.equal(sum, expected);
    },
  },
];

function all(texts: readonly string[], dialect: Dialect): Promise<string[]> {
  return Promise.all(texts.map((sql) => checksumOf([sql], dialect)));
}

async function sums(texts: readonly string[], dialect: Dialect): Promise<Set<string>> {
  return new Set(await all(texts, dialect));
}

function show(texts: readonly string[], found: readonly string[]): string {
  return texts.map((text, n) => `${found[n]!.slice(0, 8)} ${JSON.stringify(text)}`).join('\n');
}
