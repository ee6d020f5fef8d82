/**
 * Draws the README's diagrams from real runs, into scripts/diagrams, in light and dark.
 *
 *     deno task diagrams
 *
 * With `--dry-run` it runs and draws, but writes nothing.
 *
 * @module
 */

import { TABLES } from './demo/database.ts';
import { killProcesses, startProcesses } from './demo/process.ts';
import { raceScene } from './demo/scenes.ts';
import { drawProtocol, traceProtocol } from './diagrams/protocol.ts';
import { drawRace } from './diagrams/race.ts';
import { PALETTES } from './diagrams/svg.ts';

const isDryRun = Deno.args.includes('--dry-run');
const folder = await Deno.makeTempDir({ prefix: 'diagrams-' });
try {
  const processes = await startProcesses(8);
  const usual = await raceScene('claim-then-ddl', `${folder}/usual.db`, processes);
  const library = await raceScene('bootstrapSchema', `${folder}/library.db`, processes);
  const steps = await traceProtocol();
  for (const [name, palette] of Object.entries(PALETTES)) {
    await write(`race-${name}`, drawRace(usual, library, TABLES, palette));
    await write(`protocol-${name}`, drawProtocol(steps, palette));
  }
} finally {
  await killProcesses();
  await Deno.remove(folder, { recursive: true });
}
Deno.exit();

async function write(name: string, svg: string): Promise<void> {
  const path = `${import.meta.dirname}/diagrams/${name}.svg`;
  if (!isDryRun) await Deno.writeTextFile(path, svg);
  console.log(`${name}.svg: ${svg.length} bytes`);
}
