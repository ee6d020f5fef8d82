/**
 * Most tests wait most of the time, and runners take one after the other: so they are begun
 * before it is their turn, a few at the same time, and the runner is told how each went.
 *
 * @module
 */

/** A test. */
export interface Run {
  run(): Promise<void>;
  /** It holds up everything else in its process, so nothing is to run beside it. */
  readonly alone?: boolean;
}

/** Tests that have begun, or will have by the time that it is their turn. */
export interface Ahead {
  /** What to give to the runner, in the same order. */
  readonly runs: readonly (() => Promise<void>)[];
  /** Resolves when nothing is under way. */
  settled(): Promise<void>;
}

/**
 * Makes tests run ahead. Nothing begins before the first of them is called.
 *
 * @param width How many run at the same time.
 */
export function ahead(width: number, runs: readonly Run[]): Ahead {
  const outcomes: Promise<void>[] = [];
  const underWay = new Set<Promise<void>>();
  let next = 0;
  let asked = -1;
  let isFiltered = false;
  let isOver = false;
  let isAlone = false;

  function begin(at: number): void {
    isAlone = runs[at]!.alone ?? false;
    const outcome = runs[at]!.run().finally(() => {
      isAlone = false;
      underWay.delete(outcome);
      fill();
    });
    // Whoever waits for it is told; it is not an error that nobody handles until then.
    outcome.catch(() => {});
    underWay.add(outcome);
    outcomes[at] = outcome;
  }

  function mayBegin(at: number): boolean {
    const end = isFiltered ? asked + 1 : runs.length;
    return at < end && !isOver && !isAlone && underWay.size < (runs[at]!.alone ? 1 : width);
  }

  function fill(): void {
    while (mayBegin(next)) begin(next++);
  }

  async function take(at: number): Promise<void> {
    // Those that the runner passes over are not wanted, and which it will ask for nobody knows.
    isFiltered ||= at !== asked + 1;
    asked = at;
    next = Math.max(next, at);
    fill();
    while (!outcomes[at]) await Promise.race(underWay).catch(() => {});
    await outcomes[at];
  }

  return {
    runs: runs.map((_, at) => () => take(at)),
    settled: async () => {
      isOver = true;
      await Promise.allSettled(underWay);
    },
  };
}
