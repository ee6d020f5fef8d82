/**
 * What the engines and their drivers say, and what the library takes it for.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  contentionOf,
  isAbortedTransaction,
  isAdvisoryLockUnsupported,
  isMissingColumn,
  isMissingTable,
  isTransactionUnsupported,
  isUniqueViolation,
} from '../src/contention.ts';
import { TransactionAbortedError } from '../src/errors.ts';

/** An error as a driver throws it. */
function raised(message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), fields);
}

function pg(code: string, message: string, fields: object = {}): Error {
  return raised(message, { code, ...fields });
}

const KINDS: readonly (readonly [string, unknown, 'race' | 'busy' | 'exists' | undefined])[] = [
  ['a serialization failure', pg('40001', 'could not serialize access'), 'race'],
  ['a deadlock', pg('40P01', 'deadlock detected'), 'race'],
  ['a catalogue updated at once', pg('XX000', 'tuple concurrently updated'), 'race'],
  ['a catalogue row deleted at once', pg('XX000', 'tuple concurrently deleted'), 'race'],
  [
    'the same, inside an error whose message has several lines',
    new Error('Invalid invocation:\n\nfailed', {
      cause: pg('XX000', 'tuple concurrently updated'),
    }),
    'race',
  ],
  [
    'a plan for columns that were, where no routine is told',
    pg('0A000', 'cached plan must not change result type'),
    'busy',
  ],
  ['another internal error', pg('XX000', 'cache lookup failed'), undefined],
  [
    'two "create table if not exists" at once',
    pg('23505', 'duplicate key value violates unique constraint "pg_type_typname_nsp_index"', {
      constraint: 'pg_type_typname_nsp_index',
    }),
    'race',
  ],
  [
    'the same from postgres.js',
    pg('23505', 'duplicate key', { constraint_name: 'pg_class_relname_nsp_index' }),
    'race',
  ],
  [
    'a duplicate in a table of the caller',
    pg('23505', 'duplicate key value violates unique constraint "users_email_key"', {
      constraint: 'users_email_key',
    }),
    undefined,
  ],
  [
    'a duplicate in one that is called like a catalogue',
    pg('23505', 'duplicate key value violates unique constraint "pg_users_email_key"', {
      constraint: 'pg_users_email_key',
    }),
    undefined,
  ],
  [
    'a catalogue, by its schema',
    pg('23505', '', { schema: 'pg_catalog', constraint: 'pg_namespace_nspname_index' }),
    'race',
  ],
  [
    'a duplicate in an index that is called like one of a catalogue',
    pg('23505', 'duplicate key value violates unique constraint "pg_boss_job_index"', {
      schema: 'public',
      table: 'job',
      constraint: 'pg_boss_job_index',
    }),
    undefined,
  ],
  [
    'the same from postgres.js, wrapped',
    new Error('failed', {
      cause: pg('23505', 'duplicate key value violates unique constraint "pg_boss_job_index"', {
        schema_name: 'public',
        constraint_name: 'pg_boss_job_index',
      }),
    }),
    undefined,
  ],
  [
    'a duplicate whose value looks like a catalogue',
    pg('23505', 'duplicate key value violates unique constraint "users_key"', {
      constraint: 'users_key',
      detail: 'Key (name)=(pg_type) already exists.',
    }),
    undefined,
  ],
  [
    'a transaction that sqld has ended',
    raised('SQLite error: TRANSACTION_TIMEOUT: Transaction timed-out', {
      code: 'TRANSACTION_TIMEOUT',
    }),
    'race',
  ],
  [
    'a stream that sqld has ended',
    raised('The stream has expired', { code: 'STREAM_EXPIRED' }),
    'race',
  ],
  [
    'a lock that was not had in time',
    pg('55P03', 'canceling statement due to lock timeout'),
    'busy',
  ],
  ['better-sqlite3', raised('database is locked', { code: 'SQLITE_BUSY' }), 'busy'],
  ['a stale snapshot', raised('database is locked', { code: 'SQLITE_BUSY_SNAPSHOT' }), 'busy'],
  ['node:sqlite', raised('database is locked', { code: 'ERR_SQLITE_ERROR', errcode: 5 }), 'busy'],
  [
    'node:sqlite, an extended code',
    raised('x', { code: 'ERR_SQLITE_ERROR', errcode: 517 }),
    'busy',
  ],
  ['node:sqlite, a lost start of its WAL', raised('locking protocol', { errcode: 15 }), 'busy'],
  ['libSQL, its one connection in use', raised('x', { code: 'TRANSACTION_ACTIVE' }), 'busy'],
  [
    'Bun’s own client',
    raised('deadlock', { code: 'ERR_POSTGRES_SERVER_ERROR', errno: '40P01' }),
    'race',
  ],
  ['node:sqlite, a locked table', raised('database table is locked', { errcode: 262 }), 'busy'],
  [
    'node:sqlite, a constraint',
    raised('UNIQUE constraint failed: a.b', { errcode: 1555 }),
    undefined,
  ],
  ['bun:sqlite', raised('database is locked', { code: 'SQLITE_BUSY', errno: 5 }), 'busy'],
  ['libSQL', raised('SQLITE_BUSY: database is locked', { code: 'SQLITE_BUSY' }), 'busy'],
  ['a changed schema', raised('database schema is locked: main'), 'busy'],
  [
    'D1, with the text in the cause',
    new Error('D1_ERROR', { cause: new Error('database is locked: SQLITE_BUSY') }),
    'busy',
  ],
  ['D1, a lost connection', raised('D1_ERROR: Network connection lost.'), 'busy'],
  [
    'D1, a reset',
    raised('D1_ERROR: Internal error in D1 DB storage caused object to be reset.'),
    'busy',
  ],
  ['D1, an update', raised('D1_ERROR: D1 DB reset because its code was updated.'), 'busy'],
  [
    'D1, a remote node',
    raised('D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.'),
    'busy',
  ],
  ['D1, overload', raised('D1_ERROR: D1 DB is overloaded. Requests queued for too long.'), 'busy'],
  [
    'a cached plan, in any language',
    pg('0A000', 'gecachter Plan darf nicht', { routine: 'RevalidateCachedQuery' }),
    'busy',
  ],
  [
    'a trigger of the caller’s, in the words of SQLite',
    pg('P0001', 'database is locked'),
    undefined,
  ],
  ['one with a code of its choice', pg('22000', 'D1 DB is overloaded'), undefined],
  [
    'one of SQLite',
    raised('the database is locked until Monday', { code: 'SQLITE_CONSTRAINT_TRIGGER' }),
    undefined,
  ],
  [
    'Sequelize, around the error of its driver',
    raised('x', { name: 'SequelizeDatabaseError', original: pg('40P01', 'deadlock detected') }),
    'race',
  ],
  ['a relation that exists', pg('42P07', 'relation "a" already exists'), 'exists'],
  ['a schema that exists', pg('42P06', 'schema "a" already exists'), 'exists'],
  ['a type that exists', pg('42710', 'type "a" already exists'), 'exists'],
  ['a column that exists', pg('42701', 'column "a" already exists'), 'exists'],
  ['a column that exists, in SQLite', raised('duplicate column name: state'), 'exists'],
  ['a syntax error', pg('42601', 'syntax error at or near "x"'), undefined],
  ['a full disk', raised('database or disk is full', { code: 'SQLITE_FULL' }), undefined],
  ['an error of the caller’s own', new Error('no'), undefined],
  ['text', 'database is locked', undefined],
  ['nothing', undefined, undefined],
  ['null', null, undefined],
];

