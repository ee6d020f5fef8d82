/**
 * Postgres through `pg`.
 *
 * @module
 */

import { Kysely, PostgresDialect } from 'kysely';

import { postgresBatch } from '../../../mod.ts';
import { pg } from '../../../tests/engines/postgres.ts';
import type { BenchDatabase, BenchEngine, PostgresCaller } from '../caller.ts';
import { startLine } from '../lines/line.ts';

/** Connections of one caller. */
const CONNECTIONS = 2;

const COUNT = `select count(*)::int as n from pg_tables where tablename ~ '^t[0-9]{3}$'`;

/** Starts it. */
export async function startPostgres(): Promise<BenchEngine> {
  const engine = await pg.start();
  const line = await startLine({ kind: 'postgres', ...engine.endpoint! });
  const create = async (): Promise<BenchDatabase> => {
    const database = await engine.create();
    const url = Object.assign(new URL(database.address!), { host: `127.0.0.1:${line.port}` }).href;
    // deno-lint-ignore no-explicit-any
    const direct = database.handle!({ connections: 4 }) as any;
    return {
      caller: async () => {
        // deno-lint-ignore no-explicit-any
        const pool = database.handle!({ via: line, connections: CONNECTIONS }) as any;
        await pool.query('select 1');
        const caller: PostgresCaller = {
          engine: 'postgres',
          kysely: new Kysely({ dialect: new PostgresDialect({ pool }) }),
          batch: postgresBatch(pool),
          pool,
          url,
          close: () => pool.end(),
        };
        return caller;
      },
      tables: async () => (await direct.query(COUNT)).rows[0].n,
      drop: () => database.drop(),
    };
  };
  const probe = await engine.create();
  const [row] = await probe.run('show server_version') as { server_version: string }[];
  await probe.drop();
  return {
    name: 'postgres',
    version: `PostgreSQL ${row!.server_version}`,
    line,
    create,
    stop: async () => {
      await engine.stop();
      line.stop();
    },
  };
}
