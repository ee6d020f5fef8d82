/**
 * Telling in an error what was going on.
 *
 * @module
 */

/**
 * Runs `use`.
 *
 * @throws {Error} whatever `use` threw, as the cause of an error that begins with `what`.
 */
export async function during<T>(what: string, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
}
