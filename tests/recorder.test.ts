/**
 * The recorder: what Kysely's builders come to as statements, and what cannot be recorded. No
 * database is involved, so anything that was sent would be an error.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { CamelCasePlugin, CompiledQuery, Kysely, ParseJSONResultsPlugin, sql } from 'kysely';

import {
  type AtomicBatch,
  type BatchStatement,
  bootstrapSchema,
  createBootstrap,
  type Dialect,
  NotRecordableError,
  planSchema,
  SchemaError,
  StatementRefusedError,
} from '../mod.ts';
import { offline, offlineConfig } from './support/offline.ts';

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;
type Ddl = (db: Db) => unknown;

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres'];

/** Records a DDL. */
async function recorded(ddl: Ddl, db: Db | Dialect = 'sqlite'): Promise<BatchStatement[]> {
  const plan = await planSchema(typeof db === 'string' ? offline(db) : db, ddl);
  return plan.statements.map(({ sql, parameters }) => ({ sql, parameters }));
}

/** Records a DDL that has no parameters. */
async function texts(ddl: Ddl, db?: Db | Dialect): Promise<string[]> {
  const statements = await recorded(ddl, db);
  for (const { parameters } of statements) assert.deepEqual(parameters, []);
  return statements.map((statement) => statement.sql);
}

/** Fails unless a DDL is refused as not recordable, with every part in the message. */
async function assertRefused(
  ddl: Ddl,
  parts: readonly string[],
  db: Db | Dialect = 'sqlite',
): Promise<NotRecordableError> {
  let thrown: unknown;
  const { batch, sent } = countingBatch();
  const given = typeof db === 'string' ? offline(db) : db;
  // Through the library itself, so that what the batch has been sent is known.
  const config = { version: '0001', ddl, batch, assumeFresh: true };
  await bootstrapSchema(given, config).catch((error) => thrown = error);
  assert.ok(thrown instanceof NotRecordableError, `${thrown}`);
  // What prints an error shows what is its own.
  assert.equal(Object.entries(thrown).find(([name]) => name === 'code')?.[1], 'NOT_RECORDABLE');
  for (const part of parts) assert.ok(thrown.message.includes(part), thrown.message);
  assert.deepEqual(sent, []);
  return thrown;
}

async function assertStatementRefused(
  text: string,
  word: string,
  dialect: Dialect = 'sqlite',
): Promise<void> {
  let thrown: unknown;
  const { batch, sent } = countingBatch();
  const ddl = async (db: Db) => {
    await table(db);
    await sql.raw(text).execute(db);
  };
  const config = { version: '0001', ddl, batch, assumeFresh: true };
  await bootstrapSchema(offline(dialect), config).catch((error) => thrown = error);
  assert.ok(thrown instanceof StatementRefusedError, `${text}: ${thrown}`);
  assert.equal(thrown.code, 'STATEMENT_REFUSED');
  assert.equal(thrown.sql, text);
  assert.ok(thrown.message.includes(`"${word}"`), thrown.message);
  assert.deepEqual(sent, []);
}

function countingBatch(): { batch: AtomicBatch; sent: (readonly BatchStatement[])[] } {
  const sent: (readonly BatchStatement[])[] = [];
  return {
    sent,
    batch: {
      database: {},
      execute: (statements) => {
        sent.push(statements);
        return Promise.resolve(statements.map(() => []));
      },
    },
  };
}

/** Runs `use` on a clock that stands still, from 0 on, unless it is set. */
async function atTimes(use: (setTime: (ms: number) => void) => Promise<void>): Promise<void> {
  const real = performance.now;
  let now = 0;
  performance.now = () => now;
  try {
    await use((ms) => now = ms);
  } finally {
    performance.now = real;
  }
}

function table(db: Db, name = 'person'): Promise<void> {
  return db.schema.createTable(name)
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('firstName', 'text').execute();
}

// What can be recorded.

