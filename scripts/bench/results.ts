/**
 * What a run has measured, section by section, as it is kept in the JSON file.
 *
 * @module
 */

import { command, type CommandRow } from './sections/command.ts';
import { cpu, type CpuRow } from './sections/cpu.ts';
import { delay, type DelayRow } from './sections/delay.ts';
import { type Growth, growth } from './sections/growth.ts';
import { type ImportRow, imports, type SizeRow } from './sections/import.ts';
import type { RaceRow } from './sections/race.ts';
import { wire, type WireRow } from './sections/wire.ts';
import type { Machine } from './machine.ts';
import type { Effort, Run } from './run.ts';

/** Everything; a section that was not selected is absent. */
export interface Results {
  readonly machine: Machine;
  readonly effort: Effort;
  readonly wire?: { readonly counts: readonly WireRow[]; readonly commands: readonly CommandRow[] };
  readonly delay?: { readonly alone: readonly DelayRow[]; readonly races: readonly RaceRow[] };
  readonly cpu?: readonly CpuRow[];
  readonly import?: { readonly imports: readonly ImportRow[]; readonly sizes: readonly SizeRow[] };
  readonly growth?: Growth;
}

/** The sections by name, in the order in which they run. */
export const SECTIONS = {
  // First, while no engine is running yet.
  cpu,
  import: imports,
  wire: async (run: Run) => ({ counts: await wire(run), commands: await command(run) }),
  delay,
  growth,
} as const;

/** The name of a section. */
export type SectionName = keyof typeof SECTIONS;
