/**
 * Reading SQL text, with everything in it that looks like something else.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Dialect, isRead, refusalInUnit, statementsOf, tokens } from '../src/sql_text.ts';

const BOTH: readonly Dialect[] = ['sqlite', 'postgres'];

/** Texts of every kind, also broken ones. */
const TEXTS = [
  '',
  ' \n\t',
  'select 1',
  `select 'it''s', "a""b", \`c\`\`d\`, [e]`,
  `select 'never closed`,
  'select "never closed',
  '/* never closed',
  '/* a /* b */ c */ d',
  '-- one\r\n-- two',
  '$$body; commit$$ $tag$ $$ ; $tag$ $1 $2',
  `E'a\\'b' e'\\\\' U&'x'`,
  "select $1, ?, :name, @p1, a::text, b->>'c', 1e5, x'00'",
  '日本語 🚀 ;;;',
  '$never closed',
  '[never closed',
];

for (const dialect of BOTH) {
  test(`tokens of ${dialect}: joined, they are the text again`, () => {
    for (const text of TEXTS) {
      assert.equal(tokens(text, dialect).map((token) => token.text).join(''), text);
    }
  });
}

const KINDS: readonly (readonly [dialect: Dialect | 'both', sql: string, kinds: string])[] = [
  ['both', 'select', 'word'],
  ['both', `'a b'`, 'other'],
  ['both', `"a b"`, 'other'],
  ['both', '-- a', 'comment'],
  ['both', '/* a */', 'comment'],
  ['both', ';', 'other'],
  ['sqlite', '`a b`', 'other'],
  ['sqlite', '[a b]', 'other'],
  ['postgres', '$$a;b$$', 'other'],
  ['postgres', '$x$a$$b$x$', 'other'],
  ['postgres', `E'a\\'b'`, 'other'],
  ['postgres', '/* /* */ */', 'comment'],
  ['sqlite', '/* /* */', 'comment'],
  // Where the other dialect reads on.
  ['sqlite', `'a\\'`, 'other'],
  ['postgres', `'a\\'`, 'other'],
  ['both', 'a$b', 'word'],
];

for (const [dialect, sql, kind] of KINDS) {
  for (const one of dialect === 'both' ? BOTH : [dialect]) {
    test(`${sql} is one ${kind} in ${one}`, () => {
      assert.deepEqual(tokens(sql, one), [{ kind, text: sql }]);
    });
  }
}

test('statements end at semicolons, but not at those inside something', () => {
  const texts = (sql: string, dialect: Dialect) => statementsOf(sql, dialect).map((one) => one.sql);
  for (const dialect of BOTH) {
    assert.deepEqual(texts(`select 1; select ';' /* ; */ ;; -- ;`, dialect), [
      'select 1',
      `select ';' /* ; */`,
    ]);
  }
  assert.deepEqual(texts('do $$ begin; end $$; select 1', 'postgres'), [
    'do $$ begin; end $$',
    'select 1',
  ]);
  const trigger = `create trigger a after insert on b begin
    select case when 1 then 'x' else 'y' end; delete from c;
  end`;
  assert.deepEqual(texts(`${trigger}; select 1;`, 'sqlite'), [trigger, 'select 1']);
  // A string with escapes goes on in the next line.
  const long = `select E'a'\n  'it\\'s; commit; '`;
  assert.deepEqual(texts(`${long}; select 2`, 'postgres'), [long, 'select 2']);
  const body = 'create function f() returns int begin atomic select 1; select 2; end';
  assert.deepEqual(texts(`${body}; select 3`, 'postgres'), [body, 'select 3']);
});

test('words are unquoted and in lower case', () => {
  assert.deepEqual(statementsOf(`SELECT "A", 'b', C -- d`, 'sqlite')[0]?.words, ['select', 'c']);
});