for (const dialect of DIALECTS) {
  const mark = (n: number) => dialect === 'sqlite' ? '?' : `$${n}`;

  test(`${dialect}: every kind of DDL, in order`, async () => {
    const ddl = async (db: Db) => {
      await table(db);
      await db.schema.alterTable('person').addColumn('age', 'integer').execute();
      await db.schema.alterTable('person').renameTo('people').execute();
      await db.schema.createIndex('by_age').on('people').column('age').execute();
      await db.schema.createView('adults').as(
        db.selectFrom('people').select('id').where('age', '>', sql.lit(17)),
      ).execute();
      await db.schema.dropIndex('by_age').execute();
      await sql`comment on table people is 'it''s them'`.execute(db);
      await db.executeQuery(CompiledQuery.raw('drop view adults'));
    };
    const serial = '"id" integer primary key, "firstName" text';
    assert.deepEqual(await texts(ddl, dialect), [
      `create table "person" (${serial})`,
      'alter table "person" add column "age" integer',
      'alter table "person" rename to "people"',
      'create index "by_age" on "people" ("age")',
      'create view "adults" as select "id" from "people" where "age" > 17',
      'drop index "by_age"',
      `comment on table people is 'it''s them'`,
      'drop view adults',
    ]);
  });

  test(`${dialect}: writes with parameters, of builders and of raw SQL`, async () => {
    const when = new Date(0);
    const bytes = new Uint8Array([0, 255]);
    const ddl = async (db: Db) => {
      await db.insertInto('t').values([{ a: 1, b: "it's" }, { a: 2, b: null }]).execute();
      await db.updateTable('t').set({ b: when }).where('a', '=', 3n).executeTakeFirst();
      await db.deleteFrom('t').where('a', 'in', [4, 5]).execute();
      await sql`insert into t values (${6}, ${bytes})`.execute(db);
      await db.insertInto('t').columns(['a']).expression(db.selectFrom('u').select('a')).execute();
      await db.insertInto('t').values({ a: 7 }).onConflict((it) => it.column('a').doNothing())
        .execute();
    };
    const statements: BatchStatement[] = [];
    const batch: AtomicBatch = {
      database: {},
      execute: (sent) => {
        statements.push(...sent);
        return Promise.resolve(sent.map(() => []));
      },
    };
    await bootstrapSchema(offline(dialect), { version: '1', ddl, batch, assumeFresh: true });
    const own = statements.findIndex((statement) => statement.sql.startsWith('insert into "t"'));
    // The last one for Postgres gives the session its search_path back.
    assert.deepEqual(statements.slice(own, dialect === 'postgres' ? -1 : undefined), [
      {
        sql: `insert into "t" ("a", "b") values (${mark(1)}, ${mark(2)}), (${mark(3)}, ${mark(4)})`,
        parameters: [1, "it's", 2, null],
      },
      {
        sql: `update "t" set "b" = ${mark(1)} where "a" = ${mark(2)}`,
        parameters: [when, 3n],
      },
      { sql: `delete from "t" where "a" in (${mark(1)}, ${mark(2)})`, parameters: [4, 5] },
      { sql: `insert into t values (${mark(1)}, ${mark(2)})`, parameters: [6, bytes] },
      { sql: 'insert into "t" ("a") select "a" from "u"', parameters: [] },
      {
        sql: `insert into "t" ("a") values (${mark(1)}) on conflict ("a") do nothing`,
        parameters: [7],
      },
    ]);
  });

  test(`${dialect}: nested transactions are part of the unit, but for those rolled back`, async () => {
    const failure = new Error('on purpose');
    const ddl = async (db: Db) => {
      await table(db, 'a');
      await db.transaction().execute(async (trx) => {
        assert.equal(trx.isTransaction, true);
        await table(trx, 'b');
      });
      const rejected = db.transaction().execute(async (trx) => {
        await table(trx, 'never');
        throw failure;
      });
      await assert.rejects(rejected, failure);
      await db.transaction().setIsolationLevel('serializable').execute((trx) => table(trx, 'c'));
      await db.connection().execute((one) => table(one, 'd'));
      await table(db, 'e');
    };
    const names = (await texts(ddl, dialect)).map((text) => /"(\w)"/.exec(text)?.[1]);
    assert.deepEqual(names, ['a', 'b', 'c', 'd', 'e']);
  });

  test(`${dialect}: the caller's plugins and schema are in the SQL`, async () => {
    const camel = offline(dialect).withPlugin(new CamelCasePlugin());
    const json = offline(dialect).withPlugin(new ParseJSONResultsPlugin());
    const placed = offline(dialect).withSchema('tenant');
    const both = placed.withPlugin(new CamelCasePlugin()).withPlugin(new ParseJSONResultsPlugin());
    const rest = (name: string) => `("id" integer primary key, "${name}" text)`;
    const ddl = async (db: Db) => {
      await table(db, 'aTable');
      await db.insertInto('aTable').values({ firstName: 'x' }).execute();
    };
    for (
      const [db, name, column] of [
        [camel, '"a_table"', 'first_name'],
        [json, '"aTable"', 'firstName'],
        [placed, '"tenant"."aTable"', 'firstName'],
        [both, '"tenant"."a_table"', 'first_name'],
      ] as const
    ) {
      assert.deepEqual(await recorded(ddl, db), [
        { sql: `create table ${name} ${rest(column)}`, parameters: [] },
        { sql: `insert into ${name} ("${column}") values (${mark(1)})`, parameters: ['x'] },
      ]);
    }
  });

  test(`${dialect}: a subclass with a constructor of its own`, async () => {
    class OurDatabase extends Kysely<Record<string, Record<string, unknown>>> {
      readonly #name: string;
      constructor(name: string, dialect: Dialect) {
        if (typeof name !== 'string') throw new TypeError('a name is needed');
        super(offlineConfig(dialect));
        this.#name = name;
      }
      get name(): string {
        return this.#name;
      }
    }
    const db = new OurDatabase('ours', dialect);
    assert.equal((await texts(async (db) => await table(db), db)).length, 1);
  });

  test(`${dialect}: a proxy that stands for an instance`, async () => {
    const db = new Kysely<Record<string, Record<string, unknown>>>(offlineConfig(dialect));
    // As of a module whose connection is made at the first use.
    const proxy = new Proxy({}, {
      get(_, name) {
        const value: unknown = Reflect.get(db, name, db);
        return typeof value === 'function' ? value.bind(db) : value;
      },
    }) as typeof db;
    assert.equal((await texts(async (db) => await table(db), proxy)).length, 1);
  });

  test(`${dialect}: what a write would have answered may go unused`, async () => {
    const ddl = async (db: Db) => {
      await db.insertInto('t').values({ a: 1 }).execute();
      const { insertId: _, numInsertedOrUpdatedRows: __ } = await db.insertInto('t')
        .values({ a: 2 }).executeTakeFirstOrThrow();
      await db.updateTable('t').set({ a: 3 }).executeTakeFirstOrThrow();
      await db.deleteFrom('t').executeTakeFirstOrThrow();
      const raw = await sql`insert into t values (4)`.execute(db);
      assert.deepEqual(raw.rows, []);
    };
    assert.equal((await recorded(ddl, dialect)).length, 5);
  });
}

