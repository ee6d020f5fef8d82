/**
 * The least that can be done, by hand and with the driver alone: what all else is a multiple of.
 *
 * @module
 */

import { scriptOf } from '../schema.ts';
import type { Peer } from './peer.ts';

/** The least that a look at a database can cost. */
export const oneSelect: Peer = {
  name: 'bare select 1',
  package: '',
  on: {
    postgres: ({ pool }) => () => pool.query('select 1'),
    libsql: ({ client }) => () => client.execute('select 1'),
    d1: ({ binding }) => () => binding.prepare('select 1').all(),
    sqlite: ({ database }) => () => Promise.resolve(database.prepare('select 1').all()),
  },
};

/** The least that an install can cost: the DDL and nothing else, at once. */
export const oneBatch: Peer = {
  name: 'bare batch of the DDL',
  package: '',
  freshOnly: true,
  on: {
    postgres: ({ pool }, { statements: { postgres } }) => () =>
      pool.query(`begin;\n${scriptOf(postgres)}commit`),
    libsql: ({ client }, { statements: { sqlite } }) => () => client.batch([...sqlite], 'write'),
    d1: ({ binding }, { statements: { sqlite } }) => () =>
      binding.batch(sqlite.map((sql) => binding.prepare(sql))),
    sqlite: ({ database }, { statements: { sqlite } }) => () =>
      Promise.resolve(void database.exec(`begin immediate;\n${scriptOf(sqlite)}commit`)),
  },
};

const CREATE = 'create table if not exists byhand (name varchar(255) primary key)';
const CLAIM = "insert into byhand values ('v')";
const LOOK = 'select name from byhand';

/** Looks, installs if nothing is found, and looks again if that was refused. */
async function look(find: () => Promise<unknown>, install: () => Promise<unknown>) {
  await find().catch(() => {});
  await install().catch(find);
}

/**
 * The least that a racer can do: a look, a batch with a row that only one can insert, a look again.
 * By hand and without a promise about anything else that can happen.
 */
export const leastRacer: Peer = {
  name: 'the same round trips by hand',
  package: '',
  on: {
    postgres: ({ pool }, { statements: { postgres } }) => {
      const text = `begin;\n${CREATE};\n${CLAIM};\n${scriptOf(postgres)}commit`;
      const install = async () => {
        const client = await pool.connect();
        try {
          await client.query(text);
        } catch (error) {
          await client.query('rollback');
          throw error;
        } finally {
          client.release();
        }
      };
      return () => look(() => pool.query(LOOK), install);
    },
    libsql: ({ client }, { statements: { sqlite } }) => () =>
      look(() => client.execute(LOOK), () => client.batch([CREATE, CLAIM, ...sqlite], 'write')),
    d1: ({ binding }, { statements: { sqlite } }) => () =>
      look(
        () => binding.prepare(LOOK).all(),
        () => binding.batch([CREATE, CLAIM, ...sqlite].map((sql) => binding.prepare(sql))),
      ),
  },
};
