/**
 * Plans: DDL as data, as a script, and made ahead against a shadow.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CamelCasePlugin, CompiledQuery, type Kysely, sql } from 'kysely';

import {
  type AtomicBatch,
  bootstrapSchema,
  createBootstrap,
  type Dialect,
  NotRecordableError,
  type PlanOptions,
  planSchema,
  type SchemaPlanData,
  StatementRefusedError,
  type Strategy,
} from '../mod.ts';
import { richDdl, stateOf, STRINGS } from './batch/rich.ts';
import { onD1, onObject, onPGlite, onPostgres, SUBJECTS } from './batch/subjects.ts';
import { runAsWrangler, runInPostgres, runInSqlite } from './batch/tools.ts';
import { sleep, thrownAs, VERSION } from './cases/support.ts';
import { type Engine, inDatabase } from './engines/engine.ts';
import { engines } from './engines/list.ts';
import { pglite } from './engines/pglite.ts';
import { pg } from './engines/postgres.ts';
import type { RemoteD1 } from './engines/remote_d1.ts';
import { sqlite } from './engines/sqlite.ts';
import { offline } from './support/offline.ts';
import { openSqlite } from './support/sqlite.ts';

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;

// Bun ends a test after 5 s unless told otherwise.
const timeout = 120_000;

const DIALECTS: readonly Dialect[] = ['sqlite', 'postgres'];

function throughJson<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}

async function createPerson(db: Db): Promise<void> {
  await db.schema.createTable('person').addColumn('id', 'integer').execute();
}

/** A database with {@link richDdl} in it, made without a plan. */
async function liveState(engine: Engine): Promise<unknown[][]> {
  return await inDatabase(engine, async (database) => {
    await richDdl(engine.dialect)(database.connect());
    return await stateOf(database, engine.dialect);
  });
}

// Plans as data.

test('what writes and streams is not left out of a plan', async () => {
  const shadow = openSqlite(':memory:');
  const ddl = async (db: Db) => {
    await db.schema.createTable('person').addColumn('id', 'integer').execute();
    for await (const _ of db.insertInto('person').values({ id: 1 }).returning('id').stream());
  };
  const error = await thrownAs(NotRecordableError, planSchema(offline('sqlite'), ddl, { shadow }));
  assert.match(error.message, /it streams rows/);
  await shadow.destroy();
});

test('a plan is plain JSON and one method', async () => {
  for (const dialect of DIALECTS) {
    const plan = await planSchema(offline(dialect), createPerson);
    assert.deepEqual(Object.keys(plan).sort(), ['checksum', 'dialect', 'schema', 'statements']);
    assert.deepEqual(throughJson(plan), {
      dialect,
      schema: null,
      statements: [{ sql: 'create table "person" ("id" integer)', parameters: [] }],
      checksum: plan.checksum,
    });
    assert.match(plan.checksum, /^[0-9a-f]{64}$/);
    assert.deepEqual({ ...plan }, throughJson(plan));
    assert.equal(typeof plan.toSQL, 'function');
  }
});

test('what JSON has no word for comes back as it was', async () => {
  const values = [
    ...[null, true, false, 0, -1.5, 1e300, 'text', '', '{"type":"bigint","value":"1"}'],
    ...[0n, -(2n ** 63n), 2n ** 63n - 1n],
    ...[new Date(0), new Date('2026-01-02T03:04:05.678Z')],
    ...[new Uint8Array(), new Uint8Array([0, 1, 127, 128, 255])],
    ...[{ a: [1, { b: null }], type: 'bigint', value: '2' }, [1, 2, 3], { type: 'date' }],
  ];
  const ddl = async (db: Db) => {
    for (const value of values) {
      await db.executeQuery(CompiledQuery.raw('insert into t values ($1)', [value]));
    }
  };
  const plan = throughJson(await planSchema(offline('postgres'), ddl));
  const sent: unknown[] = [];
  const batch: AtomicBatch = {
    database: {},
    execute: (statements) => {
      for (const { sql, parameters } of statements) {
        if (sql === 'insert into t values ($1)') sent.push(parameters[0]);
      }
      return Promise.resolve(statements.map(() => []));
    },
  };
  const config = { version: VERSION, ddl: plan, batch, assumeFresh: true };
  await bootstrapSchema(offline('postgres'), config);
  assert.deepEqual(sent, values);

  const buffer = new Uint8Array([1, 2]).buffer;
  const ofBuffer = await planSchema(
    offline('sqlite'),
    (db) => sql`insert into t values (${buffer})`.execute(db),
  );
  assert.deepEqual(ofBuffer.statements[0]!.parameters, [{ type: 'bytes', value: '0102' }]);
});

