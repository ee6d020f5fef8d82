/**
 * Child processes and temporary folders of the scripts: the whole output of a command, a limit on
 * its time, and nothing of either left, neither at their end nor when the script is told to stop.
 *
 * @module
 */

import { resolve } from 'node:path';

/** The project's folder, where every command runs unless told otherwise. */
export const ROOT = resolve(import.meta.dirname!, '../..');

/** How long a command may take unless told otherwise. */
const LIMIT_MS = 15 * 60_000;

/** How long the processes of a command that ended, or that is told to stop, have to end too. */
const GRACE_MS = 3_000;

/** What a parent may have set for itself and a child must not see. */
const NOT_INHERITED = ['FORCE_COLOR', 'CLICOLOR_FORCE', 'NODE_OPTIONS', 'NODE_TEST_CONTEXT'];

/** The commands that run now, each the leader of a process group of its own. */
const running = new Set<Deno.ChildProcess>();

/** The temporary folders that are in use now. */
const folders = new Set<string>();

/** Whether the script was told to stop. From then on no command starts, and none returns. */
let stopping = false;

/** How a command is run. */
export interface RunOptions {
  /** Default: the project's folder. */
  cwd?: string;
  /** Added to the environment. */
  env?: Record<string, string>;
  /** Default: 15 minutes. */
  limitMs?: number;
}

/** What a command came to. */
export interface RunResult {
  /** The exit code; 128 and more for a signal. */
  code: number;
  /** Standard output and standard error, in the order of their arrival. */
  output: string;
}

/**
 * Runs a command to its end, without input and without colour. A command that exceeds its limit is
 * killed, and its output says so. Processes that it started and left behind are ended.
 *
 * @throws {Deno.errors.NotFound} when there is no such program.
 */
export async function run(
  command: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { cwd = ROOT, env = {}, limitMs = LIMIT_MS } = options;
  if (stopping) await forever();
  const [program, ...args] = command;
  const child = new Deno.Command(program!, {
    args,
    cwd,
    clearEnv: true,
    env: { ...environment(), ...env },
    stdin: 'null',
    stdout: 'piped',
    stderr: 'piped',
    detached: true,
  }).spawn();
  running.add(child);

  let output = '';
  let late = false;
  const collect = (text: string): void => void (output += text);
  const reading = Promise.all([read(child.stdout, collect), read(child.stderr, collect)]);
  const limit = setTimeout(() => {
    late = true;
    signalGroup(child, 'SIGKILL');
  }, limitMs);

  const { code } = await child.status;
  clearTimeout(limit);
  await endGroup(child);
  running.delete(child);
  // A process that left the group may keep a pipe open: its output is not worth an endless wait.
  await Promise.race([reading, delay(GRACE_MS)]);

  if (stopping) await forever();
  if (late) output += `\nkilled: it took more than ${limitMs / 1_000} s\n`;
  return { code: late && code === 0 ? 1 : code, output };
}

/**
 * Runs `use` with a temporary folder, which is gone afterwards. There are no links in its path, since
 * these confuse module resolution.
 */
export async function inFolder<T>(
  prefix: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix }));
  folders.add(folder);
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
    folders.delete(folder);
  }
}

/** Ends every command that runs now, with all its processes. */
export async function endAll(): Promise<void> {
  await Promise.all([...running].map(endGroup));
}

/** Makes Ctrl-C and its kin end the commands that run, remove the folders, and end the script. */
export function endAllOnSignals(): void {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };
  const names: (keyof typeof codes)[] = Deno.build.os === 'windows'
    ? ['SIGINT']
    : ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const name of names) {
    Deno.addSignalListener(name, async () => {
      stopping = true;
      await endAll();
      for (const folder of folders) Deno.removeSync(folder, { recursive: true });
      Deno.exit(codes[name]);
    });
  }
}

/**
 * Runs a script to its end: exit code 0 if `main` says that all is well, 1 otherwise, and no command
 * is left behind.
 */
export async function runScript(main: () => Promise<boolean>): Promise<never> {
  endAllOnSignals();
  let good = false;
  try {
    good = await main();
  } finally {
    await endAll();
  }
  Deno.exit(good ? 0 : 1);
}

/** Never resolves: the signal's listener ends the script. */
function forever(): Promise<void> {
  return new Promise(() => {});
}

/** Resolves after `ms` milliseconds, without keeping the script alive. */
function delay(ms: number): Promise<void> {
  return new Promise((resolve) => Deno.unrefTimer(setTimeout(resolve, ms)));
}

/** The environment of every command: the script's own, but quiet and plain. */
function environment(): Record<string, string> {
  const env = Deno.env.toObject();
  for (const name of NOT_INHERITED) delete env[name];
  // No proxy leads to the servers of the tests.
  const direct = [env.NO_PROXY ?? env.no_proxy, '127.0.0.1,localhost'].filter(Boolean).join(',');
  const quiet = { NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' };
  return { ...env, ...quiet, NO_PROXY: direct, no_proxy: direct };
}

/** Hands the text of a stream over, piece by piece. */
async function read(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  collect: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) collect(text);
}

/** Asks the processes of a group to end, and kills those that are there after the grace period. */
async function endGroup(child: Deno.ChildProcess): Promise<void> {
  const giveUpAt = Date.now() + GRACE_MS;
  while (signalGroup(child, 'SIGTERM')) {
    if (Date.now() > giveUpAt) {
      signalGroup(child, 'SIGKILL');
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sends a signal to all processes of a command. Tells whether there was any. */
function signalGroup(child: Deno.ChildProcess, signal: Deno.Signal): boolean {
  try {
    if (Deno.build.os === 'windows') child.kill(signal);
    else Deno.kill(-child.pid, signal);
    return true;
  } catch {
    return false;
  }
}
