/**
 * Says what is being measured.
 *
 * @module
 */

const terminal = Deno.stderr.isTerminal();
const WIDTH = 78;

/** On a terminal one line that changes; elsewhere a line for each step. */
export class Progress {
  readonly #startedAt = performance.now();
  #step = '';

  /** A part of the run, and what of it is under way. */
  say(step: string, detail = ''): void {
    const at = `${((performance.now() - this.#startedAt) / 1_000).toFixed(0).padStart(4)} s`;
    if (terminal) write(`\r\x1b[K${`${at}  ${step}  ${detail}`.slice(0, WIDTH)}`);
    else if (step !== this.#step) write(`${at}  ${step}\n`);
    this.#step = step;
  }

  /** Nothing is under way any more. */
  end(): void {
    if (terminal) write('\r\x1b[K');
  }
}

function write(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}
