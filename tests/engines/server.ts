/**
 * Database servers as child processes: on a free port of the loopback interface, with a log that
 * can be read, and gone when this process is gone.
 *
 * @module
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chownSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { isWindows, scratch, watchdog } from './scratch.ts';

/** What to start. */
export interface ServerOptions {
  name: string;
  /** Done once in the server's own directory, before it starts. */
  setup?: (directory: string, run: (command: string[]) => Promise<void>) => Promise<void>;
  /** Program and arguments. Called again with another port if the first was taken meanwhile. */
  command: (port: number, directory: string) => string[];
  /** Throws while the server does not answer yet. */
  ready: (port: number) => Promise<void>;
  /** The signal that asks it to end without waiting for its clients. */
  stopSignal: 'INT' | 'TERM';
  /** Runs as `nobody` where this process is root, since the server refuses to be root. */
  unprivileged?: boolean;
  /** Keeps its directory on a RAM disk. */
  inMemory?: boolean;
}

/** A server that answers. */
export interface Server {
  readonly port: number;
  readonly directory: string;
  /** What it has written so far. */
  log(): string;
  /** SIGKILL to it and all its processes: no clean-up, no goodbye. */
  kill(): Promise<void>;
  /** Asks it to end, and waits until it has. */
  halt(): Promise<void>;
  /** After `kill` or `halt`: starts it again, on what it left and on its port. */
  restart(): Promise<void>;
  /** Ends it for good, and removes what it left. */
  stop(): Promise<void>;
}

// Starts the server with its output in `log` and its number in `pid`, and stops it when standard
// input ends. `exited` tells the test process that it has ended by itself.
const guard = `
signal=$0
exec 3<&0
"$@" </dev/null >>log 2>&1 3<&- &
server=$!
echo $server >pid
{
  cat <&3 >/dev/null
  kill -s "$signal" $server
  n=0
  while [ $n -lt 50 ] && kill -0 $server; do sleep 0.1; n=$((n + 1)); done
  kill -KILL $server
} 2>/dev/null &
guard=$!
exec 3<&-
wait $server
echo $? >exited
kill $guard`;

/** Starts a server and resolves when it answers. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const user: User = options.unprivileged && process.getuid?.() === 0 ? await nobody() : {};
  for (let left = 4;; left--) {
    const directory = scratch(options.name, options);
    if (user.uid !== undefined) chownSync(directory, user.uid, user.gid!);
    await options.setup?.(directory, (command) => run(command, { cwd: directory, ...user }));
    const port = await freePort();
    const launch = () => start(options, options.command(port, directory), directory, user);
    let child = launch();
    const server: Server = {
      port,
      directory,
      log: () => readLog(directory),
      kill: () => killTree(child, directory),
      halt: () => end(child),
      restart: async () => {
        rmSync(join(directory, 'exited'), { force: true });
        child = launch();
        await answers(options, port, directory);
      },
      stop: async () => {
        await end(child);
        rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
      },
    };
    try {
      await answers(options, port, directory);
      return server;
    } catch (error) {
      const log = server.log();
      await server.stop();
      if (left > 0 && /in use/i.test(log)) continue;
      throw new Error(`${options.name} did not start: ${(error as Error).message}\n${log}`);
    }
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface User {
  uid?: number;
  gid?: number;
}

function start(
  options: ServerOptions,
  command: string[],
  directory: string,
  user: User,
): ChildProcess {
  // The messages of the server are matched by tests, so they are not to be translated.
  const env = { ...process.env, LC_ALL: 'C', TZ: 'UTC' } as Record<string, string>;
  if (!isWindows) {
    return watchdog(guard, [options.stopSignal, ...command], { cwd: directory, env, ...user });
  }
  const log = openSync(join(directory, 'log'), 'a');
  const child = spawn(command[0]!, command.slice(1), {
    cwd: directory,
    env,
    stdio: ['ignore', log, log],
  });
  child.unref();
  process.on('exit', () => child.kill());
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = endOf(child);
  if (child.stdin) child.stdin.end();
  else child.kill();
  await ended;
}

async function killTree(child: ChildProcess, directory: string): Promise<void> {
  const ended = endOf(child);
  if (isWindows) child.kill();
  else {
    const pid = Number(readFileSync(join(directory, 'pid'), 'utf8'));
    // Stopped first, or it would start one more process while we look.
    process.kill(pid, 'SIGSTOP');
    const children = (await processes()).filter(({ parent }) => parent === pid);
    const pids = new Set([...children.map(({ pid }) => pid), pid]);
    for (const one of pids) tryToKill(one);
    // The memory that they share must not have a user left, or the next one refuses to start.
    while ((await processes()).some(({ pid }) => pids.has(pid))) await sleep(10);
  }
  await ended;
}

/** All that live. */
async function processes(): Promise<{ pid: number; parent: number }[]> {
  const lines = (await output(['ps', '-A', '-o', 'pid=,ppid=,stat='])).trim().split('\n');
  return lines.map((line) => line.trim().split(/\s+/))
    .filter(([, , state]) => !state!.startsWith('Z'))
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function tryToKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  await new Promise((resolve) => child.once('exit', resolve));
}

async function answers(options: ServerOptions, port: number, directory: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      return await options.ready(port);
    } catch (error) {
      if (existsSync(join(directory, 'exited'))) throw new Error('it exited');
      if (Date.now() > deadline) throw error;
      await sleep(20);
    }
  }
}

function readLog(directory: string): string {
  const path = join(directory, 'log');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

async function nobody(): Promise<Required<User>> {
  const id = (flag: string) => output(['id', flag, 'nobody']).then(Number);
  return { uid: await id('-u'), gid: await id('-g') };
}

async function run(command: string[], options: User & { cwd: string }): Promise<void> {
  await output(command, options);
}

function output(command: string[], options: User & { cwd?: string } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command[0]!, command.slice(1), options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${command[0]} failed: ${error.message}\n${stdout}${stderr}`));
      else resolve(String(stdout));
    });
  });
}
