/**
 * One row a process: what it does, from the common start to the moment its call settles.
 *
 * @module
 */

import { TABLES } from './database.ts';
import type { Caller } from './process.ts';
import { live, mark, printLines, WIDTH } from './terminal.ts';

const barWidth = 31;
const frameMs = 50;

/** Draws the callers as they go, or once at the end where nothing can be redrawn. */
export function showTimeline(callers: Caller[], start: number, expectedMs: number): () => void {
  let drawn = 0;
  function draw(): void {
    const now = Date.now();
    const spanMs = Math.max(expectedMs, ...callers.map((caller) => endOf(caller, now) - start));
    printLines(callers.map((caller) => row(caller, now, start, spanMs)), drawn);
    drawn = callers.length;
  }
  const timer = live ? setInterval(draw, frameMs) : undefined;
  return () => {
    clearInterval(timer);
    draw();
  };
}

function row(caller: Caller, now: number, start: number, spanMs: number): string {
  const label = `  #${caller.id} `;
  const bar = drawBar(caller, now, start, barWidth / spanMs);
  const end = endOf(caller, now);
  const duration = `${end - (caller.calledAt ?? end)} ms`;
  const { text, detail = '', good } = describe(caller);
  const line = `${label}${bar}  ${text.padEnd(10)}${duration.padStart(7)}  ${detail}`;
  return mark(line.slice(0, WIDTH - 1).trimEnd(), good);
}

/** Dots while it waits, blocks from its claim on, a cross where it was killed. */
function drawBar(caller: Caller, now: number, start: number, columnsPerMs: number): string {
  const column = (time: number) => Math.max(0, Math.round((time - start) * columnsPerMs));
  const { calledAt, claimedAt, killedAt } = caller;
  if (!calledAt) return ' '.repeat(barWidth);
  const end = Math.max(column(endOf(caller, now)), column(calledAt) + 1);
  const turn = Math.min(claimedAt ? column(claimedAt) : end, end - 1);
  const bar = ' '.repeat(column(calledAt)).padEnd(turn, '·') +
    (claimedAt ? '█' : '·').repeat(end - turn);
  return (killedAt ? bar + '✕' : bar).slice(0, barWidth).padEnd(barWidth);
}

/** What a row says beside its bar, and whether that is good news; nothing yet is neither. */
function describe(caller: Caller): { text: string; detail?: string; good?: boolean } {
  const { calledAt, claimedAt, killedAt, settled, statements } = caller;
  if (killedAt) return { text: 'killed', detail: `after ${statements} statements` };
  if (settled) {
    const detail = settled.error?.split('\n')[0] ?? 'last table is there';
    return { text: settled.outcome, detail, good: settled.error === undefined };
  }
  if (claimedAt) return { text: 'claimed', detail: `${statements} of ${TABLES} statements` };
  return { text: calledAt ? 'waiting' : 'ready' };
}

function endOf(caller: Caller, now: number): number {
  return caller.settled?.at ?? caller.killedAt ?? now;
}
