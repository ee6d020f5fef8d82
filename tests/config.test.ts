/**
 * Bad input is refused before any statement, with the field and the value in the message.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DialectAdapter,
  DummyDriver,
  Kysely,
  MssqlAdapter,
  MssqlQueryCompiler,
  MysqlAdapter,
  MysqlQueryCompiler,
  PostgresAdapter,
  PostgresQueryCompiler,
  type QueryCompiler,
  sql,
  SqliteAdapter,
  SqliteQueryCompiler,
} from 'kysely';

import { bootstrapSchema, createBootstrap, d1Batch } from '../mod.ts';
import { parseConfig } from '../src/settings.ts';
import { openSqlite } from './support/sqlite.ts';

/** What a refusal must be. */
interface Refusal {
  type: typeof TypeError | typeof RangeError;
  /** Parts of the message: the field, and the value as it is shown. */
  says: readonly string[];
}

/** A table row: what is asked for, and how it is refused. */
type Row = readonly [title: string, config: Record<string, unknown>, refusal: Refusal];

const LONG = 'x'.repeat(10_240);
const MARKER_RULE = '[a-zA-Z_][a-zA-Z0-9_]*';

const ROWS: readonly Row[] = [
  ...['', 'a;drop table x', '1a', 'a-b', 'a\nb', 'a\n', 'a\0', 'a b', 'é', 'a"b', ' a'].map(
    (marker): Row => [
      `marker ${JSON.stringify(marker)}`,
      { marker },
      { type: RangeError, says: [`'marker'`, MARKER_RULE, JSON.stringify(marker)] },
    ],
  ),
  ['marker of 64 characters', { marker: 'm'.repeat(64) }, {
    type: RangeError,
    says: [`'marker'`, '63', 'mmmmmmmm'],
  }],
  ...[42, null, {}, ['migrations'], Symbol('m'), () => 'm'].map((marker): Row => [
    `marker that is a ${marker === null ? 'null' : typeof marker}`,
    { marker },
    { type: TypeError, says: [`'marker'`] },
  ]),
  ['version that is missing', { version: undefined }, {
    type: TypeError,
    says: [`'version'`, 'undefined'],
  }],
  ['version that is a number', { version: 1 }, { type: TypeError, says: [`'version'`, '1'] }],
  ['version that is empty', { version: '' }, { type: RangeError, says: [`'version'`, '""'] }],
  ['version of 10 kB', { version: LONG }, { type: RangeError, says: [`'version'`, '255', 'xxx'] }],
  ['version of 256 characters', { version: 'x'.repeat(256) }, {
    type: RangeError,
    says: [`'version'`, '255'],
  }],
  ['version of many blanks', { version: ' '.repeat(300) }, {
    type: RangeError,
    says: [`'version'`, `"${' '.repeat(70)}`, '(302 characters)'],
  }],
  ['version that is a list', { version: ['a', 'b'] }, {
    type: TypeError,
    says: [`'version'`, 'a list of 2'],
  }],
  ['version with NUL', { version: 'a\0b' }, { type: RangeError, says: [`'version'`, 'NUL'] }],
  ['version with a lone surrogate', { version: 'a\ud800' }, {
    type: RangeError,
    says: [`'version'`, 'surrogate'],
  }],
  ['ddl that is missing', { ddl: undefined }, { type: TypeError, says: [`'ddl'`, 'undefined'] }],
  ['ddl that is SQL', { ddl: 'create table x' }, {
    type: TypeError,
    says: [`'ddl'`, 'create table x'],
  }],
  ['schema that is a number', { schema: 7 }, { type: TypeError, says: [`'schema'`, '7'] }],
  ['schema that is empty', { schema: '' }, { type: RangeError, says: [`'schema'`, '""'] }],
  ['schema of 64 bytes', { schema: 'é'.repeat(32) }, {
    type: RangeError,
    says: [`'schema'`, '63', 'é'],
  }],
  ['schema with NUL', { schema: 'a\0' }, { type: RangeError, says: [`'schema'`] }],
  ['schema where there are none', { schema: 'tenant' }, {
    type: RangeError,
    says: [`'schema'`, 'Postgres'],
  }],
  ['dialect that is unknown', { dialect: 'mysql' }, {
    type: RangeError,
    says: [`'dialect'`, 'sqlite', 'postgres', 'mysql'],
  }],
  ['dialect that is an object', { dialect: {} }, { type: TypeError, says: [`'dialect'`] }],
  ['strategy that is unknown', { strategy: 'lock' }, {
    type: RangeError,
    says: [`'strategy'`, 'transaction', 'lease', 'lock'],
  }],
  ['onContention that is unknown', { onContention: 'throw' }, {
    type: RangeError,
    says: [`'onContention'`, 'wait', 'return', 'throw'],
  }],
  ...['waitTimeoutMs', 'leaseMs'].flatMap((field): Row[] => [
    ...[-1, 0, NaN, Infinity, -Infinity, 2_147_483_648].map((value): Row => [
      `${field} of ${value}`,
      { [field]: value },
      { type: RangeError, says: [`'${field}'`, String(value)] },
    ]),
    [`${field} that is text`, { [field]: '5s' }, { type: TypeError, says: [`'${field}'`, '5s'] }],
    [`${field} that is a bigint`, { [field]: 5n }, { type: TypeError, says: [`'${field}'`, '5'] }],
  ]),
  ['leaseMs that is not below waitTimeoutMs', { leaseMs: 500, waitTimeoutMs: 500 }, {
    type: RangeError,
    says: [`'leaseMs'`, 'waitTimeoutMs', '500'],
  }],
  ['signal that is a controller', { signal: new AbortController() }, {
    type: TypeError,
    says: [`'signal'`, 'AbortSignal'],
  }],
  ['signal that is true', { signal: true }, { type: TypeError, says: [`'signal'`, 'true'] }],
  ['logger that is a function', { logger: () => {} }, { type: TypeError, says: [`'logger'`] }],
  ['logger whose log is text', { logger: { log: 'x' } }, {
    type: TypeError,
    says: ['logger', 'log'],
  }],
  ['a batch of a binding whose name is wrong', { batch: d1Batch(undefined as never) }, {
    type: TypeError,
    says: [`'batch'`, `'database', which is undefined where a binding's name is wrong`],
  }],
  ['a step that is none', { upgrades: [{ from: 'a', ddl: () => {} }, null] }, {
    type: TypeError,
    says: [`'upgrades[1]'`, 'null'],
  }],
  ['a step without a start', { upgrades: [{ ddl: () => {} }] }, {
    type: TypeError,
    says: [`'upgrades[0].from'`, 'undefined'],
  }],
  ['a step whose start is empty', { upgrades: [{ from: '', ddl: () => {} }] }, {
    type: RangeError,
    says: [`'upgrades[0].from'`, '""'],
  }],
  ['a step with a misspelt field', { upgrades: [{ from: 'a', dll: () => {} }] }, {
    type: TypeError,
    says: [`'upgrades[0]'`, `'dll'`, 'from, ddl'],
  }],
  ['a field that is misspelt', { markr: 'x' }, { type: TypeError, says: [`'markr'`, 'marker'] }],
  ['a field of createBootstrap', { failureCooldownMs: 5 }, {
    type: TypeError,
    says: [`'failureCooldownMs'`],
  }],
];

