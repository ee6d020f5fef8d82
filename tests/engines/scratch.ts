/**
 * Temporary directories and helper processes that do not outlive this process, however it ends.
 *
 * Exit handlers do not run on SIGKILL, so the clean-up is done by a shell that blocks on a pipe
 * whose other end only this process holds: the kernel closes it when we die, and the shell starts
 * to clean up. It has a session of its own, so a Ctrl-C in the terminal does not reach it.
 *
 * @module
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

/** True where there is no `/bin/sh`, so that exit handlers have to do. */
export const isWindows: boolean = process.platform === 'win32';

// `pids` holds the processes that were started with `wrapper`. One that ended long ago may have
// left its number to somebody else, hence the look at the command line. Servers that are still
// stopping may write to the directory, hence the second try.
const cleanUp = `
cat >/dev/null
while read -r pid; do
  case "$(ps -o args= -p "$pid" 2>/dev/null)" in *"$0"* | *workerd*) kill -KILL "$pid" ;; esac
done <"$0/pids"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$0" 2>/dev/null && exit
  sleep 0.3
done`;

const roots = new Map<string, string>();
let made = 0;

/**
 * A new empty directory, removed when this process is gone.
 *
 * @param inMemory On a RAM disk, where there is one with room: for servers that make hundreds of
 * files for each database. Nothing can be executed there.
 */
export function scratch(name: string, { inMemory = false } = {}): string {
  const directory = join(root(inMemory ? ramDisk() : tmpdir()), `${name}-${++made}`);
  mkdirSync(directory);
  return directory;
}

/**
 * A program that runs `program` in its own place, and that ends with this process even if nobody
 * can tell it to. For programs that a library starts for us.
 *
 * @param pids A file that the number of each process is added to.
 */
export function wrapper(program: string, pids: string): string {
  if (isWindows) return program;
  const path = join(scratch('bin'), 'run');
  const files = [pids, join(root(tmpdir()), 'pids')].map(quote).join(' ');
  const script = `#!/bin/sh\necho $$ | tee -a ${files} >/dev/null\nexec ${quote(program)} "$@"\n`;
  writeFileSync(path, script, { mode: 0o755 });
  return path;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Starts a shell script that notices the end of this process as the end of its standard input. */
export function watchdog(
  script: string,
  parameters: string[],
  options: { cwd?: string; uid?: number; gid?: number; env?: Record<string, string> } = {},
): ChildProcess {
  const child = spawn('/bin/sh', ['-c', script, ...parameters], {
    ...options,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Nothing here may keep a test run alive that has come to its end.
  child.unref();
  (child.stdin as unknown as { unref?(): void }).unref?.();
  child.stdin!.on('error', () => {});
  return child;
}

function root(parent: string): string {
  const known = roots.get(parent);
  if (known) return known;
  const directory = mkdtempSync(join(parent, 'db-migrate-'));
  roots.set(parent, directory);
  // Servers that run as somebody else have to pass through.
  chmodSync(directory, 0o711);
  writeFileSync(join(directory, 'pids'), '');
  if (isWindows) {
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  } else {
    watchdog(cleanUp, [directory]);
  }
  return directory;
}

function ramDisk(): string {
  const path = '/dev/shm';
  try {
    const { bavail, bsize } = statfsSync(path);
    if (bavail * bsize > 4e9) return path;
  } catch {
    // There is none on this system.
  }
  return tmpdir();
}
