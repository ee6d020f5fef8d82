/**
 * Doing things a few at a time.
 *
 * @module
 */

/** How many processors there are. */
export const PROCESSORS: number = Math.max(navigator.hardwareConcurrency, 1);

/** Calls `work` for each item in their order, so many at a time. */
export async function inParallel<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  atATime = PROCESSORS,
): Promise<void> {
  const left = [...items];
  const one = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atATime }, one));
}