for (const [title, config, refusal] of ROWS) {
  test(`refused by bootstrapSchema before any statement: ${title}`, async () => {
    const { db, statements } = watched();
    const error = await thrownBy(() => bootstrapSchema(db, complete(config)));
    assertRefusal(error, refusal);
    assert.deepEqual(statements, []);
    await db.destroy();
  });
}

for (const [title, config, refusal] of ROWS) {
  // What depends on the database is found out later, and the field is one of its own.
  if (/^(schema where|a field of)/.test(title)) continue;
  test(`refused by createBootstrap at once: ${title}`, async () => {
    assertRefusal(await thrownBy(() => createBootstrap(complete(config))), refusal);
  });
}

for (const value of [-1, NaN, Infinity]) {
  test(`refused by createBootstrap at once: failureCooldownMs of ${value}`, async () => {
    const error = await thrownBy(() => createBootstrap(complete({ failureCooldownMs: value })));
    assertRefusal(error, { type: RangeError, says: [`'failureCooldownMs'`, String(value)] });
  });
}

for (const config of [undefined, null, 'config', 5]) {
  test(`refused: ${config} in place of a config`, async () => {
    const { db, statements } = watched();
    const error = await thrownBy(() => bootstrapSchema(db, config as never));
    assertRefusal(error, { type: TypeError, says: [`'config'`, 'object'] });
    assert.deepEqual(statements, []);
    await db.destroy();
  });
}

test('refused by createBootstrap: a field that is misspelt, with the names of all of them', async () => {
  const error = await thrownBy(() => createBootstrap(complete({ failureCooldown: 5 })));
  assertRefusal(error, { type: TypeError, says: [`'failureCooldown'`, 'failureCooldownMs'] });
});