test('what has no form in JSON that comes back is refused by its type', async () => {
  class Money {
    toJSON() {
      return 1;
    }
  }
  for (
    const [value, name] of [
      [NaN, 'not a finite number'],
      [-Infinity, 'not a finite number'],
      [undefined, 'of type undefined'],
      [Symbol('a'), 'of type symbol'],
      [() => 1, 'of type function'],
      [new Map([[1, 2]]), 'of type Map'],
      [new Set([1]), 'of type Set'],
      [/a/, 'of type RegExp'],
      [new Money(), 'of type Money'],
      [new Date(NaN), 'Date'],
    ] as const
  ) {
    const ddl = (db: Db) => db.executeQuery(CompiledQuery.raw('insert into t values (?)', [value]));
    const planned = planSchema(offline('sqlite'), ddl);
    await assert.rejects(planned.then(() => assert.fail(`not refused: ${name}`)), (error) => {
      assert.ok(error instanceof TypeError || error instanceof RangeError, `${name}: ${error}`);
      assert.match(error.message, /^Cannot plan the schema/, `${name}: ${error.message}`);
      assert.ok(error.message.includes(name), error.message);
      return true;
    });
  }
});

test('the checksum is over what the statements say, and over nothing else', async () => {
  const of = async (dialect: Dialect, ...all: [string, ...unknown[]][]) => {
    const plan = await planSchema(offline(dialect), async (db) => {
      for (const [text, ...values] of all) {
        await db.executeQuery(CompiledQuery.raw(text, values));
      }
    });
    return plan.checksum;
  };
  for (const dialect of DIALECTS) {
    const first = await of(dialect, ["insert into t values ('a b', 1)"]);
    for (
      const same of [
        "insert into t values ('a b', 1);",
        "  insert\r\n into\tt values('a b',1) -- a comment",
        "/* one; */ insert into t /* two */ values ( 'a b' , 1 ) -- three\n",
      ]
    ) assert.equal(await of(dialect, [same]), first, same);
    for (
      const other of [
        "insert into t values ('a  b', 1)",
        "insert into t values ('a b', 2)",
        "insert into tvalues ('a b', 1)",
        'insert into t values (\'a b\', "1")',
        "insert into t values ('a b', 1) ; delete from t",
      ]
    ) assert.notEqual(await of(dialect, [other]), first, other);
    const [text, more] = ['insert into t values (1)', 'insert into t values (2)'];
    assert.equal(await of(dialect, [text], [more]), await of(dialect, [`${text};\n${more}`]));
    assert.notEqual(await of(dialect, [text], [more]), await of(dialect, [more], [text]));
    const mark = dialect === 'sqlite' ? '?' : '$1';
    assert.equal(
      await of(dialect, [`insert into t values (${mark})`, 1]),
      await of(dialect, [`insert into t values (${mark})`, crypto.randomUUID()]),
    );
  }
});

// Plans that are not for this database.

const EDITED = /that was edited: its checksum is another one/;

test('refused before anything is sent: another dialect, another schema, an edited plan', async () => {
  const plan = throughJson(await planSchema(offline('postgres'), createPerson));
  const placed = throughJson(
    await planSchema(offline('postgres'), createPerson, { schema: 'tenant' }),
  );
  const [statement] = plan.statements;
  const edited = { sql: statement!.sql.replace('integer', 'bigint'), parameters: [] };
  const unknown = { sql: statement!.sql, parameters: [{ type: 'money', value: '1' }] };
  const refused: [string, SchemaPlanData, Dialect, string | undefined, RegExp][] = [
    ['dialect', plan, 'sqlite', undefined, /plan for postgres, and 'db' speaks sqlite/],
    ['no schema', plan, 'postgres', 'tenant', /for schema null, and 'schema' is tenant/],
    ['a schema', placed, 'postgres', undefined, /for schema tenant, and 'schema' is undefined/],
    ['another', placed, 'postgres', 'other', /for schema tenant, and 'schema' is other/],
    ['edited', { ...plan, statements: [edited] }, 'postgres', undefined, EDITED],
    ['one more', { ...plan, statements: [statement!, edited] }, 'postgres', undefined, EDITED],
    ['one less', { ...plan, statements: [] }, 'postgres', undefined, EDITED],
    ['its type', { ...plan, statements: [unknown] }, 'postgres', undefined, /of type money/],
    ['its checksum', { ...plan, checksum: 'f'.repeat(64) }, 'postgres', undefined, EDITED],
  ];
  for (const [what, ddl, dialect, schema, message] of refused) {
    for (const strategy of ['auto', 'transaction', 'lease', 'batch'] as const) {
      const batch: AtomicBatch = { database: {}, execute: () => assert.fail('sent') };
      const config = { version: VERSION, ddl, strategy, batch, ...(schema && { schema }) };
      const error = await thrownAs(TypeError, bootstrapSchema(offline(dialect), config));
      assert.match(error.message, message, what);
    }
  }
  for (const ddl of [{}, { statements: 'none' }, null, 'create table t (a int)']) {
    const config = { version: VERSION, ddl: ddl as never };
    await thrownAs(TypeError, bootstrapSchema(offline('sqlite'), config));
  }
});

