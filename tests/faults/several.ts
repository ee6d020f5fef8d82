/**
 * Several things at a time, where most of each is waiting.
 *
 * @module
 */

/** Runs `use` for every item, so many at a time. After a failure no more are begun. */
export async function several<T>(
  width: number,
  items: readonly T[],
  use: (item: T, n: number) => Promise<void>,
): Promise<void> {
  const left = items.entries();
  let hasFailed = false;
  const lanes = Array.from({ length: width }, async () => {
    for (const [n, item] of left) {
      if (hasFailed) return;
      try {
        await use(item, n);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  });
  await Promise.allSettled(lanes);
  await Promise.all(lanes);
}
