/**
 * umzug, with the storage of a Kysely user: its own one needs Sequelize.
 *
 * @module
 */

import { Umzug } from 'umzug';

import { VERSION } from '../schema.ts';
import { alike, type Peer } from './peer.ts';

const TABLE = 'umzug';

/** umzug. */
export const umzug: Peer = {
  name: 'umzug',
  package: 'umzug',
  note: 'with a storage of two Kysely statements, as it has none for Kysely',
  on: alike(['postgres', 'libsql', 'd1', 'sqlite'], ({ kysely }, { ddl }) => {
    const tool = new Umzug({
      migrations: [{ name: VERSION, up: () => ddl(kysely) }],
      logger: undefined,
      storage: {
        executed: async () => {
          await kysely.schema.createTable(TABLE).ifNotExists()
            .addColumn('name', 'varchar(255)', (column) => column.primaryKey()).execute();
          const rows = await kysely.selectFrom(TABLE).select('name').execute();
          return rows.map(({ name }) => name as string);
        },
        logMigration: async ({ name }) => {
          await kysely.insertInto(TABLE).values({ name }).execute();
        },
        unlogMigration: async ({ name }) => {
          await kysely.deleteFrom(TABLE).where('name', '=', name).execute();
        },
      },
    });
    return () => tool.up();
  }),
};
