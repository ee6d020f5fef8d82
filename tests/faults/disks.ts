/**
 * SQLite files that find no room: by a limit of SQLite's own, by one of the system's, or since the
 * disk is full. The engine's own error reaches the caller, nothing partial is left, and it installs
 * once there is room.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Kysely, sql } from 'kysely';

import { bootstrapSchema } from '../../mod.ts';
import { thrownBy, within } from '../cases/support.ts';
import { inDatabase } from '../engines/engine.ts';
import { sqlite } from '../engines/sqlite.ts';
import { during } from '../processes/during.ts';
import { inFolder, type Journal, look } from '../processes/files.ts';
import { type Random, seeded, spreadInteger } from '../processes/random.ts';
import { VERSION } from '../races/call.ts';
import { CallerProcess } from '../races/caller_process.ts';
import { judge } from './aftermath.ts';
import { askFor, orderFor } from './asks.ts';
import { CEILING_MS, COUNTS } from './counts.ts';
import { Toll } from './toll.ts';

/** What a file can be installed with. */
export const FILE_STRATEGIES = ['transaction', 'lease'] as const;

/** Where SQLite keeps its journal makes a difference to what is written when. */
export const JOURNALS: readonly Journal[] = ['wal', 'delete'];

type Strategy = (typeof FILE_STRATEGIES)[number];

/** One kind of file with one kind of install. */
export interface Tightness {
  readonly journal: Journal;
  readonly strategy: Strategy;
}

const PAGE_BYTES = 4_096;

/** SQLite says so at the statement or at the COMMIT, or the system says it to SQLite. */
const FULL = /database or disk is full|disk I\/O error/;

/** Kysely throws the error of its rollback, which finds no transaction, in the COMMIT's place. */
const MASKED = /the database rolled the transaction back at its commit/;

/** Ways to have no room; a line says which cannot be had here, and why. */
export function tightPlaces(): { name: string; run: (tightness: Tightness) => Promise<void> }[] {
  const places = [
    { name: 'max_page_count', run: limitPages },
    { name: 'RLIMIT_FSIZE', run: limitFile },
  ];
  try {
    const tryIt = ['mount', '-t', 'tmpfs', 'tmpfs', tmpdir()];
    execFileSync('unshare', [...OWN_MOUNTS, ...tryIt], { stdio: 'pipe' });
    return [...places, { name: 'a full disk', run: fillDisk }];
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    console.log(`skipped: a full disk: no tmpfs of one's own here: ${reason}`);
    return places;
  }
}

// What is mounted is the process's own, and goes with it.
const OWN_MOUNTS = ['--user', '--map-root-user', '--mount'];

/** Runs `use` with so many pages as there may be, always too few, in order. */
async function atSizes(
  what: string,
  { journal, strategy }: Tightness,
  use: (pages: number, at: { n: number; random: Random; toll: Toll }) => Promise<void>,
): Promise<void> {
  const toll = new Toll(`${what}, ${journal}, ${strategy}`);
  await seeded(async (random) => {
    const needed = await measure({ journal, strategy });
    const sizes = spreadInteger(random, Math.min(COUNTS.disks, needed - 1), 1, needed - 1);
    for (const [n, pages] of sizes.entries()) {
      await during(`${pages} of ${needed} pages`, () => use(pages, { n, random, toll }));
    }
    toll.tell(`; ${needed} pages`);
  });
}

/** How many pages an installed file has. */
async function measure({ journal, strategy }: Tightness): Promise<number> {
  let pages = 0;
  await inDatabase(sqlite, async (database) => {
    const { tables: _, ...ask } = askFor('by_0', strategy, strategy === 'lease');
    await bootstrapSchema(database.connect(), { version: VERSION, ...ask });
    const [row] = await database.run('pragma page_count') as { page_count: number }[];
    pages = Number(row!.page_count);
  }, { journal });
  return pages;
}

