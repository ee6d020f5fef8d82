/**
 * Readers that are in the way.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { COUNTS, TABLES, tell } from './counts.ts';
import { createFile, inFolder, type Journal } from './files.ts';
import { assertRace, ordersOf, type Race, race, Tally } from './race.ts';
import { withWorkers, type WorkerProcess } from './worker_process.ts';

const READERS = 15;
const CALLERS = 4;

/**
 * With a rollback journal a COMMIT fails while anybody reads, and SQLite does not wait where the
 * busy timeout is 0: so the DDL has run, and all of it must be run again.
 */
export async function installAmongReaders(): Promise<void> {
  await inFolder((folder) =>
    withWorkers(READERS + CALLERS, async (workers) => {
      const readers = workers.slice(0, READERS);
      const callers = workers.slice(READERS);
      const tally = new Tally();
      // Most installs meet a failing COMMIT, but that is luck: so there are more where none has.
      const most = () => tally.reruns > 0 ? COUNTS.readerRounds : 10 * COUNTS.readerRounds;
      for (let round = 1; round <= most(); round++) {
        const options = { path: join(folder, `${round}.db`), busyTimeoutMs: 0, tables: TABLES };
        createFile(options.path, 'delete');
        await Promise.all(readers.map((reader) => startReading(reader, options)));
        const settled = await race(callers, options);
        await Promise.all(readers.map(stopReading));
        tally.add(settled);
        assertRace(settled, options);
      }
      tell(`${READERS} readers, ${CALLERS} callers: ${tally}`);
      assert.ok(tally.reruns > 0, `no COMMIT failed: ${tally}`);
    })
  );
}

/** A caller that may only read finds the schema with one statement. */
export async function findReadOnly(journal: Journal): Promise<void> {
  await inFolder((folder) =>
    withWorkers(2, async ([first, second]) => {
      const options = { path: join(folder, '1.db'), busyTimeoutMs: 0, tables: TABLES };
      createFile(options.path, journal);
      assertRace(await race([first!], options), options);
      const settled = await race([second!], { ...options, readOnly: true });
      assertRace(settled, options, 0);
      assert.equal(settled[0]!.outcome, 'already-installed');
      assert.equal(settled[0]!.statements, 1);
    })
  );
}

async function startReading(reader: WorkerProcess, options: Race): Promise<void> {
  await reader.ask(ordersOf(options).open, 'opened');
  await reader.ask({ kind: 'read' }, 'reading');
}

async function stopReading(reader: WorkerProcess): Promise<void> {
  await reader.ask({ kind: 'rest' }, 'rested');
  await reader.ask({ kind: 'close' }, 'closed');
}