// What cannot be recorded.

const READS: Readonly<Record<string, [Ddl, string]>> = {
  'a select': [(db) => db.selectFrom('t').selectAll().execute(), 'select * from "t"'],
  'a select of one row': [
    (db) => db.selectFrom('t').select('a').executeTakeFirst(),
    'select "a" from "t"',
  ],
  'a with': [
    (db) =>
      db.with('c', (db) => db.selectFrom('t').selectAll()).selectFrom('c').selectAll().execute(),
    'with "c" as',
  ],
  'returning of an insert': [
    (db) => db.insertInto('t').values({ a: sql.lit(1) }).returning('id').execute(),
    'returning "id"',
  ],
  'returning of an update': [
    (db) => db.updateTable('t').set({ a: sql.lit(1) }).returningAll().execute(),
    'returning *',
  ],
  'returning of a delete': [
    (db) => db.deleteFrom('t').returning('id').executeTakeFirst(),
    'delete from "t" returning',
  ],
  'a raw select': [(db) => sql`select count(*) from t`.execute(db), 'select count(*)'],
  'a raw select behind a comment': [
    (db) => sql`/* how many */ -- of them\n select 1`.execute(db),
    'select 1',
  ],
  'raw values': [(db) => sql`values (1)`.execute(db), 'values (1)'],
  'a raw with': [(db) => sql`with c as (select 1) select * from c`.execute(db), 'with c as'],
  'raw returning': [
    (db) => sql`insert into t values (1) returning id`.execute(db),
    'returning id',
  ],
  'raw returning of several': [
    (db) => sql`create table t (id int); insert into t values (1) returning id`.execute(db),
    'returning id',
  ],
  'an explain': [(db) => sql`explain select 1`.execute(db), 'explain select 1'],
  'a compiled select': [
    (db) => db.executeQuery(db.selectFrom('t').selectAll().compile()),
    'select * from "t"',
  ],
  'a stream': [
    async (db) => {
      for await (const _ of db.selectFrom('t').selectAll().stream()) assert.fail('a row');
    },
    'select * from "t"',
  ],
};

const WAYS_OUT = ['shadow', `'transaction'`, `'lease'`, 'nothing of it was sent'];

for (const [name, [ddl, part]] of Object.entries(READS)) {
  test(`refused: ${name}, by the name of the statement and with the way out`, async () => {
    for (const dialect of DIALECTS) {
      const error = await assertRefused(
        async (db) => {
          await table(db);
          await ddl(db);
        },
        [part, ...WAYS_OUT],
        dialect,
      );
      assert.ok(error.sql?.includes(part), String(error.sql));
    }
  });
}