for (const [title, error, kind] of KINDS) {
  test(`contention: ${title} is ${kind ?? 'none'}`, () => {
    assert.equal(contentionOf(error), kind);
  });
}

test('contention: an error of the library is final, whatever it is about', () => {
  const cause = pg('40001', 'could not serialize access');
  const details = { marker: 'migrations', version: '1', cause };
  assert.equal(contentionOf(cause), 'race');
  assert.equal(contentionOf(new TransactionAbortedError('database is locked', details)), undefined);
});

test('contention: a cause that is its own cause ends', () => {
  const error = new Error('round');
  error.cause = error;
  assert.equal(contentionOf(error), undefined);
});

test('a missing table is recognised in every spelling', () => {
  for (
    const error of [
      raised('no such table: migrations'),
      raised('D1_ERROR: no such table: migrations: SQLITE_ERROR'),
      raised('SQLITE_ERROR: no such table: main.migrations'),
      pg('42P01', 'relation "migrations" does not exist'),
    ]
  ) assert.ok(isMissingTable(error), error.message);
  assert.ok(!isMissingTable(raised('no such column: state')));
  // A look finds no table there; only what creates something says this, and it is final.
  assert.ok(!isMissingTable(pg('3F000', 'schema "tenant" does not exist')));
  assert.ok(!isMissingTable(undefined));
});

test('Prisma says it three levels down, in names of its own', () => {
  const prisma = (originalCode: string, originalMessage: string) =>
    raised('Invalid `prisma.$queryRawUnsafe()` invocation', {
      code: 'P2010',
      meta: { driverAdapterError: raised('x', { cause: { originalCode, originalMessage } }) },
    });
  assert.ok(isMissingTable(prisma('42P01', 'relation "migrations" does not exist')));
  assert.equal(contentionOf(prisma('40001', 'could not serialize access')), 'race');
  const duplicate = 'duplicate key value violates unique constraint "migrations_pkey"';
  assert.ok(isUniqueViolation(prisma('23505', duplicate), 'migrations'));
});