test('a parameter may be edited, since the checksum is not over it', async () => {
  const plan = await planSchema(
    offline('sqlite'),
    (db) => db.insertInto('t').values({ a: 'old' }).execute(),
  );
  const [statement] = plan.statements;
  const edited = { ...plan, statements: [{ sql: statement!.sql, parameters: ['new'] }] };
  const sent: unknown[] = [];
  const batch: AtomicBatch = {
    database: {},
    execute: (statements) => {
      sent.push(statements.at(-1)!.parameters);
      return Promise.resolve(statements.map(() => []));
    },
  };
  const config = { version: VERSION, ddl: edited, batch, assumeFresh: true };
  await bootstrapSchema(offline('sqlite'), config);
  assert.deepEqual(sent, [['new']]);
});

test('what is planned is bound by the rules of recording', async () => {
  const reads = (db: Db) => db.selectFrom('t').selectAll().execute();
  const error = await thrownAs(NotRecordableError, planSchema(offline('sqlite'), reads));
  assert.match(error.message, /^Cannot plan the schema: "select \* from "t"" cannot be recorded/);
  assert.equal(error.marker, undefined);
  await thrownAs(NotRecordableError, planSchema(offline('sqlite'), () => {}));
  const commits = (db: Db) => sql`commit`.execute(db);
  await thrownAs(StatementRefusedError, planSchema(offline('sqlite'), commits));
});

// Plans that are installed.

for (const engine of engines) {
  test(
    `${engine.name}: a plan makes what its ddl makes, under every strategy`,
    { timeout },
    async () => {
      const live = await liveState(engine);
      const subject = SUBJECTS.find((one) => one.engine === engine);
      const strategies: Strategy[] = ['lease'];
      if (engine.transactions) strategies.push('transaction');
      if (subject) strategies.push('batch');
      const plan = throughJson(await planSchema(offline(engine.dialect), richDdl(engine.dialect)));
      for (const strategy of strategies) {
        await inDatabase(engine, async (database) => {
          const batch = strategy === 'batch'
            ? subject!.batchOn(database.handle!() as never)
            : undefined;
          const config = { version: VERSION, ddl: plan, strategy, ...(batch && { batch }) };
          const result = await bootstrapSchema(database.connect(), config);
          assert.equal(result.outcome, 'installed');
          assert.equal(result.strategy, strategy);
          assert.deepEqual(await stateOf(database, engine.dialect), live);
          const ensure = createBootstrap({ version: VERSION, ddl: plan });
          const again = await ensure(database.connect(), batch && { batch });
          assert.equal(again.outcome, 'already-installed');
        });
      }
    },
  );
}

test(
  'postgres: a plan for a schema is installed into it',
  { timeout },
  () =>
    inDatabase(pg, async (database) => {
      const ddl = async (db: Db) => {
        await createPerson(db);
        await db.insertInto('person').values({ id: 1 }).execute();
      };
      const plan = await planSchema(database.connect(), ddl, { schema: 'Ten"ant' });
      const data = throughJson(plan);
      const config = { version: VERSION, ddl: data, schema: 'Ten"ant' };
      for (const strategy of ['transaction', 'lease', 'batch'] as const) {
        const batch = onPostgres.batchOn(database.handle!() as never);
        await bootstrapSchema(database.connect(), {
          ...config,
          version: strategy,
          strategy,
          ...(strategy === 'batch' && { batch }),
        });
        assert.deepEqual(await database.run('select id from "Ten""ant".person'), [{ id: 1 }]);
        await database.run('drop table "Ten""ant".person');
      }
      await runInPostgres(database, plan.toSQL());
      assert.deepEqual(await database.run('select id from "Ten""ant".person'), [{ id: 1 }]);
    }),
);