for (const what of ['getTables', 'getSchemas'] as const) {
  test(`refused: an introspection, ${what}(), which is no statement of the ddl’s own`, async () => {
    for (const dialect of DIALECTS) {
      const ddl = async (db: Db) => {
        await table(db);
        await db.introspection[what]();
      };
      const error = await assertRefused(ddl, ['introspects', ...WAYS_OUT], dialect);
      assert.equal(error.sql, undefined);
    }
  });
}

test('a text without a statement is none, and nothing is asked', async () => {
  for (const text of ['\n', '-- nothing', '/* nothing */;']) {
    const ddl = async (db: Db) => {
      await table(db);
      assert.deepEqual((await sql.raw(text).execute(db)).rows, []);
    };
    assert.equal((await texts(ddl)).length, 1, text);
  }
});

test('refused: a pragma that asks; one that sets, or does something, is recorded', async () => {
  await assertRefused((db) => sql`pragma table_info('t')`.execute(db), ['table_info']);
  await assertRefused((db) => sql`pragma user_version`.execute(db), ['user_version']);
  assert.deepEqual(await texts((db) => sql`pragma user_version = 3`.execute(db)), [
    'pragma user_version = 3',
  ]);
  assert.deepEqual(await texts((db) => sql`pragma main.optimize`.execute(db)), [
    'pragma main.optimize',
  ]);
});

test('refused: a swallowed refusal does not make the ddl recordable unnoticed', async () => {
  await assertRefused(async (db) => {
    await table(db);
    await db.selectFrom('t').selectAll().execute().catch(() => []);
  }, ['select * from "t"']);
  for (const text of ['vacuum', 'insert into t values (?); insert into t values (?)']) {
    const recording = recorded(async (db) => {
      await table(db);
      await db.executeQuery(CompiledQuery.raw(text, text.includes('?') ? [1, 2] : [])).catch(
        () => {},
      );
    }, 'sqlite');
    await assert.rejects(recording, { name: 'StatementRefusedError' });
  }
});

/** The ways in which somebody may use what a write would have answered. */
const USES: Readonly<Record<string, (value: unknown, db: Db) => unknown>> = {
  'Number()': (value) => Number(value),
  'BigInt()': (value) => BigInt(value as number),
  'String()': (value) => String(value),
  'a template': (value) => `id ${value}`,
  'adding': (value) => (value as number) + 1,
  'comparing': (value) => (value as number) > 0,
  '== of a number': (value) => value == 1,
  'a property': (value) => (value as { toString: unknown }).toString,
  'a call': (value) => (value as () => unknown)(),
  'in': (value) => 'a' in (value as object),
  'instanceof': (value) => value instanceof Date,
  'Object.keys()': (value) => Object.keys(value as object),
  'JSON': (value) => JSON.stringify({ value }),
  'spreading': (value) => [...(value as unknown[])],
  'spreading as an object': (value) => ({ ...(value as object) }),
  'await': async (value) => await value,
  'a parameter of a later statement': (value, db) =>
    db.insertInto('u').values({ owner: value }).execute(),
  'a parameter of a later condition': (value, db) =>
    db.updateTable('u').set({ a: sql.lit(1) }).where('owner', '=', value).execute(),
  'a parameter of raw SQL': (value, db) => sql`insert into u values (${value})`.execute(db),
  'a parameter of a compiled query': (value, db) =>
    db.executeQuery(CompiledQuery.raw('insert into u values (?)', [value])),
  'a literal of raw SQL': (value, db) => sql`insert into u values (${sql.lit(value)})`.execute(db),
};

/** Where an answer is kept: an async function that returned it would look at it. */
interface Box {
  value?: unknown;
}