const REFUSED: readonly (readonly [dialect: Dialect | 'both', sql: string, word: string])[] = [
  ['both', 'begin', 'begin'],
  ['both', 'BEGIN TRANSACTION', 'begin'],
  ['both', 'commit;', 'commit'],
  ['both', 'end', 'end'],
  ['both', 'rollback to x', 'rollback'],
  ['both', 'savepoint x', 'savepoint'],
  ['both', 'release x', 'release'],
  ['postgres', 'abort', 'abort'],
  ['postgres', 'start transaction', 'start'],
  ['postgres', `prepare transaction 'x'`, 'prepare'],
  ['both', '-- hidden\ncommit', 'commit'],
  ['both', '/* hidden */commit', 'commit'],
  ['both', '/**/ ; /* ; */ commit', 'commit'],
  ['both', 'select 1; commit', 'commit'],
  ['both', `select ';'; commit`, 'commit'],
  ['both', `select 'it''s'; commit`, 'commit'],
  ['both', `select '\\'; commit --'`, 'commit'],
  ['both', 'select "a;"; commit', 'commit'],
  ['postgres', '/* /* */ commit; */ commit', 'commit'],
  ['sqlite', '/* /* */ commit', 'commit'],
  ['sqlite', 'select `;`; commit', 'commit'],
  ['sqlite', 'select [;]; commit', 'commit'],
  ['postgres', 'do $$ begin end $$; commit', 'commit'],
  ['postgres', 'select $a$ $$ $a$; commit', 'commit'],
  ['postgres', `select E'\\''; commit`, 'commit'],
  ['postgres', `select E'a' -- more\n -- and more\n '\\'' ; commit; select 'b' -- '`, 'commit'],
  // A line ends at a carriage return, too.
  ['postgres', '-- hidden\rcommit', 'commit'],
  [
    'sqlite',
    'create trigger a after insert on b begin select case when 1 then 2 end; end; commit',
    'commit',
  ],
  [
    'sqlite',
    'create trigger a after insert on b when case when 1 then 1 end begin delete from c; end; commit',
    'commit',
  ],
  // Names that look like the start of a body.
  ['both', 'create table "trigger" (id integer); begin', 'begin'],
  ['sqlite', 'create table function (begin integer); commit', 'commit'],
  ['both', 'create view v as select 1 as trigger; begin; commit', 'begin'],
  ['both', 'vacuum', 'vacuum'],
  ['sqlite', 'pragma foreign_keys = off', 'pragma foreign_keys'],
  ['sqlite', 'PRAGMA foreign_keys(0);', 'pragma foreign_keys'],
  ['sqlite', 'select 1; pragma main.journal_mode = wal', 'pragma journal_mode'],
  ['sqlite', 'pragma "foreign_keys" = off', 'pragma foreign_keys'],
  ['sqlite', 'pragma main.[journal_mode](wal)', 'pragma journal_mode'],
  ['sqlite', 'create trigger a after insert on b begin end; commit', 'commit'],
  [
    'sqlite',
    'create trigger a after update of begin, c on b begin delete from d; end; commit',
    'commit',
  ],
  ['postgres', 'create procedure a() begin atomic end; commit', 'commit'],
  [
    'postgres',
    'create function a() returns int begin atomic select t.begin; end; commit',
    'commit',
  ],
  ['postgres', 'create database x', 'create database'],
  ['postgres', 'create unique index concurrently a on b (c)', 'concurrently'],
  ['postgres', 'drop index concurrently a', 'concurrently'],
  ['postgres', 'reindex (verbose) table concurrently a', 'concurrently'],
];

for (const [dialect, sql, word] of REFUSED) {
  for (const one of dialect === 'both' ? BOTH : [dialect]) {
    test(`refused in a unit of ${one}: ${JSON.stringify(sql)}`, () => {
      const reason = refusalInUnit(statementsOf(sql, one));
      assert.ok(reason?.startsWith(`"${word}"`), String(reason));
    });
  }
}

test('what cannot run in a transaction comes with the advice to use a lease', () => {
  for (const sql of ['vacuum', 'create index concurrently a on b (c)', 'drop database x']) {
    assert.match(refusalInUnit(statementsOf(sql, 'postgres')) ?? '', /'lease'/);
  }
  assert.doesNotMatch(refusalInUnit(statementsOf('commit', 'postgres')) ?? '', /'lease'/);
});