// Plans as scripts.

test('sqlite3: the script makes what the ddl makes', { timeout }, async () => {
  const live = await liveState(sqlite);
  const plan = await planSchema(offline('sqlite'), richDdl('sqlite'));
  await inDatabase(sqlite, async (database) => {
    await runInSqlite(database.address!, plan.toSQL());
    assert.deepEqual(await stateOf(database, 'sqlite'), live);
  });
});

test('psql: the script makes what the ddl makes', { timeout }, async () => {
  const live = await liveState(pg);
  const plan = await planSchema(offline('postgres'), richDdl('postgres'));
  await inDatabase(pg, async (database) => {
    await runInPostgres(database, plan.toSQL());
    assert.deepEqual(await stateOf(database, 'postgres'), live);
  });
  // Whole as one simple query, too.
  await inDatabase(pg, async (database) => {
    await database.run(plan.toSQL());
    assert.deepEqual(await stateOf(database, 'postgres'), live);
  });
});

test('wrangler: the script makes what the ddl makes', { timeout }, async () => {
  const { engine } = onD1;
  const live = await liveState(engine);
  const plan = await planSchema(offline('sqlite'), richDdl('sqlite'));
  await inDatabase(engine, async (database) => {
    await runAsWrangler(database.handle!() as RemoteD1, plan.toSQL());
    assert.deepEqual(await stateOf(database, 'sqlite'), live);
  });
  // Where its splitter meets what it does not know, it sends the rest as one.
  await inDatabase(engine, async (database) => {
    const binding = database.handle!() as RemoteD1;
    await binding.batch([binding.prepare(plan.toSQL())]);
    assert.deepEqual(await stateOf(database, 'sqlite'), live);
  });
});

test('values of every type are the same as a literal and as a parameter', { timeout }, async () => {
  // Else `pg` writes a date in the time zone of this process, and a column without one keeps that.
  const { defaults } = (await import('pg')).default;
  defaults.parseInputDatesAsUTC = true;
  const bytes = new Uint8Array([0, 39, 255]);
  const cases: [Engine, [column: string, value: unknown][]][] = [
    [sqlite, [
      ['integer', 2n ** 63n - 1n],
      ['integer', -(2n ** 63n) + 1n],
      ['integer', -5],
      ['real', -0.1],
      ['real', 1e21],
      ['blob', bytes],
      ['blob', new Uint8Array()],
      ['text', null],
      ...STRINGS.map((text) => ['text', text] as [string, unknown]),
    ]],
    [pg, [
      ['bigint', 2n ** 63n - 1n],
      ['bigint', -(2n ** 63n)],
      ['numeric', -12345678901234567890n],
      ['double precision', -1e-7],
      ['boolean', true],
      ['boolean', false],
      ['bytea', bytes],
      ['bytea', new Uint8Array()],
      ['timestamptz', new Date('2026-01-02T03:04:05.678Z')],
      ['timestamptz', new Date(-1)],
      // Not to be moved into the time zone of the session.
      ['timestamp', new Date('2026-01-01T00:30:00.000Z')],
      ['date', new Date('2026-01-01T00:30:00.000Z')],
      ['text', 5],
      ['text', true],
      ['jsonb', 5],
      ['jsonb', true],
      ['text', null],
      ['jsonb', '{"a": "it\'s; \\\\ \\n"}'],
      ...STRINGS.map((text) => ['text', text] as [string, unknown]),
    ]],
  ];
  for (const [engine, values] of cases) {
    await inDatabase(engine, async (database) => {
      if (engine.dialect === 'postgres') {
        await database.run(`do $$ begin execute format('alter database %I set timezone to %L',
          current_database(), 'America/New_York'); end $$`);
      }
      const db = database.connect();
      for (const [column, value] of values) {
        const ddl = async (db: Db) => {
          await db.schema.createTable('t').addColumn('v', sql.raw(column)).execute();
          await db.insertInto('t').values({ v: value }).execute();
          // A minus before a minus would begin a comment.
          const int = sql.raw(engine.dialect === 'sqlite' ? '' : '::integer');
          await sql`update t set v = v where ${1}${int} -${-1}${int} = ${2}`.execute(db);
        };
        const plan = await planSchema(db, ddl);
        await ddl(db);
        const show = engine.dialect === 'sqlite'
          ? 'select typeof(v) as type, quote(v) as v from t'
          : 'select pg_typeof(v)::text as type, v::text as v from t';
        const bound = await database.run(show);
        await database.run('drop table t');
        for (const one of plan.toSQL().split(/(?<=;)\n(?=create|insert|update)/)) {
          await database.run(one);
        }
        const written = await database.run(show);
        await database.run('drop table t');
        assert.deepEqual(
          written.map((row) => ({ ...row as object })),
          bound.map((row) => ({ ...row as object })),
          `${engine.name}, ${column}: ${String(value)}`,
        );
      }
    });
  }
});