const ANSWERS: Readonly<Record<string, (db: Db, box: Box) => Promise<void>>> = {
  insertId: async (db, box) => {
    const result = await db.insertInto('t').values({ a: 1 }).executeTakeFirstOrThrow();
    box.value = result.insertId;
  },
  'the count of an insert': async (db, box) => {
    const result = await db.insertInto('t').values({ a: 1 }).executeTakeFirstOrThrow();
    box.value = result.numInsertedOrUpdatedRows;
  },
  'the count of an update': async (db, box) => {
    const result = await db.updateTable('t').set({ a: 1 }).executeTakeFirstOrThrow();
    box.value = result.numUpdatedRows;
  },
  'the count of a delete': async (db, box) => {
    const result = await db.deleteFrom('t').where('a', '=', 1).executeTakeFirstOrThrow();
    box.value = result.numDeletedRows;
  },
  'the count of a merge': async (db, box) => {
    const result = await db.mergeInto('t').using('u', 'u.a', 't.a').whenMatched().thenDelete()
      .executeTakeFirstOrThrow();
    box.value = result.numChangedRows;
  },
  'the count of raw SQL': async (db, box) => {
    box.value = (await sql`delete from t`.execute(db)).numAffectedRows;
  },
  'insertId of raw SQL': async (db, box) => {
    box.value = (await sql`insert into t values (1)`.execute(db)).insertId;
  },
  'the rows of a raw "with" that changes something and then asks': async (db, box) => {
    box.value = (await sql`with gone as (delete from t) select 1 as n`.execute(db)).rows;
  },
  'the rows of the last of several raw statements': async (db, box) => {
    box.value = (await sql`create table t (a int); call t()`.execute(db)).rows;
  },
  'the rows of raw SQL that may have some': async (db, box) => {
    box.value = (await sql`call t()`.execute(db)).rows;
  },
};

for (const [answer, ask] of Object.entries(ANSWERS)) {
  test(`refused: ${answer}, in whatever way it is used`, async () => {
    for (const [use, put] of Object.entries(USES)) {
      let isAsked = false;
      const ddl = async (db: Db) => {
        const box: Box = {};
        await ask(db, box);
        isAsked = true;
        await put(box.value, db);
      };
      const error = await assertRefused(ddl, ['gets no answers', 'shadow']).catch((error) => {
        throw new Error(`${use}: ${error.message}`);
      });
      assert.ok(isAsked, use);
      assert.match(error.sql!, /"t"|\bt\b/, use);
    }
  });
}

test('nobody notices what JavaScript does not tell: identity, type and truth', async () => {
  const ddl = async (db: Db) => {
    const { insertId } = await db.insertInto('t').values({ a: 1 }).executeTakeFirstOrThrow();
    assert.ok(insertId !== undefined);
    assert.notEqual(typeof insertId, 'undefined');
    assert.equal(insertId ? 'some' : 'none', 'some');
    return [insertId] as unknown as void;
  };
  assert.equal((await recorded(ddl)).length, 1);
});

test('refused: a ddl that records nothing must have used another instance', async () => {
  const other = offline('sqlite');
  const error = await assertRefused((_) => {}, ['issued no statement', 'Use the instance']);
  assert.equal(error.sql, undefined);
  const compiling = (_: Db) => void other.schema.createTable('t').compile();
  await assertRefused(compiling, ['issued no statement']);
});

test('what stands behind the semicolon of a statement is not sent', async () => {
  const text = 'create table t (id integer)';
  assert.deepEqual(await texts((db) => sql.raw(`${text}; -- the end`).execute(db)), [text]);
});

test('what answers nothing is recorded, whatever a plugin does with its rows', async () => {
  const db = offline('postgres').withPlugin(new ParseJSONResultsPlugin());
  const body = `create function f() returns int begin atomic
    insert into t values (1) returning 1; end`;
  for (const text of ['do $$ begin end $$', body]) {
    assert.deepEqual(await texts((db) => sql.raw(text).execute(db), db), [text]);
  }
});

test('a select that writes is recorded, and nobody has its rows', async () => {
  for (const text of [`select setval('s', 1)`, 'select 1 as one into t']) {
    assert.deepEqual(await texts((db) => sql.raw(text).execute(db), 'postgres'), [text]);
    const reading = async (db: Db) => (await sql.raw(text).execute(db)).rows[0];
    await assertRefused(reading, [text, 'what it answers is used']);
  }
});

test('refused before it runs: a ddl that takes no parameter', async () => {
  const parts = ['declares no parameter (its length is 0)', 'Use the instance'];
  await assertRefused(() => assert.fail('it runs'), parts);
});

// What would split the unit.

const CONTROL = [
  ['begin', 'begin'],
  ['BEGIN IMMEDIATE', 'begin'],
  ['begin transaction', 'begin'],
  ['start transaction', 'start'],
  ['commit', 'commit'],
  ['Commit Transaction;', 'commit'],
  ['end', 'end'],
  ['end transaction', 'end'],
  ['rollback', 'rollback'],
  ['rollback to savepoint a', 'rollback'],
  ['savepoint a', 'savepoint'],
  ['release a', 'release'],
  ['release savepoint a', 'release'],
  ['abort', 'abort'],
  ["prepare transaction 'a'", 'prepare'],
  ['  \n\t commit', 'commit'],
  ['-- first a comment\ncommit', 'commit'],
  ['/* a comment */ commit', 'commit'],
  ['/* one */ /* two */ -- three\n /* four; */ rollback', 'rollback'],
  ['; ;commit', 'commit'],
  ['create table a (b int); commit; create table c (d int)', 'commit'],
  ["insert into t values ('it''s; begin'); commit", 'commit'],
  ['insert into "a;b" values (1) ; -- behind\n commit', 'commit'],
  ['vacuum', 'vacuum'],
] as const;

