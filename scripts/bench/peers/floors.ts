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