test('a parameter of a type without a safe literal is refused by its name', async () => {
  for (
    const [dialect, value, name] of [
      ['sqlite', new Date(0), 'of type Date'],
      ['sqlite', { a: 1 }, 'of type Object'],
      ['postgres', { a: 1 }, 'of type Object'],
      ['postgres', [1, 2], 'of type Array'],
      ['sqlite', 'a\0b', 'a string with NUL'],
      ['postgres', 'a\0b', 'a string with NUL'],
    ] as const
  ) {
    const mark = dialect === 'sqlite' ? '?' : '$1';
    const plan = await planSchema(
      offline(dialect),
      (db) => db.executeQuery(CompiledQuery.raw(`insert into t values (${mark})`, [value])),
    );
    assert.throws(() => plan.toSQL(), (error) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /^Cannot write the plan as SQL/);
      assert.ok(error.message.includes(name), error.message);
      return true;
    });
  }
});

test('placeholders are found where they are, and only there', async () => {
  const scriptOf = async (dialect: Dialect, text: string, ...values: unknown[]) => {
    const plan = await planSchema(
      offline(dialect),
      (db) => db.executeQuery(CompiledQuery.raw(text, values)),
    );
    return plan.toSQL();
  };
  assert.equal(
    await scriptOf('sqlite', `insert into "a?" values (?, '?', ?) -- ?`, 1, 'x'),
    `insert into "a?" values (1, '?', 'x') -- ?\n;\n`,
  );
  assert.equal(
    await scriptOf('sqlite', 'insert into [a?] values (/* ? */ ?, `?`);', "it's"),
    `insert into [a?] values (/* ? */ 'it''s', \`?\`);\n`,
  );
  assert.equal(
    await scriptOf(
      'postgres',
      `insert into "$1" values ($2, '$1', $1, $1, $$ $1 $$) -- $1`,
      1,
      'x',
    ),
    `insert into "$1" values ('x', '$1', '1', '1', $$ $1 $$) -- $1\n;\n`,
  );
  assert.equal(
    await scriptOf(
      'postgres',
      `update t set a = $1::jsonb ? 'b' where c = E'\\'$1' and $10 = $2`,
      ...'abcdefghij',
    ),
    `update t set a = 'a'::jsonb ? 'b' where c = E'\\'$1' and 'j' = 'b';\n`,
  );
  const body = 'create function plus(int) returns int begin atomic select $1 + 1; end';
  assert.equal(await scriptOf('postgres', body), `${body};\n`);
  assert.equal(
    await scriptOf('sqlite', 'insert into t values (?2, ?1, ?2)', 'one', 'two'),
    `insert into t values ('two', 'one', 'two');\n`,
  );
  // Where the text leaves no room, a literal would become a part of the word.
  assert.equal(
    await scriptOf('sqlite', 'insert into a select 1 where?and 2>?limit?', 1, 'x', 5),
    `insert into a select 1 where 1 and 2>'x' limit 5;\n`,
  );
  assert.equal(
    await scriptOf('postgres', 'update t set a=$1where b=$2', 'x', 5),
    `update t set a='x' where b='5';\n`,
  );
});

// Shadows.

/** DDL as real applications have it: it looks before it writes, and uses what it finds. */
async function readingDdl(db: Db): Promise<void> {
  await createPerson(db);
  const tables = await db.introspection.getTables();
  const person = tables.find(({ name }) => name === 'person');
  assert.ok(person);
  if (!person.columns.some(({ name }) => name === 'name')) {
    await db.schema.alterTable('person').addColumn('name', 'text').execute();
  }
  const [{ id }] = await db.insertInto('person').values({ id: 41, name: 'first' })
    .returning('id').execute() as [{ id: number }];
  await db.insertInto('person').values({ id: id + 1, name: "it's; second" }).execute();
  const { numUpdatedRows } = await db.updateTable('person').set({ name: 'both' })
    .where('id', '>', 40).executeTakeFirstOrThrow();
  assert.equal(Number(numUpdatedRows), 2);
  const { rows } = await sql<{ n: number }>`select count(*) as n from person`.execute(db);
  await db.insertInto('person').values({ id: Number(rows[0]!.n), name: 'counted' }).execute();
  await db.transaction().execute(async (trx) => {
    await trx.insertInto('person').values({ id: 7, name: 'nested' }).execute();
  });
  await assert.rejects(
    db.transaction().execute(async (trx) => {
      await trx.insertInto('person').values({ id: 8, name: 'never' }).execute();
      throw new Error('on purpose');
    }),
  );
  const left = await db.selectFrom('person').select('id').orderBy('id').execute();
  assert.deepEqual(left.map(({ id }) => id), [2, 7, 41, 42]);
}