const ALLOWED: readonly (readonly [dialect: Dialect | 'both', sql: string])[] = [
  ['both', ''],
  ['both', '-- commit'],
  ['both', '/* commit; */ select 1'],
  ['both', `insert into a values ('; commit;')`],
  ['both', 'create table "commit" ("begin" integer, "end" integer)'],
  ['both', 'select case when 1 = 1 then 2 end'],
  ['both', 'select 1 as commit'],
  ['both', 'update a set b = case c when 1 then 2 end; delete from d'],
  ['sqlite', 'create table [commit] ([;begin] integer)'],
  [
    'sqlite',
    'create trigger a after insert on b begin select case when 1 then 2 end; delete from c; end',
  ],
  [
    'sqlite',
    'CREATE TEMP TRIGGER a AFTER INSERT ON b FOR EACH ROW BEGIN UPDATE c SET d = 1; END;',
  ],
  [
    'sqlite',
    'create trigger a after insert on b begin update b set c = case when 1 then new.begin end; end',
  ],
  [
    'postgres',
    'create function a() returns date begin atomic select case when true then b.begin end from b; end',
  ],
  ['sqlite', 'pragma foreign_keys'],
  ['sqlite', 'pragma defer_foreign_keys = on'],
  ['sqlite', 'pragma foreign_key_check(a)'],
  ['postgres', 'do $$ begin commit; end $$'],
  ['postgres', 'create function a() returns void language plpgsql as $f$ begin null; end $f$'],
  ['postgres', 'create function a() returns int begin atomic select 1; end; select 1'],
  ['postgres', '/* /* */ commit; */ select 1'],
  ['postgres', `select E'\\'; commit; --'`],
  ['postgres', 'refresh materialized view concurrently a'],
  ['postgres', 'prepare a as select 1'],
  ['postgres', 'prepare transactions as select 1'],
  ['both', 'create table concurrent (id integer)'],
];

for (const [dialect, sql] of ALLOWED) {
  for (const one of dialect === 'both' ? BOTH : [dialect]) {
    test(`allowed in a unit of ${one}: ${JSON.stringify(sql)}`, () => {
      assert.equal(refusalInUnit(statementsOf(sql, one)), undefined);
    });
  }
}

const READS: readonly (readonly [sql: string, reads: boolean])[] = [
  ['with a as (select b from c) select b from a', true],
  ['with a as (select b from c for update) select b from a', true],
  ['with a as (select b from c for /* */ no key update skip locked) select b from a', true],
  [`with a as (select b from c where key = 'd') update e set f = a.b from a`, false],
  ['with a as (select b from c where key = $1) update e set f = a.b from a', false],
  ['with a as (select key, b from c group by key) update e set f = a.b from a', false],
  ['with a as (select key from c order by key) delete from e using a', false],
  ['with a as (select substring(b from 1 for 3) from c) update e set f = 1 from a', false],
  [`with a as (select "key" from c) update e set f = 1 from a`, false],
];

for (const [sql, reads] of READS) {
  test(`${reads ? 'reads' : 'writes'}: ${sql}`, () => {
    for (const dialect of BOTH) assert.equal(isRead(statementsOf(sql, dialect)), reads, dialect);
  });
}

test('a literal that a runtime cannot read to its end is told, never cut', () => {
  // Measured: Bun stops in it without a word, and V8 throws at more than 3.3 million quotes.
  const text = `select E'${"''".repeat(1_000_000)}'; commit`;
  try {
    assert.equal(statementsOf(text, 'postgres').length, 2);
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error));
  }
});

test('a text of a megabyte is read in good time', () => {
  const startedAt = performance.now();
  const rows = Array.from({ length: 20_000 }, (_, n) => `insert into a values (${n}, 'it''s; x');`);
  for (const dialect of BOTH) assert.equal(statementsOf(rows.join('\n'), dialect).length, 20_000);
  const strings = `select '${"''".repeat(200_000)}', "${'""'.repeat(200_000)}"`;
  for (const dialect of BOTH) {
    assert.equal(refusalInUnit(statementsOf(strings, dialect)), undefined);
  }
  assert.ok(performance.now() - startedAt < 20_000);
});
