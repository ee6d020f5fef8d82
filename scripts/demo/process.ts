/**
 * The operating-system processes of the demo, and that none of them is left behind.
 *
 * @module
 */

import { type Job, type Message, readLines, type Settled, toLine } from './messages.ts';

/** What is known of one process's call. It changes as the process reports. */
export interface Caller {
  /** The number of the process, from 1. */
  readonly id: number;
  calledAt?: number;
  /** When it entered the DDL: it is one that claimed the schema. */
  claimedAt?: number;
  /** How many statements of the DDL it has run. */
  statements: number;
  settled?: Settled;
  killedAt?: number;
}

/** A process that waits for jobs. */
export interface DemoProcess {
  readonly id: number;
  /** Makes one call and notes in `caller` what is heard of it, until it has settled or died. */
  call(job: Job, caller: Caller, onDdl?: (statements: number) => void): Promise<void>;
  /** SIGKILL: no handler, no clean-up, no goodbye. True if that is what it died of. */
  kill(): Promise<boolean>;
}

const running = new Set<Deno.ChildProcess>();

/** Starts processes side by side and resolves when all of them are ready for a job. */
export function startProcesses(count: number): Promise<DemoProcess[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => startProcess(i + 1)));
}

/** Ends every process that is still there. */
export async function killProcesses(): Promise<void> {
  await Promise.all(Array.from(running, killChild));
}

/** Starts one process and resolves when it is ready for a job. */
export async function startProcess(id: number): Promise<DemoProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ['run', '-A', new URL('worker.ts', import.meta.url).href],
    stdin: 'piped',
    stdout: 'piped',
  }).spawn();
  running.add(child);
  const jobs = child.stdin.getWriter();
  const messages = readLines<Message>(child.stdout);
  if ((await messages.next()).done) throw new Error(`process #${id} ended before it was ready`);

  return {
    id,
    kill: () => killChild(child),
    async call(job, caller, onDdl) {
      await jobs.write(toLine(job));
      while (!caller.settled) {
        const { value: message, done } = await messages.next();
        if (done) return;
        if (message.kind === 'called') caller.calledAt = message.at;
        if (message.kind === 'settled') caller.settled = message;
        if (message.kind !== 'ddl') continue;
        caller.claimedAt ??= message.at;
        caller.statements = message.statements;
        onDdl?.(message.statements);
      }
    },
  };
}

async function killChild(child: Deno.ChildProcess): Promise<boolean> {
  try {
    child.kill('SIGKILL');
  } catch {
    // It has ended by itself; its status says how.
  }
  const { signal } = await child.status;
  running.delete(child);
  return signal === 'SIGKILL';
}
