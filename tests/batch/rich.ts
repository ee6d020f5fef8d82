/**
 * DDL with everything in it that is hard to put into a script, and a way to compare what it makes.
 *
 * @module
 */

import { type Kysely, sql } from 'kysely';

import type { Dialect } from '../../mod.ts';
import type { TestDatabase } from '../engines/engine.ts';

// deno-lint-ignore no-explicit-any
type Db = Kysely<any>;

/** Strings that are hard to quote, or that a shell could take for something of its own. */
export const STRINGS: readonly string[] = [
  '',
  "it's",
  "''",
  '"double" `back` [square]',
  'one; two; three;',
  "'; drop table seeds; --",
  'line\nbreak\r\nand\ttab',
  'a\n.tables\ngo\n/\n\\q\n;\n',
  '-- no comment',
  '/* no comment */',
  '$1 ? ?1 $$ $a$ :name @name',
  "back\\slash \\n \\'",
  'BEGIN\nx; END; begin case end',
  'ünïcode 🚀 初期',
  ' padded ',
];

/** Everything but what some drivers cannot bind. */
export function richDdl(dialect: Dialect): (db: Db) => Promise<void> {
  return dialect === 'sqlite' ? richSqlite : richPostgres;
}

async function richSqlite(db: Db): Promise<void> {
  await seedTable(db, 'blob');
  await db.schema.createTable('log').addColumn('what', 'text').addColumn('size', 'text').execute();
  await sql`create trigger logging after insert on seeds for each row when new.id >= 0 begin
    insert into log (what, size)
      values ('new; seed', case when length(new.word) > 9 then 'big;' else 'small' end);
    update seeds set note = (select case new.id when 3 then 'three' end) where id = new.id;
  end`.execute(db);
  await sql`CREATE TRIGGER upper_case AFTER DELETE ON seeds BEGIN SELECT 1; SELECT 2; END;`
    .execute(db);
  await db.schema.createTable('checked')
    .addColumn(
      'id',
      'integer',
      (column) => column.check(sql`case when id > 0 then 1 else 0 end`).defaultTo(7),
    )
    .addColumn('odd; "name', 'text', (column) => column.defaultTo("it's; -- ")).execute();
  await finish(db);
}

async function richPostgres(db: Db): Promise<void> {
  await seedTable(db, 'bytea');
  await db.schema.createTable('log').addColumn('what', 'text').addColumn('size', 'text').execute();
  await sql`create function logging() returns trigger language plpgsql as $body$
    begin
      insert into log (what, size)
        values ('new; seed', case when length(new.word) > 9 then 'big;' else 'small' end);
      return new;
    end
  $body$`.execute(db);
  await sql`create trigger logging before insert on seeds
    for each row execute function logging()`.execute(db);
  await sql`create function two() returns integer language sql begin atomic select 1; select 2; end`
    .execute(db);
  await sql`do $$ begin execute 'create table done (id integer); select 1'; end $$`.execute(db);
  await sql`comment on table seeds is E'it\\'s; a comment'`.execute(db);
  await finish(db);
}

async function seedTable(db: Db, bytes: 'blob' | 'bytea'): Promise<void> {
  await db.schema.createTable('seeds')
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('word', 'text')
    .addColumn('note', 'text')
    .addColumn('number', 'double precision')
    .addColumn('bytes', sql.raw(bytes)).execute();
}

async function finish(db: Db): Promise<void> {
  await db.schema.createIndex('by_word').on('seeds').columns(['word', 'id']).execute();
  await db.schema.createView('words').as(
    db.selectFrom('seeds').select('word').where('id', '>', sql.lit(0)),
  ).execute();
  for (const [id, word] of STRINGS.entries()) {
    await db.insertInto('seeds').values({
      id,
      word,
      number: [0, -1.5, 1e21, 1e-7][id % 4],
      bytes: new Uint8Array([0, 39, 59, 255, id]),
    }).execute();
  }
  await db.updateTable('seeds').set({ number: -2 }).where('number', '<', -1).execute();
  await sql`insert into seeds (id, word) -- the last one
    values (${-1}, ${null}) -- ; and nothing behind it`.execute(db);
}

/** What {@link richDdl} has made, to be compared. */
export async function stateOf(database: TestDatabase, dialect: Dialect): Promise<unknown[][]> {
  const bytes = dialect === 'sqlite' ? 'hex(bytes)' : "encode(bytes, 'hex')";
  const queries = [
    ...(dialect === 'sqlite' ? SQLITE_SCHEMA : POSTGRES_SCHEMA),
    `select id, word, note, number, ${bytes} as bytes from seeds order by id`,
    'select what, size from log order by 1, 2',
  ];
  const state: unknown[][] = [];
  for (const query of queries) {
    const rows = await database.run(query);
    state.push(rows.map((row) => ({ ...(row as Record<string, unknown>) })));
  }
  return state;
}

const SQLITE_SCHEMA = [
  `select type, name, tbl_name, sql from sqlite_master
  where tbl_name <> 'migrations' and name not glob 'sqlite_*' and name not glob '_cf_*'
  order by type, name`,
];

const POSTGRES_SCHEMA = [
  `select table_name, column_name, data_type, is_nullable, column_default
  from information_schema.columns
  where table_schema = 'public' and table_name <> 'migrations' order by 1, 2`,
  `select indexname, indexdef from pg_indexes
  where schemaname = 'public' and tablename <> 'migrations' order by 1`,
  `select table_name, view_definition from information_schema.views
  where table_schema = 'public'`,
  `select trigger_name, action_statement, action_timing from information_schema.triggers`,
  `select routine_name, routine_definition from information_schema.routines
  where routine_schema = 'public' order by 1`,
  `select obj_description('seeds'::regclass) as comment`,
];