const PEOPLE = [
  { id: 2, name: 'counted' },
  { id: 7, name: 'nested' },
  { id: 41, name: 'both' },
  { id: 42, name: 'both' },
];

test(
  'ddl that reads is planned on an in-memory SQLite, and installed without reading',
  { timeout },
  async () => {
    const shadow = openSqlite(':memory:');
    const plan = await planSchema(offline('sqlite'), readingDdl, { shadow });
    await shadow.destroy();
    assert.ok(plan.statements.every(({ sql }) => /^(create|alter|insert|update)/.test(sql)));
    assert.equal(plan.statements.length, 7);
    assert.equal(plan.dialect, 'sqlite');
    const ddl = throughJson(plan);
    for (const { engine, batchOn } of [onD1, onObject]) {
      await inDatabase(engine, async (database) => {
        const batch = batchOn(database.handle!() as never);
        const db = database.connect();
        assert.equal((await bootstrapSchema(db, { version: VERSION, ddl, batch })).installed, true);
        assert.deepEqual(await database.run('select id, name from person order by id'), PEOPLE);
      });
    }
  },
);

test('the same on PGlite, in a schema as well', { timeout }, async () => {
  for (const schema of [undefined, 'tenant']) {
    await inDatabase(pglite, async (shadowed) => {
      const options = { shadow: shadowed.connect(), ...(schema && { schema }) };
      const plan = throughJson(await planSchema(offline('postgres'), readingDdl, options));
      assert.equal(plan.statements.length, 7);
      for (const { engine, batchOn } of [onPostgres, onPGlite]) {
        await inDatabase(engine, async (database) => {
          const batch = batchOn(database.handle!() as never);
          const config = { version: VERSION, ddl: plan, batch, ...(schema && { schema }) };
          await bootstrapSchema(database.connect(), config);
          const from = schema === undefined ? 'person' : `${schema}.person`;
          assert.deepEqual(await database.run(`select id, name from ${from} order by id`), PEOPLE);
        });
      }
    });
  }
});

test('the SQL of a plan is of the instance, its answers are of the shadow', async () => {
  const shadow = openSqlite(':memory:');
  const db = offline('sqlite').withPlugin(new CamelCasePlugin());
  const plan = await planSchema(db, async (db: Db) => {
    await db.schema.createTable('bigTable').addColumn('firstName', 'text').execute();
    await db.insertInto('bigTable').values({ firstName: 'x' }).execute();
    const [row] = await db.selectFrom('bigTable').select('firstName').execute();
    assert.deepEqual(row, { firstName: 'x' });
  }, { shadow });
  assert.deepEqual(plan.statements.map((statement) => statement.sql), [
    'create table "big_table" ("first_name" text)',
    'insert into "big_table" ("first_name") values (?)',
  ]);
  const { rows } = await sql`select first_name from big_table`.execute(shadow);
  assert.deepEqual(rows.map((row) => ({ ...row as object })), [{ first_name: 'x' }]);
  await shadow.destroy();
});

