/**
 * Of many measurements the few numbers that are told.
 *
 * @module
 */

/** What is told of a list of times. */
export interface Times {
  readonly samples: number;
  readonly best: number;
  readonly median: number;
  readonly p99: number;
  readonly slowest: number;
}

/** Sums them up. There must be one at least. */
export function timesOf(values: readonly number[]): Times {
  const sorted = values.toSorted((a, b) => a - b);
  return {
    samples: sorted.length,
    best: sorted[0]!,
    median: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    slowest: sorted.at(-1)!,
  };
}

/** The middle of a list. */
export function medianOf(values: readonly number[]): number {
  return timesOf(values).median;
}

function quantile(sorted: readonly number[], part: number): number {
  const at = (sorted.length - 1) * part;
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (high - low) * (at - Math.floor(at));
}

/** How long something takes, in milliseconds. */
export async function timed(run: () => unknown): Promise<number> {
  const startedAt = performance.now();
  await run();
  return performance.now() - startedAt;
}