test('a missing column is recognised in every spelling', () => {
  for (
    const error of [
      raised('no such column: state'),
      raised('table migrations has no column named state'),
      raised('D1_ERROR: table migrations has no column named state: SQLITE_ERROR'),
      pg('42703', 'column "state" of relation "migrations" does not exist'),
    ]
  ) assert.ok(isMissingColumn(error), error.message);
  assert.ok(!isMissingColumn(raised('no such table: migrations')));
});

test('a row that is there already is recognised, and told from those of other tables', () => {
  for (
    const error of [
      raised('UNIQUE constraint failed: migrations.name'),
      raised(
        'D1_ERROR: UNIQUE constraint failed: migrations.name: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_PRIMARYKEY)',
      ),
      pg('23505', 'duplicate key value violates unique constraint "migrations_pkey"'),
      pg('23505', 'duplicate key', { constraint: 'migrations_pkey' }),
    ]
  ) assert.ok(isUniqueViolation(error, 'migrations'), error.message);
  assert.ok(!isUniqueViolation(raised('UNIQUE constraint failed: users.name'), 'migrations'));
  assert.ok(
    !isUniqueViolation(pg('23505', 'duplicate key', { constraint: 'users_pkey' }), 'migrations'),
  );
  for (
    const fields of [
      { constraint: 'migrations_pkey1' },
      { constraint: 'renamed_pkey', table: 'migrations' },
      { constraint_name: 'renamed_pkey', table_name: 'migrations' },
    ]
  ) assert.ok(isUniqueViolation(pg('23505', 'duplicate key', fields), 'migrations'));
  // SQLite says what the table was called when it was made.
  assert.ok(isUniqueViolation(raised('UNIQUE constraint failed: Migrations.name'), 'migrations'));
  const long = 'm'.repeat(63);
  assert.ok(isUniqueViolation(pg('23505', '', { constraint: `${'m'.repeat(58)}_pkey` }), long));
});

test('so is one in a table whose name ends like the ledger’s', () => {
  const text = 'duplicate key value violates unique constraint "app_migrations_pkey"';
  const error = Object.assign(new Error(text), {
    code: '23505',
    constraint: 'app_migrations_pkey',
  });
  assert.equal(isUniqueViolation(error, 'migrations'), false);
  assert.equal(isUniqueViolation(new Error(text), 'migrations'), false);
  assert.equal(isUniqueViolation(error, 'app_migrations'), true);
});

test('an aborted transaction is recognised', () => {
  assert.ok(isAbortedTransaction(pg('25P02', 'current transaction is aborted')));
  assert.ok(!isAbortedTransaction(pg('25P01', 'no active transaction')));
});

test('a driver that has no transactions is told from one that failed to begin', () => {
  for (
    const message of [
      'Transactions are not supported yet.',
      "Transactions aren't supported",
      'transactions are not currently supported by this driver',
      `NeonDialect doesn't support interactive transactions, while Kysely doesn't support batch requests (yet).`,
      'PlanetScale does not support transactions',
      'transactions are unsupported by this driver',
      'To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs',
    ]
  ) assert.ok(isTransactionUnsupported(new Error(message)), message);
  for (
    const message of [
      'connect ECONNREFUSED 127.0.0.1:5432',
      'database is locked',
      'cannot start a transaction within a transaction',
      'Connection terminated unexpectedly',
      'timeout exceeded when trying to connect',
      'remaining connection slots are reserved',
    ]
  ) assert.ok(!isTransactionUnsupported(new Error(message)), message);
});

test('of a long message the beginning and the end are read', () => {
  const long = 'x'.repeat(20_000);
  assert.equal(contentionOf(new Error(`database is locked: ${long}`)), 'busy');
  assert.equal(contentionOf(new Error(`${long} - database is locked`)), 'busy');
  // A pattern that starts in many places would go through all the rest from each of them.
  assert.equal(contentionOf(new Error(`${long} database is locked ${long}`)), undefined);
});

test('a server without advisory locks is recognised', () => {
  assert.ok(isAdvisoryLockUnsupported(new Error('advisory locks are not supported')));
  assert.ok(isAdvisoryLockUnsupported(
    pg('42883', 'function pg_try_advisory_xact_lock(integer, integer) does not exist'),
  ));
  assert.ok(isAdvisoryLockUnsupported(pg('42883', 'unknown function: hashtext()')));
  assert.ok(!isAdvisoryLockUnsupported(new Error('database is locked')));
  assert.ok(
    !isAdvisoryLockUnsupported(
      pg(
        '55P03',
        'select pg_try_advisory_xact_lock(1, 2): canceling statement due to lock timeout',
      ),
    ),
  );
  assert.ok(
    !isAdvisoryLockUnsupported(
      pg('42P01', 'relation "advisory_board" does not exist'),
    ),
  );
});