test('what writes though it looks like a read is in the plan', { timeout }, async () => {
  await inDatabase(pglite, async (database) => {
    const shadow = database.connect();
    const plan = await planSchema(offline('postgres'), async (db) => {
      await sql`create table t (id serial primary key, n int)`.execute(db);
      await sql`select setval('t_id_seq', 100)`.execute(db);
      await sql`select 1 as one into copied`.execute(db);
      await sql`explain analyze insert into t (n) values (2)`.execute(db);
      await sql`explain analyze create table explained as select 1 as one`.execute(db);
      await sql`with one as (select 1 as n) select n into from_with from one`.execute(db);
      await sql`with one as (select 1 as n) select setval('t_id_seq', 200) from one`.execute(db);
      await db.with('made', (qb) => qb.insertInto('t').values({ n: 1 }).returning('id'))
        .selectFrom('made').selectAll().execute();
      await db.selectFrom('t').selectAll().execute();
      await sql`explain select 1`.execute(db);
    }, { shadow });
    const starts = plan.statements.map(({ sql }) => sql.split(' ').slice(0, 2).join(' '));
    assert.deepEqual(starts, [
      'create table',
      "select setval('t_id_seq',",
      'select 1',
      'explain analyze',
      'explain analyze',
      'with one',
      'with one',
      'with "made"',
    ]);
  });
  const pragmas = await planSchema(offline('sqlite'), async (db) => {
    await sql`pragma user_version(7)`.execute(db);
    await sql`pragma table_info(t)`.execute(db);
    await sql`pragma foreign_key_check`.execute(db);
    await createPerson(db);
    await sql`with one as (select 1 as id) replace into person (id) select id from one`.execute(db);
    await sql`with one as (select replace('a', 'b', 'c') as text) select * from one`.execute(db);
  }, { shadow: openSqlite(':memory:') });
  assert.equal(pragmas.statements[0]!.sql, 'pragma user_version(7)');
  assert.deepEqual(pragmas.statements.length, 3);
  assert.match(pragmas.statements[2]!.sql, /replace into/);
});

test('in a transaction, too, a shadow is introspected', async () => {
  const shadow = openSqlite(':memory:');
  const plan = await planSchema(offline('sqlite'), async (db) => {
    await db.transaction().execute(async (trx) => {
      await createPerson(trx);
      const [found] = await trx.introspection.getTables();
      await trx.schema.createTable(`after_${found!.name}`).addColumn('id', 'integer').execute();
    });
  }, { shadow });
  assert.match(plan.statements.at(-1)!.sql, /^create table "after_person"/);
});

test('an introspector that is a plain object is asked as it is', async () => {
  const shadow = openSqlite(':memory:');
  const getTables = () => Promise.resolve([{ name: 'told' }]);
  Object.defineProperty(shadow, 'introspection', { value: { getTables } });
  const plan = await planSchema(offline('sqlite'), async (db) => {
    const [found] = await db.introspection.getTables();
    await db.schema.createTable(`as_${found!.name}`).addColumn('id', 'integer').execute();
  }, { shadow });
  assert.match(plan.statements.at(-1)!.sql, /^create table "as_told"/);
});

test('values are recorded as they are when they are bound', async () => {
  const day = new Date(0);
  const bytes = new Uint8Array([1]);
  const object = { list: [1] };
  const { statements } = await planSchema(offline('postgres'), async (db) => {
    for (let n = 0; n < 2; n++) {
      await db.insertInto('t').values({ day, bytes, object }).execute();
      day.setUTCDate(2);
      bytes[0]!++;
      object.list.push(2);
    }
  });
  assert.deepEqual(statements.map(({ parameters }) => parameters), [
    [
      { type: 'date', value: '1970-01-01T00:00:00.000Z' },
      { type: 'bytes', value: '01' },
      { type: 'json', value: { list: [1] } },
    ],
    [
      { type: 'date', value: '1970-01-02T00:00:00.000Z' },
      { type: 'bytes', value: '02' },
      { type: 'json', value: { list: [1, 2] } },
    ],
  ]);
});

test('a statement that fails on the shadow fails the plan, unchanged', async () => {
  const shadow = openSqlite(':memory:');
  const ddl = async (db: Db) => {
    await createPerson(db);
    await db.insertInto('nothing_there').values({ a: 1 }).execute();
  };
  await assert.rejects(
    planSchema(offline('sqlite'), ddl, { shadow }),
    /no such table: nothing_there/,
  );
  await shadow.destroy();
});

test('a stream is answered by the shadow', async () => {
  const shadow = openSqlite(':memory:');
  const plan = await planSchema(offline('sqlite'), async (db: Db) => {
    await createPerson(db);
    await db.insertInto('person').values([{ id: 1 }, { id: 2 }]).execute();
    const ids: unknown[] = [];
    for await (const { id } of db.selectFrom('person').select('id').stream()) ids.push(id);
    for (const id of ids) await db.insertInto('person').values({ id: Number(id) + 10 }).execute();
  }, { shadow });
  assert.equal(plan.statements.length, 4);
  await shadow.destroy();
});

