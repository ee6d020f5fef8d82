/**
 * What a call costs the processor, where there is no network at all.
 *
 * @module
 */

import { measure } from 'mitata';

import { bootstrapSchema, createBootstrap } from '../../../mod.ts';
import { openSqlite } from '../engines/sqlite.ts';
import { told } from '../measure.ts';
import { oneSelect } from '../peers/floors.ts';
import { OTHERS } from '../peers/list.ts';
import type { Run } from '../run.ts';
import { schemaFor, VERSION } from '../schema.ts';

/** One kind of call. */
export interface CpuRow {
  readonly what: 'warm' | 'cold';
  readonly name: string;
  /** The median, in nanoseconds. */
  readonly ns?: number;
  readonly error?: string;
}

/** Measures all calls, on a SQLite database in memory where they need one. */
export async function cpu({ effort, progress }: Run): Promise<CpuRow[]> {
  return [...await warm(progress), ...await cold(progress, effort.tables)];
}

async function warm(progress: Run['progress']): Promise<CpuRow[]> {
  const { ddl } = await schemaFor(1);
  const caller = openSqlite(':memory:');
  const ensure = createBootstrap({ version: VERSION, ddl });
  await ensure(caller.kysely);
  const resolved = Promise.resolve();
  const calls: [string, () => Promise<unknown>][] = [
    ['await of a resolved promise', async () => await resolved],
    ['db-migrate', async () => await ensure(caller.kysely)],
  ];
  const rows: CpuRow[] = [];
  for (const [name, call] of calls) {
    progress.say('cpu: warm', name);
    rows.push({ what: 'warm', name, ns: (await measure(call)).p50 });
  }
  await caller.close();
  return rows;
}

async function cold(progress: Run['progress'], tables: number): Promise<CpuRow[]> {
  const schema = await schemaFor(tables);
  const rows: CpuRow[] = [];
  const add = async (name: string, call: () => Promise<unknown>) => {
    progress.say('cpu: cold', name);
    try {
      await call();
      rows.push({ what: 'cold', name, ns: (await measure(call)).p50 });
    } catch (error) {
      rows.push({ what: 'cold', name, error: told(error) });
    }
  };

  const ours = openSqlite(':memory:');
  const bootstrap = () => bootstrapSchema(ours.kysely, { version: VERSION, ddl: schema.ddl });
  await bootstrap();
  const find = ours.kysely.selectFrom('migrations').selectAll().where('name', '=', VERSION);
  await add(oneSelect.name, await oneSelect.on.sqlite!(ours, schema));
  await add('one Kysely select', () => find.execute());
  await add('db-migrate', bootstrap);
  await ours.close();

  for (const peer of OTHERS.filter((peer) => peer.on.sqlite)) {
    const caller = openSqlite(':memory:');
    await add(peer.name, await peer.on.sqlite!(caller, schema));
    await peer.settle?.();
    await caller.close();
  }
  return rows;
}
