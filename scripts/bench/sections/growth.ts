/**
 * How the cost grows with the number of statements, callers and databases.
 *
 * @module
 */

import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { bootstrapSchema } from '../../../mod.ts';
import { scratch } from '../../../tests/engines/scratch.ts';
import type { EngineName, SqliteCaller } from '../caller.ts';
import { openSqlite } from '../engines/sqlite.ts';
import { told, withPeer } from '../measure.ts';
import { OTHERS, peersOn } from '../peers/list.ts';
import { kyselyMigrator } from '../peers/kysely.ts';
import { batch } from '../peers/ours.ts';
import type { Run } from '../run.ts';
import { type BenchSchema, schemaFor, scriptOf, VERSION } from '../schema.ts';
import { medianOf, timed } from '../stats.ts';
import { race, type RaceRow } from './race.ts';
import { type Counted, countFresh } from './wire.ts';

/** An install, counted on the wire. */
export interface SizeCountRow {
  readonly engine: EngineName;
  readonly peer: string;
  readonly tables: number;
  readonly fresh: Counted;
}

/** An install in a local SQLite file. */
export interface LocalRow {
  readonly name: string;
  readonly tables: number;
  /** The median. */
  readonly ms?: number;
  readonly error?: string;
}

/** Many databases from one process. */
export interface TenantRow {
  readonly what: 'fresh' | 'installed';
  readonly name: string;
  readonly databases: number;
  /** The median of the blocks. */
  readonly msPerDatabase: number;
}

/** All of it. */
export interface Growth {
  readonly counts: SizeCountRow[];
  readonly local: LocalRow[];
  readonly crowds: RaceRow[];
  readonly tenants: TenantRow[];
}

/** Measures how it grows. */
export async function growth(run: Run): Promise<Growth> {
  return {
    counts: await counts(run),
    crowds: await crowds(run),
    local: await local(run),
    tenants: await tenants(run),
  };
}

async function counts({ engines, effort, progress }: Run): Promise<SizeCountRow[]> {
  const rows: SizeCountRow[] = [];
  for (const name of ['postgres', 'libsql', 'd1'] as const) {
    const engine = await engines.get(name);
    for (const tables of effort.sizes) {
      const schema = await schemaFor(tables);
      const peers = peersOn(name).filter((peer) =>
        !peer.ownSchema && peer.name !== 'bare select 1'
      );
      for (const peer of peers) {
        progress.say(`growth: statements on ${name}`, `${peer.name}, ${tables} tables`);
        const fresh = await countFresh(engine, peer, schema);
        rows.push({ engine: name, peer: peer.name, tables, fresh });
      }
    }
  }
  return rows;
}

const CROWD_DELAY_MS = 20;
const CROWD_RACES = 3;

async function crowds({ engines, effort, progress }: Run): Promise<RaceRow[]> {
  const schema = await schemaFor(effort.tables);
  const rows: RaceRow[] = [];
  for (const [name, peers] of [['postgres', [batch, kyselyMigrator]], ['d1', [batch]]] as const) {
    const engine = await engines.get(name);
    for (const peer of peers) {
      for (const callers of effort.crowds) {
        progress.say(`growth: callers on ${name}`, `${peer.name}, ${callers}`);
        const races = peer === batch ? Math.min(effort.races[CROWD_DELAY_MS]!, CROWD_RACES) : 1;
        rows.push(await race(engine, peer, schema, CROWD_DELAY_MS, callers, races));
      }
    }
  }
  return rows;
}

/** Installs the schema in a database that is open. */
type Local = (caller: SqliteCaller, schema: BenchSchema) => unknown;

const BY_DRIVER: [string, Local] = [
  'the same DDL as one script, by the driver',
  ({ database }, { statements }) =>
    database.exec(`begin immediate;\n${scriptOf(statements.sqlite)}commit`),
];

const BY_HAND: [string, Local] = [
  'the same DDL in one Kysely transaction, by hand',
  ({ kysely }, { ddl }) => kysely.transaction().execute(ddl),
];