test('a statement that fails on the shadow and is caught is not in the plan', async () => {
  const shadow = openSqlite(':memory:');
  const plan = await planSchema(offline('sqlite'), async (db: Db) => {
    await createPerson(db);
    await db.schema.alterTable('person').dropColumn('legacy').execute().catch(() => {});
    await db.schema.alterTable('person').addColumn('legacy', 'text').execute();
  }, { shadow });
  assert.deepEqual(
    plan.statements.map((statement) => statement.sql.split(' ').slice(0, 2).join(' ')),
    [
      'create table',
      'alter table',
    ],
  );
  await shadow.destroy();
});

test('refused with a shadow as without: transaction control, and a ddl that issues nothing', async () => {
  const shadow = openSqlite(':memory:');
  await thrownAs(
    StatementRefusedError,
    planSchema(offline('sqlite'), (db) => sql`select 1; commit`.execute(db), { shadow }),
  );
  await thrownAs(
    NotRecordableError,
    planSchema(offline('sqlite'), (db) => sql`select 1`.execute(db), { shadow }),
  );
  await shadow.destroy();
});

test('a shadow of another dialect, or none at all, is refused', async () => {
  const shadow = openSqlite(':memory:');
  const planned = planSchema(offline('postgres'), createPerson, { shadow });
  assert.match(
    (await thrownAs(TypeError, planned)).message,
    /'shadow' as it must speak postgres: current value is "sqlite"/,
  );
  await thrownAs(
    TypeError,
    planSchema(offline('sqlite'), createPerson, { shadow: {} as never }),
  );
  await thrownAs(TypeError, planSchema({} as never, createPerson));
  await shadow.destroy();
});

test('an option that is unknown or wrong is refused', async () => {
  const wrong: readonly [unknown, typeof TypeError][] = [
    [{ shaddow: offline('sqlite') }, TypeError],
    [{ shadow: null }, TypeError],
    [{ dialect: 'mysql' }, RangeError],
    [{ schema: 'tenant' }, RangeError],
    [null, TypeError],
  ];
  for (const [options, type] of wrong) {
    await thrownAs(type, planSchema(offline('sqlite'), createPerson, options as never));
  }
});

test('statements that the ddl has not awaited are refused, with a shadow as without', async () => {
  const shadow = openSqlite(':memory:');
  for (const options of [{}, { shadow }]) await assertAwaited('sqlite', options);
  await shadow.destroy();
  await inDatabase(pglite, (shadowed) => assertAwaited('postgres', { shadow: shadowed.connect() }));
});

test('nor is one in the plan that still waits for a connection of the shadow', async () => {
  const shadow = openSqlite(':memory:');
  const executor = shadow.getExecutor();
  const provide = executor.provideConnection.bind(executor);
  // As a pool that has to open one first.
  executor.provideConnection = async (...given) => {
    await sleep(20);
    return await provide(...given);
  };
  shadow.getExecutor = () => executor;
  const planned = planSchema(offline('sqlite'), async (db) => {
    await createPerson(db);
    db.schema.createTable('lost').addColumn('id', 'integer').execute().catch(() => {});
  }, { shadow });
  assert.match((await thrownAs(StatementRefusedError, planned)).message, /Await each statement/);
  await shadow.destroy();
});

async function assertAwaited(dialect: Dialect, options: PlanOptions): Promise<void> {
  const planned = planSchema(offline(dialect), async (db) => {
    const lost = ['a', 'b'].map(async (name) => {
      for (const n of [1, 2, 3]) {
        await db.schema.createTable(`${name}_${n}`).addColumn('id', 'integer').execute();
      }
    });
    // They are handled here only so that no runtime ends for it.
    for (const promise of lost) promise.catch(() => {});
    await createPerson(db);
  }, options);
  assert.match((await thrownAs(StatementRefusedError, planned)).message, /Await each statement/);
}

test('several statements in one text all reach the shadow', async () => {
  const shadow = openSqlite(':memory:');
  const plan = await planSchema(offline('sqlite'), async (db) => {
    await sql`create table a (id integer); create table b (id integer)`.execute(db);
    const tables = await db.introspection.getTables();
    if (tables.length < 2) await createPerson(db);
  }, { shadow });
  assert.equal(plan.statements.length, 2);
  await shadow.destroy();
});

test('a plan freezes what the ddl made up', async () => {
  const ddl = (db: Db) => db.insertInto('t').values({ id: crypto.randomUUID() }).execute();
  const [one, two] = [
    await planSchema(offline('sqlite'), ddl),
    await planSchema(offline('sqlite'), ddl),
  ];
  assert.notDeepEqual(one.statements, two.statements);
  assert.equal(one.checksum, two.checksum);
});

test('everything stops', { timeout }, async () => {
  for (const engine of engines) await (await engine.start()).stop();
});
