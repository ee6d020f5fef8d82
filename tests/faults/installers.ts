/**
 * Installers that are processes and are killed: between two statements, and at any time.
 *
 * @module
 */

import assert from 'node:assert/strict';

import type { Strategy } from '../../mod.ts';
import { callerOn, onLibsqlFile, onPostgres, onSqld, type Subject } from '../batch/subjects.ts';
import { inDatabase } from '../engines/engine.ts';
import { during } from '../processes/during.ts';
import { killAt, type Moment } from '../processes/kill.ts';
import { type Random, seeded, spread, spreadInteger } from '../processes/random.ts';
import type { OpenOrder } from '../races/caller_messages.ts';
import { CallerProcess } from '../races/caller_process.ts';
import { judge } from './aftermath.ts';
import { orderFor, STRATEGIES } from './asks.ts';
import { COUNTS } from './counts.ts';
import { several } from './several.ts';
import { Toll } from './toll.ts';

/** How many at a time: the next caller waits for what the dead one left. */
const WIDTH = 3;

/** Those whose databases another process can open. */
export const KILLED: readonly Subject[] = [onLibsqlFile, onSqld, onPostgres]
  .filter(({ engine }) => !engine.missing);

/** Kills under one strategy, each followed by a caller that uses any of them. */
export async function killInstallers(subject: Subject, strategy: Strategy): Promise<void> {
  const { between, anyTime } = COUNTS.kills[strategy];
  const toll = new Toll(`${subject.name}, ${strategy}, SIGKILL of the installer`);
  await seeded(async (random) => {
    const whole = await measure(subject, strategy);
    const moments = [
      ...betweenStatements(random, between, whole),
      ...atAnyTime(random, anyTime, whole),
    ];
    await several(WIDTH, moments, (moment, n) =>
      during(
        `kill ${n} (${JSON.stringify(moment)})`,
        () =>
          inDatabase(subject.engine, (database) =>
            killOne(subject, database, strategy, moment, n, toll)),
      ));
    toll.tell(`; ${whole.statements} statements in ${Math.round(whole.durationMs)} ms`);
    if (between > 2) assert.ok(toll.count('everything') < toll.total, 'every kill was too late');
  });
}

type Database = Parameters<Parameters<typeof inDatabase>[1]>[0];

async function killOne(
  subject: Subject,
  database: Database,
  strategy: Strategy,
  moment: Moment,
  n: number,
  toll: Toll,
): Promise<void> {
  const process = await open(subject, database);
  await killAt(process, { ...orderFor('by_dead', strategy), isVerbose: true }, moment);
  const acknowledged = process.reports.flatMap((report) =>
    report.kind === 'resolved' ? [{ outcome: report.outcome, mark: 'by_dead' }] : []
  );
  const left = await judge(
    database,
    { strategy, acknowledged },
    () => callerOn(subject, database),
    { next: STRATEGIES[n % STRATEGIES.length]!, isAtOnce: n % 2 === 1 },
  );
  toll.add(left, acknowledged.length);
}

async function open({ engine }: Subject, { address }: Database): Promise<CallerProcess> {
  const process = await CallerProcess.start();
  const name = engine.name as OpenOrder['engine'];
  await process.ask({ kind: 'open', engine: name, address: address! }, 'opened');
  return process;
}

interface Whole {
  readonly statements: number;
  readonly durationMs: number;
}

/** The same call in a process that nobody kills. */
function measure(subject: Subject, strategy: Strategy): Promise<Whole> {
  return inDatabase(subject.engine, async (database) => {
    const process = await open(subject, database);
    const { settled, statements } = await process.ask(orderFor('by_dead', strategy), 'settled');
    assert.equal(settled.outcome, 'installed', JSON.stringify(settled));
    await process.kill();
    return { statements, durationMs: settled.durationMs };
  });
}

/** The last one comes when the call has resolved: what it installed must not be lost. */
function betweenStatements(random: Random, count: number, { statements }: Whole): Moment[] {
  return spreadInteger(random, count, 1, statements + 1)
    .map((beforeStatement) => ({ beforeStatement }));
}

function atAnyTime(random: Random, count: number, { statements, durationMs }: Whole): Moment[] {
  const late = Math.floor(count / 2);
  return [
    // Beyond the end, as a call may be slower than the one that was measured.
    ...spread(random, count - late, 0, 1.2 * durationMs).map((afterMs) => ({ afterMs })),
    // The last statement is the one that commits.
    ...spread(random, late, 0, 8).map((afterMs) => ({ afterMs, sinceStatement: statements })),
  ];
}
