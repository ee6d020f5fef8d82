/**
 * Everybody at once on Postgres, each with a pool of their own, and what the server's log says.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { sql } from 'kysely';

import { bootstrapSchema, type Strategy } from '../../mod.ts';
import { callerOn, onPGlite, onPostgres } from '../batch/subjects.ts';
import { type Engine, inDatabase, type TestDatabase } from '../engines/engine.ts';
import { pglite } from '../engines/pglite.ts';
import { schemaOf } from '../support/schema.ts';
import { callAndUse, type Caller, type Settled } from './call.ts';
import { COUNTS, TABLES } from './counts.ts';
import { Tally } from './tally.ts';

/** The installs of all these callers at the same moment. */
export function race(callers: readonly Caller[], strategy: Strategy): Promise<Settled[]> {
  return Promise.all(
    callers.map((caller) =>
      callAndUse(caller, { strategy, tables: TABLES, ddl: schemaOf(TABLES) })
    ),
  );
}

/**
 * One install a round, nobody throws, and whoever is told to go on can go on; every other round on
 * a ledger that is there already.
 */
export function stampede(engine: Engine, strategy: Strategy): Promise<void> {
  const { callers, rounds } = COUNTS.postgres;
  return inDatabase(engine, async (database) => {
    const all = Array.from({ length: callers }, () => callerFor(database, strategy));
    // Connected beforehand: else they would start one after the other.
    await Promise.all(all.map(({ db }) => sql`select 1`.execute(db)));
    const tally = new Tally(`${engine.name}, ${strategy}`);
    const errors = { fresh: 0, ledger: 0 };
    for (let round = 0; round < rounds; round++) {
      const kind = round % 2 === 0 ? 'fresh' : 'ledger';
      await database.run('drop schema public cascade; create schema public');
      if (kind === 'ledger') await bootstrapSchema(all[0]!.db, { version: '0', ddl: (_) => {} });
      const before = errorsIn(database);
      tally.add(await race(all, strategy));
      const lines = errorsIn(database).slice(before.length);
      errors[kind] = Math.max(errors[kind], lines.length);
      if (strategy === 'transaction') assertQuiet(lines, kind === 'fresh' ? callers : 0);
    }
    tally.tell(
      `; ERROR lines a round: at most ${errors.fresh} fresh, ${errors.ledger} with a ledger`,
    );
    assert.ok(tally.count('waited') > 0, 'nobody met anybody');
  });
}

function callerFor(database: TestDatabase, strategy: Strategy): Caller {
  return strategy === 'batch' ? callerOn(onPostgres, database) : { db: database.connect() };
}

/** The lines of errors that the server has logged. None where it is not ours, and has no log. */
export function errorsIn(database: TestDatabase): string[] {
  return (database.log?.() ?? []).filter((line) => / (ERROR|FATAL|PANIC): /.test(line));
}

function assertQuiet(lines: readonly string[], most: number): void {
  assert.ok(lines.length <= most, `${lines.length} lines:\n${lines.slice(0, 20).join('\n')}`);
}

/** Many instances on one PGlite, which has one connection. */
export async function stampedeOnPGlite(strategy: Strategy): Promise<void> {
  const { callers, rounds } = COUNTS.pglite;
  const tally = new Tally(`pglite, ${strategy}`);
  for (let round = 0; round < rounds; round++) {
    await inDatabase(pglite, async (database) => {
      const all = Array.from(
        { length: callers },
        () => strategy === 'batch' ? callerOn(onPGlite, database) : { db: database.connect() },
      );
      tally.add(await race(all, strategy));
    });
  }
  tally.tell();
}
