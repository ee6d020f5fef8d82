/**
 * A race on a time axis: the same start for all, one row a process, beside the usual way of doing
 * it.
 *
 * @module
 */

import type { Caller } from '../demo/process.ts';
import type { Race } from '../demo/scenes.ts';
import { dot, image, line, type Palette, rect, text, WIDTH } from './svg.ts';

const LEFT = 44;
const RIGHT = 150;
const ROW = 20;

/** Both races below each other, on one time axis. */
export function drawRace(usual: Race, library: Race, tables: number, palette: Palette): string {
  const all = [...usual.callers, ...library.callers];
  const spanMs = Math.max(...all.map((one) => one.settled!.at - one.calledAt!));
  const step = spanMs > 1_500 ? 500 : 200;
  const scale = (WIDTH - LEFT - RIGHT) / spanMs;
  const count = library.callers.length;
  const shapes: string[] = [];
  let y = 20;

  function panel(title: string, { callers }: Race): void {
    shapes.push(text(0, y, title, { fill: palette.text, size: 14, bold: true }));
    y += 12;
    const start = Math.min(...callers.map(({ calledAt }) => calledAt!));
    for (const caller of callers) {
      shapes.push(...row(caller, start, y, scale, palette));
      y += ROW;
    }
    y += 26;
  }

  panel(`Claim, then DDL: the usual way`, usual);
  panel('bootstrapSchema', library);
  y -= 18;
  shapes.push(line(LEFT, y, WIDTH - RIGHT, y, palette.line));
  for (let ms = 0; ms <= spanMs; ms += step) {
    const x = LEFT + ms * scale;
    shapes.push(line(x, y, x, y + 5, palette.line));
    shapes.push(text(x, y + 18, `${ms} ms`, { fill: palette.faint, size: 11, anchor: 'middle' }));
  }
  y += 42;
  shapes.push(...legend(y, palette));
  const title = `${count} processes call at once on one SQLite file, DDL of ${tables} tables`;
  return image(y + 10, title, shapes);
}

function row(
  { id, calledAt, claimedAt, settled }: Caller,
  start: number,
  y: number,
  scale: number,
  palette: Palette,
): string[] {
  const x = (at: number) => LEFT + (at - start) * scale;
  const end = settled!.at;
  const turn = claimedAt ?? end;
  const colour = settled!.error === undefined ? palette.good : palette.bad;
  const said = settled!.error === undefined ? settled!.outcome : `${settled!.outcome} too early`;
  return [
    text(LEFT - 10, y + 13, `#${id}`, { fill: palette.faint, size: 12, anchor: 'end' }),
    rect(x(calledAt!), y + 5, Math.max(1, x(turn) - x(calledAt!)), 9, palette.wait),
    ...(claimedAt ? [rect(x(claimedAt), y + 5, x(end) - x(claimedAt), 9, palette.work)] : []),
    dot(x(end), y + 9.5, colour),
    text(x(end) + 11, y + 14, said, { fill: colour, size: 12 }),
  ];
}

function legend(y: number, palette: Palette): string[] {
  const entries: [draw: (x: number) => string, says: string, width: number][] = [
    [(x) => rect(x, y - 9, 16, 9, palette.wait), 'waits', 70],
    [(x) => rect(x, y - 9, 16, 9, palette.work), 'runs the DDL', 115],
    [(x) => dot(x + 8, y - 4, palette.good), 'resolved, and every table is there', 235],
    [(x) => dot(x + 8, y - 4, palette.bad), 'resolved, but it is not', 100],
  ];
  let x = LEFT;
  return entries.flatMap(([draw, says, width]) => {
    const shapes = [draw(x), text(x + 22, y, says, { fill: palette.faint, size: 12 })];
    x += width;
    return shapes;
  });
}