test('fields are read by their names, also where an object has inherited them', async () => {
  const { db, statements } = watched();
  class Inherited {
    get leaseMs(): string {
      return 'soon';
    }
  }
  const config = Object.assign(new Inherited(), complete({}));
  const error = await thrownBy(() => bootstrapSchema(db, config as never));
  assertRefusal(error, { type: TypeError, says: [`'leaseMs'`, '"soon"'] });
  assert.deepEqual(statements, []);
  await db.destroy();
});

for (
  const [db, shown] of [
    [undefined, 'undefined'],
    [null, 'null'],
    ['postgres://me:secret@db', '"…"'],
    [{}, 'an object'],
    [{ transaction: () => {} }, 'an object'],
  ]
) {
  test(`refused: ${JSON.stringify(db)} in place of an instance`, async () => {
    const error = await thrownBy(() => bootstrapSchema(db as never, complete({}) as never));
    assertRefusal(error, {
      type: TypeError,
      says: [`'db'`, 'Kysely', `current value is ${shown}`],
    });
    assert.doesNotMatch(String(error), /secret/);
  });
}

test('refused: a transaction in place of an instance', async () => {
  const { db, statements } = watched();
  await db.transaction().execute(async (trx) => {
    statements.length = 0;
    const error = await thrownBy(() => bootstrapSchema(trx, complete({})));
    assertRefusal(error, { type: TypeError, says: [`'db'`, 'transaction'] });
    assert.deepEqual(statements, []);
  });
  await db.destroy();
});

test('refused by name: an instance for MySQL', async () => {
  const db = compiling(new MysqlAdapter(), new MysqlQueryCompiler());
  const error = await thrownBy(() => bootstrapSchema(db, complete({})));
  assertRefusal(error, { type: TypeError, says: ['MySQL'] });
});

test('refused by name: an instance for MSSQL', async () => {
  const db = compiling(new MssqlAdapter(), new MssqlQueryCompiler());
  const error = await thrownBy(() => bootstrapSchema(db, complete({})));
  assertRefusal(error, { type: TypeError, says: ['MSSQL'] });
});

test('refused: an instance whose SQL is neither that of SQLite nor that of Postgres', async () => {
  const words: (() => string)[] = [() => 'auto_increment', () => {
    throw new Error('Can not use auto increment in DuckDB');
  }];
  for (const word of words) {
    class OtherCompiler extends SqliteQueryCompiler {
      protected override getAutoIncrement(): string {
        return word();
      }
    }
    const db = compiling(new SqliteAdapter(), new OtherCompiler());
    const error = await thrownBy(() => bootstrapSchema(db, complete({})));
    assertRefusal(error, { type: TypeError, says: ['unknown dialect'] });
  }
});

test('a signal of another realm is one, too, and that of an old polyfill is not', async () => {
  const { db, statements } = watched();
  const reason = new Error('never mind');
  const foreign = {
    aborted: true,
    reason,
    addEventListener: () => {},
    removeEventListener: () => {},
  };
  assert.equal(await thrownBy(() => bootstrapSchema(db, complete({ signal: foreign }))), reason);
  const { reason: _, ...old } = foreign;
  const error = await thrownBy(() => bootstrapSchema(db, complete({ signal: old })));
  assertRefusal(error, { type: TypeError, says: [`'signal'`] });
  assert.deepEqual(statements, []);
  await db.destroy();
});

test('a schema is installed without a checksum where nothing can make one, as in jsdom', async () => {
  const { subtle } = crypto;
  const { TextEncoder } = globalThis;
  const { db } = watched();
  Object.defineProperty(crypto, 'subtle', { value: undefined, configurable: true });
  // @ts-expect-error It is there in all runtimes of ours.
  delete globalThis.TextEncoder;
  try {
    await bootstrapSchema(db, complete({}));
  } finally {
    globalThis.TextEncoder = TextEncoder;
    Object.defineProperty(crypto, 'subtle', { value: subtle, configurable: true });
  }
  const { rows } = await sql`select state, checksum from migrations`.execute(db);
  assert.deepEqual(rows.map((row) => ({ ...row as object })), [
    { state: 'installed', checksum: null },
  ]);
  await db.destroy();
});

test('a signal that is aborted already is no bad input, and no statement is sent either', async () => {
  const { db, statements } = watched();
  const reason = new Error('never mind');
  const config = complete({ signal: AbortSignal.abort(reason) });
  assert.equal(await thrownBy(() => bootstrapSchema(db, config)), reason);
  assert.deepEqual(statements, []);
  await db.destroy();
});

test('what is undefined counts as absent, and what is at a limit is taken', async () => {
  const { db } = watched();
  const result = await bootstrapSchema(
    db,
    complete({
      version: 'x'.repeat(255),
      marker: 'm'.repeat(63),
      schema: undefined,
      dialect: undefined,
      logger: undefined,
      strategy: undefined,
      waitTimeoutMs: 2_147_483_647,
      leaseMs: 2_147_483_646,
      onContention: undefined,
      signal: undefined,
    }),
  );
  assert.equal(result.outcome, 'installed');
  await db.destroy();
});