/** `pragma max_page_count`: the same instance is given room, and installs. */
function limitPages(tightness: Tightness): Promise<void> {
  const { journal, strategy } = tightness;
  return atSizes(
    'max_page_count',
    tightness,
    (pages, { n, toll }) =>
      inDatabase(sqlite, async (database) => {
        // One connection, as the limit is the connection's.
        const db = database.connect();
        await sql.raw(`pragma max_page_count = ${pages}`).execute(db);
        const { tables: _, ddl, ...ask } = askFor('by_full', strategy, strategy === 'lease');
        let seen: unknown;
        // deno-lint-ignore no-explicit-any
        const watched = async (db: Kysely<any>): Promise<void> => {
          try {
            await (ddl as typeof watched)(db);
          } catch (error) {
            seen = error;
            throw error;
          }
        };
        const call = bootstrapSchema(db, { version: VERSION, ...ask, ddl: watched });
        const thrown = await within(CEILING_MS, thrownBy(call));
        assert.match((thrown as Error).message, FULL);
        if (seen !== undefined) assert.equal(thrown, seen);

        await sql.raw('pragma max_page_count = 1000000').execute(db);
        const next = FILE_STRATEGIES[n % FILE_STRATEGIES.length]!;
        const hit = { strategy, acknowledged: [] };
        toll.add(await judge(database, hit, () => ({ db }), { next, isAtOnce: n % 4 > 1 }));
      }, { journal }),
  );
}

/** `RLIMIT_FSIZE`: a process that may not write past a size; another one may. */
function limitFile(tightness: Tightness): Promise<void> {
  const { journal, strategy } = tightness;
  return atSizes(
    'RLIMIT_FSIZE',
    tightness,
    (pages, { n, toll }) =>
      inDatabase(sqlite, async (database) => {
        const script = `trap '' XFSZ; ulimit -f "$0"; exec "$@"`;
        const blocks = String(pages * PAGE_BYTES / 512);
        const process = await CallerProcess.start(['/bin/sh', '-c', script, blocks]);
        await process.ask({ kind: 'open', engine: 'sqlite', address: database.address! }, 'opened');
        await askInVain(process, strategy);
        await process.kill();
        const next = FILE_STRATEGIES[n % FILE_STRATEGIES.length]!;
        const hit = { strategy, acknowledged: [] };
        const nextOn = () => ({ db: database.connect() });
        toll.add(await judge(database, hit, nextOn, { next, isAtOnce: n % 4 > 1 }));
      }, { journal }),
  );
}

/** A disk of a few pages: the same process is given room by removing another file, and installs. */
function fillDisk(tightness: Tightness): Promise<void> {
  const { journal, strategy } = tightness;
  return inFolder((folder) =>
    atSizes('a full disk', tightness, async (pages, { n, toll }) => {
      const disk = join(folder, `disk-${n}`);
      mkdirSync(disk);
      const total = 200;
      const script = `disk=$0 && mount -t tmpfs -o size=${total * PAGE_BYTES} tmpfs "$disk" &&
        head -c ${(total - pages) * PAGE_BYTES} /dev/zero >"$disk/ballast" && exec "$@"`;
      const mounted = ['unshare', ...OWN_MOUNTS, '/bin/sh', '-c', script, disk];
      const process = await CallerProcess.start(mounted);
      const inside = `/proc/${process.pid}/root${disk}`;
      const address = join(disk, 'test.db');
      await process.ask({ kind: 'open', engine: 'sqlite', address, journal }, 'opened');
      await askInVain(process, strategy);
      const copy = join(folder, `${n}.db`);
      for (const suffix of ['', '-journal', '-wal']) {
        const path = join(inside, `test.db${suffix}`);
        if (existsSync(path)) copyFileSync(path, copy + suffix);
      }
      const { tables, ledger, integrity } = look(copy);
      assert.equal(integrity, 'ok');
      if (strategy === 'transaction') {
        assert.deepEqual({ tables, ledger }, { tables: [], ledger: [] });
      }
      toll.add(tables.length === 0 ? 'nothing' : 'partial');

      rmSync(join(inside, 'ballast'));
      const { settled } = await process.ask(orderFor('by_full', strategy), 'settled');
      assert.equal(settled.outcome, 'installed', JSON.stringify(settled));
      assert.equal(settled.unusable, undefined);
      await process.kill();
    })
  );
}

async function askInVain(process: CallerProcess, strategy: Strategy): Promise<void> {
  const { settled } = await within(
    CEILING_MS,
    process.ask(orderFor('by_full', strategy), 'settled'),
  );
  assert.equal(settled.outcome, 'threw', JSON.stringify(settled));
  const { message } = settled.error!;
  if (strategy === 'lease' || !MASKED.test(message)) assert.match(message, FULL);
}