test('refused: transaction control, wherever it hides', async () => {
  for (const dialect of DIALECTS) {
    for (const [text, word] of CONTROL) await assertStatementRefused(text, word, dialect);
  }
  const trigger = 'create trigger a after insert on t begin select case when 1 then 2 end; end;';
  await assertStatementRefused(`${trigger} commit`, 'commit', 'sqlite');
  for (
    const [text, word] of [
      ['/* nested /* in */ a comment */ commit', 'commit'],
      ["select E'it\\'s; ' ; commit", 'commit'],
      ['do $$ begin null; end $$; commit', 'commit'],
      ['do $a$ begin $$ ; $$ end $a$; commit', 'commit'],
      ['create function f(begin date, "end" date) returns date return begin; commit', 'commit'],
      ['create function f() returns int begin atomic select e.end from e; end; commit', 'commit'],
      ['create index concurrently i on t (a)', 'concurrently'],
      ['create unique index concurrently i on t (a)', 'concurrently'],
      ['drop index concurrently i', 'concurrently'],
      ['create database d', 'create database'],
    ] as const
  ) await assertStatementRefused(text, word, 'postgres');
  for (
    const text of ['/* /* */ commit', 'insert into [a;b] values (1); commit', 'select `;`; commit']
  ) {
    await assertStatementRefused(text, 'commit', 'sqlite');
  }
});

test('not refused: what only looks like it', async () => {
  const harmless = [
    "insert into t values ('begin; commit; rollback')",
    'create table "commit" ("begin" int)',
    '/* commit; */ create table a (b int)',
    'create table a (b int) -- ; commit',
    'create table begin_of (commit_id int)',
    'alter table "end" add column "savepoint" int',
  ];
  for (const dialect of DIALECTS) {
    for (const text of harmless) {
      assert.deepEqual(await texts((db) => sql.raw(text).execute(db), dialect), [text]);
    }
  }
  for (
    const text of [
      'create function f() returns trigger as $$ begin commit; return new; end $$ language plpgsql',
      "create function f() returns int as 'begin; commit; end' language sql",
      'do $do$ begin perform 1; end $do$',
      "insert into t values (E'\\'; commit; --')",
      'create function f() returns int begin atomic select 1; select 2; end',
      'create function f() returns int begin atomic select e.end from e; select 2; end',
      'create rule r as on insert to a do also (insert into b values (1); delete from c)',
      'create table a (b int) /* ; /* commit */ ; */',
    ]
  ) assert.deepEqual(await texts((db) => sql.raw(text).execute(db), 'postgres'), [text]);
});

test('refused: two transactions at once, of which one may take the other back', async () => {
  await assertRefused(async (db) => {
    const one = db.transaction().execute(async (trx) => {
      await table(trx);
      await new Promise((resolve) => setTimeout(resolve, 10));
    });
    const two = db.transaction().execute((trx) => sql`create table two (id int)`.execute(trx));
    await Promise.all([one, two]);
  }, ['two transactions of the ddl overlap']);
});

test('refused: a savepoint of a transaction, as one in raw SQL', async () => {
  const ddl = async (db: Db) => {
    const trx = await db.startTransaction().execute();
    await table(trx);
    await trx.savepoint('one').execute();
  };
  await assert.rejects(recorded(ddl), (error) => {
    assert.ok(error instanceof StatementRefusedError);
    assert.match(error.message, /"savepoint" would split the unit/);
    return true;
  });
});

test('a batch is given texts and parameters, and nothing else', async () => {
  const keys = new Set<string>();
  const execute = (statements: readonly object[]) => {
    for (const one of statements) keys.add(Object.keys(one).join());
    return Promise.resolve(statements.map(() => []));
  };
  await bootstrapSchema(offline('sqlite'), {
    version: '0001',
    ddl: (db: Db) => db.schema.createTable('users').addColumn('id', 'integer').execute(),
    assumeFresh: true,
    batch: { database: {}, execute },
  });
  assert.deepEqual([...keys], ['sql,parameters']);
});

