/**
 * The library's main job in three scenes, with real processes on real SQLite files, beside the
 * usual way of doing it. All that is said about either is measured. Exits with 1 if the library
 * broke a promise, or if a scene could not show what it is there for.
 *
 * @module
 */

import { tableName } from '../tests/support/schema.ts';
import { TABLES } from './demo/database.ts';
import { type Caller, killProcesses, startProcesses } from './demo/process.ts';
import { type Kill, killScene, type Race, raceScene } from './demo/scenes.ts';
import { printLines, strong } from './demo/terminal.ts';
import { judge, verdictTable } from './demo/verdict.ts';

const deadlineMs = 60_000;

let ending: Promise<never> | undefined;
const directory = Deno.makeTempDirSync({ prefix: 'db-migrate-demo-' });
const signals: Deno.Signal[] = Deno.build.os === 'windows'
  ? ['SIGINT', 'SIGBREAK']
  : ['SIGINT', 'SIGTERM', 'SIGHUP'];
for (const signal of signals) Deno.addSignalListener(signal, () => end(130));
setTimeout(() => fail(`not done after ${deadlineMs} ms`), deadlineMs);

try {
  await end(await play() ? 0 : 1);
} catch (error) {
  await fail(error instanceof Error ? error.message : String(error));
}

/** Plays all scenes; true if the library kept every promise. */
async function play(): Promise<boolean> {
  const processes = await startProcesses(8);
  printLines([
    `${processes.length} processes start at once on one SQLite file (WAL): DDL of ${TABLES} tables.`,
    'One row each: · waits, █ runs the DDL. The moment its call resolves, it queries',
    `the last table, ${tableName(TABLES)}.`,
  ]);

  printTitle('Scene 1: the usual way, claim then DDL (busy timeout 5 s)');
  const usualRace = await raceScene('claim-then-ddl', `${directory}/usual-race.db`, processes);
  printLines([describeRace(usualRace)]);

  printTitle('Scene 2: bootstrapSchema (busy timeout 0)');
  const race = await raceScene('bootstrapSchema', `${directory}/race.db`, processes);
  printLines([describeRace(race)]);

  printTitle('Scene 3: the winner is killed in the middle of its DDL, and another one calls');
  printLines(['The usual way:']);
  const usualKill = await killScene('claim-then-ddl', `${directory}/usual-kill.db`);
  printLines([describeKill(usualKill), '', 'bootstrapSchema:']);
  const kill = await killScene('bootstrapSchema', `${directory}/kill.db`);
  printLines([describeKill(kill)]);

  printTitle('Verdict');
  const findings = judge(race, kill);
  printLines(verdictTable(judge(usualRace, usualKill), findings));
  // In full here, since a row of the timeline has no room for more than its beginning.
  printLines(errorsOf([...race.callers, kill.next]));
  return findings.every((finding) => finding.kept);
}

function printTitle(title: string): void {
  printLines(['', strong(title), '']);
}

function describeRace({ callers, spreadMs }: Race): string {
  const claims = callers.filter((caller) => caller.claimedAt).length;
  const waits = callers.flatMap(({ claimedAt, calledAt, settled }) =>
    claimedAt || !calledAt || !settled ? [] : settled.at - calledAt
  );
  return `  Called within ${spreadMs} ms. ${claims} claimed, the others were back after ` +
    `${Math.min(...waits)} to ${Math.max(...waits)} ms.`;
}

function describeKill({ tablesLeft, next, tables }: Kill): string {
  return `  The kill left ${tablesLeft} of ${TABLES} tables. The next caller: ` +
    `${next.settled?.outcome}, and there were ${tables}.`;
}

function errorsOf(callers: Caller[]): string[] {
  const errors = callers.flatMap(({ settled }) => settled?.error ?? []);
  return Array.from(new Set(errors), (error) => `\nbootstrapSchema: ${error}`);
}

/** Ends the demo, on any path, and leaves neither a process nor a file. The first caller decides. */
function end(code: number): Promise<never> {
  return ending ??= cleanUp().then(() => Deno.exit(code));
}

async function cleanUp(): Promise<void> {
  await killProcesses();
  await Deno.remove(directory, { recursive: true });
}

async function fail(reason: string): Promise<never> {
  // Ctrl-C reaches the processes too, and their end may be heard of before the signal is.
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (!ending) console.error(`\nThe demo could not show what it is there for: ${reason}`);
  return await end(1);
}
