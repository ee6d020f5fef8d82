/**
 * Commands that are told to stop, and what is left of them: the processes and the folders of theirs
 * that are still there.
 *
 * @module
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import { sleep } from '../cases/support.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Whatever a command starts inherits this variable. */
const MARK = 'DB_MIGRATE_MARK';

/** Servers have five seconds to end, and folders three to be removed; twice that is too long. */
const CEILING_MS = 16_000;

/** How a command is stopped: the terminal tells its whole process group, `kill` only itself. */
export type Stop = 'Ctrl-C' | 'closed terminal' | 'SIGTERM' | 'SIGKILL';

/** A command to be stopped. */
export interface Stoppable {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Whether it is in the middle of what it does, from its output and the processes it has. */
  isUp(output: string, commands: readonly string[]): boolean;
}

/** What a command had before it was stopped. */
export interface Stopped {
  readonly processes: number;
  readonly folders: number;
  readonly afterMs: number;
  readonly code: number | null;
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** Starts a command, stops it when it is up, and fails if anything of it is left. */
export async function stop(
  { command: [program, ...args], env, isUp }: Stoppable,
  how: Stop,
): Promise<Stopped> {
  const mark = `${MARK}=${crypto.randomUUID()}`;
  // A folder for all of its temporary ones, through which servers pass that run as somebody else.
  const temporary = mkdtempSync(join(tmpdir(), 'stopped-'));
  chmodSync(temporary, 0o711);
  const child = spawn(program!, args, {
    cwd: ROOT,
    detached: true,
    env: {
      ...process.env,
      ...env,
      NODE_TEST_CONTEXT: undefined,
      // Set where this process has run workerd itself, out of a folder of its own.
      MINIFLARE_WORKERD_PATH: undefined,
      TMPDIR: temporary,
      [MARK]: mark.split('=')[1],
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => output += text);
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let over = false;
  void ended.then(() => over = true);
  let folders: string[] = [];
  try {
    let found = processesOf(mark);
    while (!isUp(output, found.map(({ command }) => command))) {
      assert.ok(!over, `it ended by itself:\n${output}`);
      await sleep(50);
      found = processesOf(mark);
    }
    folders = [...foldersIn(found), ...entriesOf(temporary)];
    const startedAt = performance.now();
    if (how === 'Ctrl-C') process.kill(-child.pid!, 'SIGINT');
    else if (how === 'closed terminal') process.kill(-child.pid!, 'SIGHUP');
    else process.kill(child.pid!, how);
    const afterMs = await untilGone(
      mark,
      found,
      () => [...folders, ...entriesOf(temporary)],
      startedAt,
    );
    return { processes: found.length, folders: folders.length, afterMs, code: await ended };
  } finally {
    for (const { pid } of processesOf(mark)) tryToKill(pid);
    for (const folder of [...folders, temporary]) rmSync(folder, { recursive: true, force: true });
  }
}

async function untilGone(
  mark: string,
  found: readonly Process[],
  folders: () => readonly string[],
  startedAt: number,
): Promise<number> {
  for (;;) {
    const afterMs = performance.now() - startedAt;
    const pids = new Set(found.map(({ pid }) => pid));
    // Those of Postgres write their title over their environment.
    const there = [...processesOf(mark), ...allProcesses().filter(({ pid }) => pids.has(pid))];
    const left = new Set([
      ...there.map(({ pid, command }) => `${pid} ${command.slice(0, 120)}`),
      ...folders().filter((folder) => existsSync(folder)),
    ]);
    if (left.size === 0) return afterMs;
    assert.ok(afterMs < CEILING_MS, `left behind:\n${[...left].join('\n')}`);
    await sleep(100);
  }
}

/** Those that have the mark, and their children, without those that are dead already. */
function processesOf(mark: string): Process[] {
  const all = allProcesses();
  const found = new Set(all.filter(({ command }) => command.includes(mark)));
  for (const one of found) {
    for (const other of all) if (other.parent === one.pid) found.add(other);
  }
  return [...found];
}

function allProcesses(): Process[] {
  // `e` shows the environment behind the command.
  const text = execFileSync('ps', ['axeww', '-o', 'pid=,ppid=,stat=,args='], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  return text.trim().split('\n').flatMap((line) => {
    const [, pid, parent, state, command] = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    if (command === undefined || state!.startsWith('Z')) return [];
    return [{ pid: Number(pid), parent: Number(parent), command }];
  });
}

/** The folders that the watchdogs of `engines/scratch.ts` guard, by their command lines. */
function foldersIn(processes: readonly Process[]): string[] {
  const found = processes.flatMap(({ command }) => command.match(/\/\S+?\/db-migrate-\w+/g) ?? []);
  return [...new Set(found)].filter((folder) => existsSync(folder));
}

function entriesOf(folder: string): string[] {
  return readdirSync(folder).map((name) => join(folder, name));
}

function tryToKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