test('a batch without an answer is given up once its lease is over, not a lease later', async () => {
  const reason = new Error('never mind');
  const controller = new AbortController();
  const call = bootstrapSchema(offline('sqlite'), {
    version: '0001',
    ddl: (db: Db) => db.schema.createTable('users').addColumn('id', 'integer').execute(),
    assumeFresh: true,
    batch: { database: {}, execute: () => new Promise<never>(() => {}) },
    leaseMs: 1_000,
    signal: controller.signal,
  });
  const settled = call.catch((error) => error);
  await new Promise((resolve) => setTimeout(resolve, 900));
  controller.abort(reason);
  const later = new Promise((resolve) => setTimeout(resolve, 700, 'later'));
  assert.equal(await Promise.race([settled, later]), reason);
});

test('a caller who has waited long enough for a ddl that is recorded starts no cooldown', async () => {
  const { batch } = countingBatch();
  let isSlow = true;
  const ensure = createBootstrap({
    version: '0001',
    batch,
    assumeFresh: true,
    failureCooldownMs: 60_000,
    ddl: async (db: Db) => {
      if (isSlow) await new Promise((resolve) => setTimeout(resolve, 300));
      await table(db);
    },
  });
  const db = offline('sqlite');
  await assert.rejects(ensure(db, { signal: AbortSignal.timeout(30) }), { name: 'TimeoutError' });
  isSlow = false;
  assert.equal((await ensure(db)).outcome, 'installed');
});

test('unless told otherwise, the error of a ddl is kept for a second', () =>
  atTimes(async (setTime) => {
    const { batch } = countingBatch();
    let runs = 0;
    const ddl = (_: Db) => Promise.reject(new Error(`run ${++runs}`));
    const ensure = createBootstrap({ version: '0001', ddl, batch, assumeFresh: true });
    const db = offline('sqlite');
    for (const [at, message] of [[0, 'run 1'], [999, 'run 1'], [1_000, 'run 2']] as const) {
      setTime(at);
      await assert.rejects(ensure(db), { message });
    }
  }));

/** What a probe of an empty ledger answers. */
const NO_ROW = { name: null, clock: 1 };

test('the error that those get who come to the ddl later does not make that longer', () =>
  atTimes(async (setTime) => {
    let [runs, probes] = [0, 0];
    const ddl = (_: Db) => Promise.reject(new Error(`run ${++runs}`));
    const held = Promise.withResolvers<void>();
    const execute = async (statements: readonly unknown[]) => {
      if (++probes === 2) await held.promise;
      return statements.map(() => [NO_ROW]);
    };
    const ensure = createBootstrap({ version: '0001', ddl, batch: { database: {}, execute } });
    const db = offline('sqlite');
    const calls = [ensure(db), ensure(db)];
    await assert.rejects(calls[0]!, { message: 'run 1' });
    setTime(900);
    held.resolve();
    await assert.rejects(calls[1]!, { message: 'run 1' });
    setTime(1_000);
    await assert.rejects(ensure(db), { message: 'run 2' });
  }));

test('who waits for a claim as the ddl fails with another caller does not look again', async () => {
  const claim = { name: '0001', state: 'installing', owner: 'somebody', lease: 2, clock: 1 };
  let looks = 0;
  const execute = () => Promise.resolve([[++looks === 1 ? claim : NO_ROW]]);
  const broken = new Error('a broken schema');
  const ensure = createBootstrap({
    version: '0001',
    ddl: (_: Db) => Promise.reject(broken),
    batch: { database: {}, execute },
    failureCooldownMs: 60_000,
  });
  const db = offline('sqlite');
  const calls = [ensure(db), ensure(db)];
  for (const { reason } of await Promise.allSettled(calls) as PromiseRejectedResult[]) {
    assert.equal(reason, broken);
  }
  assert.equal(looks, 2);
});

test('a ddl that was recorded before is not blamed for the wait of a busy database', async () => {
  let runs = 0;
  const busy = new Error('SQLITE_BUSY: database is locked');
  const waiting = bootstrapSchema(offline('sqlite'), {
    version: '0001',
    waitTimeoutMs: 1_000,
    ddl: async (db: Db) => {
      if (++runs > 1) await new Promise(() => {});
      await db.schema.createTable('t').addColumn('id', 'integer').execute();
    },
    batch: {
      database: {},
      execute: (unit) => unit.length === 1 ? Promise.resolve([[NO_ROW]]) : Promise.reject(busy),
    },
  });
  await assert.rejects(waiting, { name: 'WaitTimeoutError', cause: busy });
  assert.equal(runs, 2);
});

