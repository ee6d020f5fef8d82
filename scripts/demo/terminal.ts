/**
 * What the output may do: colours and redrawing are for people in front of a terminal.
 *
 * @module
 */

/** No line is longer, since a wrapped line cannot be redrawn in place. */
export const WIDTH = 80;

/** Whether lines can be drawn over. */
export const live: boolean = Deno.stdout.isTerminal() && Deno.env.get('TERM') !== 'dumb' &&
  Deno.consoleSize().columns >= WIDTH && Deno.consoleSize().rows > 10;

const colored = Deno.stdout.isTerminal() && !Deno.noColor;

/** A text that says how something went, in the colour for it. */
export function mark(text: string, good: boolean | undefined): string {
  if (!colored || good === undefined) return text;
  return `\x1b[${good ? 32 : 31}m${text}\x1b[0m`;
}

/** A heading. */
export function strong(text: string): string {
  return colored ? `\x1b[1m${text}\x1b[0m` : text;
}

/** Prints lines over the ones printed before, or below them. */
export function printLines(lines: string[], over = 0): void {
  const up = over > 0 ? `\x1b[${over}A` : '';
  const clear = over > 0 ? '\x1b[2K' : '';
  const text = up + lines.map((line) => `${clear}${line}\n`).join('');
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
