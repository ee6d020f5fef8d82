/**
 * Tests that are told to stop leave nothing behind: no server, no child, no folder.
 *
 * @module
 */

import assert from 'node:assert/strict';
import process from 'node:process';
import { test } from 'node:test';

import { runtime } from '../scripts/runtimes.ts';
import { type Stop, stop, type Stoppable } from './faults/traces.ts';
import { isFull, tell } from './processes/counts.ts';

const options = { timeout: 300_000 };

const FILE = './tests/faults/everything.ts';

/** The runner of each kind of runtime, on a test file that starts everything. */
const RUNNERS = {
  deno: ['test', '--allow-all', '--no-check', FILE],
  node24: ['--test', FILE],
  bun: ['test', FILE],
} as const;

type Name = keyof typeof RUNNERS;

const STOPS = ['Ctrl-C', 'SIGTERM', 'closed terminal', 'SIGKILL'] as const;

/**
 * Which is stopped how. After a SIGKILL of Node's runner alone, or of the test command, the file
 * that was being run goes on to its end: they run it in a process of its own, and tell it nothing.
 */
const RUNS: Readonly<Record<Name | 'the test command', readonly Stop[]>> = isFull
  ? {
    deno: STOPS,
    node24: STOPS.slice(0, 3),
    bun: STOPS,
    'the test command': STOPS.slice(0, 3),
  }
  : {
    deno: ['Ctrl-C', 'SIGKILL'],
    node24: ['Ctrl-C'],
    bun: ['SIGTERM'],
    'the test command': ['Ctrl-C'],
  };

async function stopRunner(name: Name, how: Stop): Promise<void> {
  const { command } = await runtime(name);
  await stopAndTell(`${name}, ${how}`, {
    command: [command, ...RUNNERS[name]],
    isUp: (output) => output.includes('everything is up'),
  }, how);
}

/** The test command on a file that has a server running for long enough. */
function stopTestCommand(how: Stop): Promise<void> {
  return stopAndTell(`test command, ${how}`, {
    command: [
      process.execPath,
      ...['run', '--allow-all', '--no-check', 'scripts/test.ts'],
      ...['--only', 'races_libsql', '--runtime', 'deno'],
    ],
    isUp: (_output, commands) => commands.some((command) => command.includes('--http-listen-addr')),
  }, how);
}

async function stopAndTell(what: string, stoppable: Stoppable, how: Stop): Promise<void> {
  const { processes, folders, afterMs, code } = await stop(stoppable, how);
  assert.notEqual(code, 0);
  // Something was there that could have been left.
  assert.ok(processes > 3 && folders > 0, `${processes} processes, ${folders} folders`);
  tell(
    `${what}: ${processes} processes, ${folders} folders, ` +
      `none of them left ${Math.round(afterMs)} ms later`,
  );
}

if (process.platform === 'win32') {
  console.log('skipped: tests that are told to stop: Windows has no signals');
} else {
  for (const name of Object.keys(RUNNERS) as Name[]) {
    for (const how of RUNS[name]) {
      test(
        `${how} of a test file leaves nothing behind [${name}]`,
        options,
        () => stopRunner(name, how),
      );
    }
  }
  for (const how of RUNS['the test command']) {
    test(`${how} of the test command leaves nothing behind`, options, () => stopTestCommand(how));
  }
}
