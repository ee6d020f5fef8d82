/**
 * The programs that are tests: a list of named checks, a line for each as it ends, the totals.
 *
 * @module
 */

import { inFolder, runScript } from './process.ts';

/** Something that holds or not. */
export interface Check {
  readonly name: string;
  /** Throws where it does not hold. What it returns is worth saying beside the name. */
  run(): Promise<string | void>;
}

/**
 * The checks of one thing, one after the other; several such rows run side by side. What the first
 * one does all others need: if it fails, they are not run, and count as failures.
 */
export type Row = readonly Check[];

/**
 * Runs the checks of a program, prints `N passed, N failed` as its last line and ends it.
 *
 * @param make Gives the rows; what it throws is a failure. It gets a temporary folder that is
 * removed at the end.
 * @param atOnce How many rows run side by side.
 */
export async function runProgram(
  make: (folder: string) => Promise<readonly Row[]>,
  atOnce = 1,
): Promise<never> {
  const counts = { passed: 0, failed: 0 };
  return await runScript(async () => {
    try {
      await inFolder('check-', async (folder) => {
        const rows = [...await make(folder)];
        await Promise.all(Array.from({ length: atOnce }, () => work(rows, counts)));
      });
    } catch (error) {
      counts.failed++;
      console.log(Deno.inspect(error));
    }
    const { passed, failed } = counts;
    console.log(`\n${passed} passed, ${failed} failed`);
    return failed === 0 && passed > 0;
  });
}

/** Takes row after row until there is none. */
async function work(rows: Row[], counts: { passed: number; failed: number }): Promise<void> {
  for (let row = rows.shift(); row !== undefined; row = rows.shift()) {
    for (const [at, check] of row.entries()) {
      if (await holds(check)) {
        counts.passed++;
      } else {
        counts.failed++;
        if (at > 0) continue;
        counts.failed += row.length - 1;
        for (const { name } of row.slice(1)) console.log(`FAIL  not run  ${name}`);
        break;
      }
    }
  }
}

async function holds({ name, run }: Check): Promise<boolean> {
  const startedAt = performance.now();
  const seconds = () => `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`.padStart(7);
  try {
    const said = await run();
    console.log(`ok   ${seconds()}  ${name}${said ? `: ${said}` : ''}`);
    return true;
  } catch (error) {
    console.log(`FAIL ${seconds()}  ${name}`);
    console.log(indent(error instanceof Error ? error.stack ?? error.message : String(error)));
    return false;
  }
}

function indent(text: string): string {
  return text.trim().replace(/^(?=.)/gm, '     ');
}