test('a ddl that is no function is refused', async () => {
  for (const ddl of ['create table a (b int)', undefined, { statements: [] }]) {
    await assert.rejects(planSchema(offline('sqlite'), ddl as never), {
      name: 'TypeError',
      message: /^Cannot use 'ddl' as it must be a function: current value is /,
    });
  }
});

// What is bound is nobody's business.

const SECRET = 'hunter2';

const SECRETIVE: Readonly<Record<string, Ddl>> = {
  'a question': (db) => db.selectFrom('a').selectAll().where('b', '=', SECRET).execute(),
  'a returning clause': (db) => db.insertInto('a').values({ b: SECRET }).returning('b').execute(),
  'a key that is used': async (db) => {
    const { insertId } = await db.insertInto('a').values({ b: SECRET }).executeTakeFirstOrThrow();
    await db.insertInto('a').values({ b: insertId }).execute();
  },
  'several statements': (db) => sql`create table a (b int); select ${SECRET}`.execute(db),
  'a statement that ends the unit': (db) => sql`commit; select ${SECRET}`.execute(db),
  'a statement that is not awaited': async (db) => {
    await table(db);
    const insert = () => db.insertInto('a').values({ b: SECRET }).execute();
    void insert().then(insert).catch(() => {});
  },
  'too many parameters': (db) =>
    db.insertInto('a').values([{ b: SECRET }, { b: SECRET }]).execute(),
};
for (const [what, ddl] of Object.entries(SECRETIVE)) {
  test(`what refuses it does not say what is bound: ${what}`, async () => {
    const batch = { ...countingBatch().batch, limits: { parameters: 1 } };
    const config = { version: '0001', ddl, batch, assumeFresh: true };
    let error: unknown;
    await bootstrapSchema(offline('sqlite'), config).catch((thrown) => error = thrown);
    assert.ok(error instanceof SchemaError, `${error}`);
    assert.ok(!inspect(error, { depth: null }).includes(SECRET));
  });
}

// Several statements in one text.

test('several statements in one text travel one by one', async () => {
  const text = `
    create table a (b text default 'x;y'); -- a comment; with a semicolon
    /* ; */ create table c (d int);;
    insert into a values ('it''s; ok')
  `;
  for (const dialect of DIALECTS) {
    const statements = await texts((db) => sql.raw(text).execute(db), dialect);
    assert.equal(statements.length, 3);
    assert.equal(statements[0], "create table a (b text default 'x;y')");
    assert.match(statements[1]!, /create table c \(d int\)$/);
    assert.equal(statements[2], "insert into a values ('it''s; ok')");
  }
});

test('a text may hold a great many statements', async () => {
  const text = 'insert into a values (1);\n'.repeat(150_000);
  assert.equal((await texts((db) => sql.raw(text).execute(db))).length, 150_000);
});

test('a trigger travels whole, also among other statements', async () => {
  const trigger = `create trigger log after update of a on t for each row when new.a > 1 begin
    insert into log values (case when new.a > 2 then 'big; one' else 'small' end, 'begin');
    update t set b = (select case a when 1 then case b when 2 then 3 end end) where id = new.id;
    -- end;
    delete from log where "end" = 1;
  end`;
  const statements = await texts((db) =>
    sql.raw(`create table a (b int); ${trigger}; create table c (d int);`).execute(db)
  );
  assert.deepEqual(statements, ['create table a (b int)', trigger, 'create table c (d int)']);
  const named = `create trigger lasts after insert on events begin
    update events set duration = new.end - new.start where id = new.id;
  end`;
  assert.deepEqual(await texts((db) => sql.raw(named).execute(db)), [named]);
  const temporary = 'CREATE TEMP TRIGGER x AFTER DELETE ON t BEGIN SELECT 1; END';
  assert.deepEqual(await texts((db) => sql.raw(`${temporary};`).execute(db)), [temporary]);
});

test('several statements with parameters in one text are refused by name', async () => {
  const ddl = (db: Db) => sql`create table a (b int); insert into a values (${1})`.execute(db);
  await assert.rejects(recorded(ddl), (error) => {
    assert.ok(error instanceof StatementRefusedError);
    assert.match(error.message, /create table a.*several statements with parameters/s);
    return true;
  });
});

test('a statement keeps its parameters where it ends in a semicolon or a comment', async () => {
  const ddl = (db: Db) => sql`insert into a values (${1}); -- and that was it`.execute(db);
  const [statement, ...rest] = await recorded(ddl);
  assert.deepEqual(rest, []);
  assert.deepEqual(statement!.parameters, [1]);
});