const BY_US: [string, Local] = [
  'db-migrate, transaction',
  ({ kysely }, { ddl }) => bootstrapSchema(kysely, { version: VERSION, ddl }),
];

async function local({ engines, effort, progress }: Run): Promise<LocalRow[]> {
  const engine = await engines.get('sqlite');
  const rows: LocalRow[] = [];
  for (const tables of effort.sizes) {
    const schema = await schemaFor(tables);
    const ways = [BY_DRIVER, BY_HAND, BY_US];
    const times = new Map(ways.map(([name]) => [name, [] as number[]]));
    for (let round = -1; round < effort.rounds; round++) {
      // In turns, so that what the machine does meanwhile falls on all of them alike.
      for (const [name, install] of turned(ways, round)) {
        progress.say('growth: local SQLite', `${name}, ${tables} tables`);
        const ms = await locally((caller) => timed(() => install(caller, schema)));
        if (round >= 0) times.get(name)!.push(ms);
      }
    }
    for (const [name, all] of times) rows.push({ name, tables, ms: medianOf(all) });
    for (const peer of OTHERS.filter((peer) => peer.on.sqlite)) {
      progress.say('growth: local SQLite', `${peer.name}, ${tables} tables`);
      const all: number[] = [];
      try {
        for (let round = 0; round < Math.min(effort.rounds, 3); round++) {
          all.push(
            await withPeer(engine, peer, schema, async ({ caller }) => timed(await caller())),
          );
        }
        rows.push({ name: peer.name, tables, ms: medianOf(all) });
      } catch (error) {
        rows.push({ name: peer.name, tables, error: told(error) });
      }
    }
  }
  return rows;
}

/** Another one is first each time. */
function turned<T>(list: readonly T[], by: number): T[] {
  const at = (by + list.length) % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
}

async function locally<T>(run: (caller: SqliteCaller) => Promise<T>): Promise<T> {
  const directory = scratch('local');
  const caller = openSqlite(join(directory, 'local.db'));
  try {
    return await run(caller);
  } finally {
    await caller.close();
    rmSync(directory, { recursive: true });
  }
}

/** How many databases are made in a row before it is another way's turn. */
const BLOCK = 10;

async function tenants({ effort, progress }: Run): Promise<TenantRow[]> {
  const schema = await schemaFor(effort.tables);
  const directory = scratch('tenants');
  const nothing: [string, Local] = [
    'opening only',
    ({ database }) => database.pragma('user_version'),
  ];
  const select: [string, Local] = [
    'opening and one Kysely select',
    ({ kysely }) =>
      kysely.selectFrom('migrations').selectAll().where('name', '=', VERSION).execute(),
  ];
  const round = async (what: TenantRow['what'], ways: [string, string, Local][]) => {
    const ms = ways.map(() => [] as number[]);
    for (let done = 0; done < effort.tenants; done += BLOCK) {
      progress.say(`growth: databases, ${what}`, `${done} of ${effort.tenants}`);
      for (const at of turned([...ways.keys()], done / BLOCK)) {
        const [, folder, install] = ways[at]!;
        const took = await timed(async () => {
          for (let n = done; n < done + BLOCK; n++) {
            const caller = openSqlite(join(directory, `${folder}${n}.db`));
            await install(caller, schema);
            await caller.close();
          }
        });
        ms[at]!.push(took / BLOCK);
      }
    }
    return ways.map(([name], at): TenantRow => ({
      ...{ what, name, databases: effort.tenants },
      msPerDatabase: medianOf(ms[at]!),
    }));
  };
  const rows = [
    ...await round('fresh', [
      [nothing[0], 'empty', nothing[1]],
      [BY_HAND[0], 'hand', BY_HAND[1]],
      [BY_US[0], 'ours', BY_US[1]],
    ]),
    // Opened by their own processes: these databases are all installed by now.
    ...await round('installed', [
      [nothing[0], 'ours', nothing[1]],
      [select[0], 'ours', select[1]],
      [BY_US[0], 'ours', BY_US[1]],
    ]),
  ];
  rmSync(directory, { recursive: true });
  return rows;
}