test('the defaults are those of the README', () => {
  const { version: _, ddl: _ddl, ...defaults } = parseConfig(complete({}));
  assert.deepEqual(defaults, {
    logger: {},
    strategy: 'auto',
    assumeFresh: false,
    onContention: 'wait',
    onNewer: 'ignore',
    onDrift: 'ignore',
    waitTimeoutMs: 30_000,
    leaseMs: 10_000,
    upgrades: [],
    plans: [],
  });
  assert.equal(parseConfig(complete({ waitTimeoutMs: 900 })).leaseMs, 450);
});

test('a claim is renewed every third of its lease', async () => {
  const { setInterval } = globalThis;
  const everyMs: unknown[] = [];
  const noting = (run: () => void, ms: number) => {
    everyMs.push(ms);
    return setInterval(run, ms);
  };
  globalThis.setInterval = noting as typeof setInterval;
  try {
    for (const strategy of ['transaction', 'lease']) {
      const { db } = watched();
      await bootstrapSchema(db, complete({ strategy, leaseMs: 9_000 }));
      await db.destroy();
    }
  } finally {
    globalThis.setInterval = setInterval;
  }
  assert.deepEqual(everyMs, [3_000, 3_000]);
});

test('a short waitTimeoutMs needs no leaseMs beside it', async () => {
  const { db } = watched();
  assert.equal((await bootstrapSchema(db, complete({ waitTimeoutMs: 900 }))).outcome, 'installed');
  await db.destroy();
});

test('without a logger nothing is said', async () => {
  const said: unknown[] = [];
  const names = ['log', 'error', 'warn', 'info', 'debug'] as const;
  const real = names.map((name) => console[name]);
  for (const name of names) console[name] = (...args: unknown[]) => void said.push(args);
  try {
    const { db } = watched();
    await bootstrapSchema(db, complete({}));
    await db.destroy();
  } finally {
    names.forEach((name, n) => console[name] = real[n]!);
  }
  assert.deepEqual(said, []);
});

test('a dialect that is named is taken at its word', async () => {
  const db = compiling(new PostgresAdapter(), new PostgresQueryCompiler());
  const error = await thrownBy(() =>
    bootstrapSchema(db, complete({ dialect: 'sqlite', schema: 'x' }))
  );
  assertRefusal(error, { type: RangeError, says: [`'schema'`] });
});

test('a table that is called like the ledger is not taken for it in another database', async () => {
  const { db } = watched();
  // Deno without permissions attaches none, and SQLite looks into this one first.
  await sql`create temp table migrations (name text primary key)`.execute(db);
  await sql`insert into temp.migrations values ('0001_initial')`.execute(db);
  const ddl = (db: Kysely<unknown>) =>
    db.schema.createTable('users').addColumn('id', 'integer').execute();
  const results = [
    await bootstrapSchema(db, complete({ ddl })),
    await bootstrapSchema(db, complete({ ddl, strategy: 'lease' })),
  ];
  assert.deepEqual(results.map(({ outcome }) => outcome), ['installed', 'already-installed']);
  const names = sql`select name from main.sqlite_master where type = 'table' order by name`;
  assert.deepEqual((await names.execute(db)).rows.map((row) => ({ ...row as object })), [
    { name: 'migrations' },
    { name: 'users' },
  ]);
  await db.destroy();
});

// deno-lint-ignore no-explicit-any
function complete(config: Record<string, unknown>): any {
  return { version: '0001_initial', ddl: (_: unknown) => {}, ...config };
}

function watched() {
  const statements: string[] = [];
  const db = openSqlite(':memory:', { onStatement: (text) => statements.push(text) });
  return { db, statements };
}

/** An instance that can compile, and has no database. */
function compiling(
  adapter: DialectAdapter,
  compiler: QueryCompiler,
  // deno-lint-ignore no-explicit-any
): Kysely<any> {
  return new Kysely({
    dialect: {
      createAdapter: () => adapter,
      createDriver: () => new DummyDriver(),
      createIntrospector: () => {
        throw new Error('not needed');
      },
      createQueryCompiler: () => compiler,
    },
  });
}

async function thrownBy(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  assert.fail('Nothing was thrown');
}

function assertRefusal(error: unknown, { type, says }: Refusal): void {
  assert.ok(error instanceof Error, String(error));
  assert.equal(error.constructor, type, `${error}`);
  for (const part of says) assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
  assert.ok(error.message.length < 400, `${error.message.length} characters`);
}
