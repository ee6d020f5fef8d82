/**
 * A run as a text for people.
 *
 * @module
 */

import { TITLES } from '../engines/list.ts';
import { oneBatch, oneSelect } from '../peers/floors.ts';
import { OTHERS } from '../peers/list.ts';
import type { Machine } from '../machine.ts';
import type { Results } from '../results.ts';
import { REMOTE } from '../run.ts';
import type { DelayRow } from '../sections/delay.ts';
import type { Counted } from '../sections/wire.ts';
import { fixed, verdict } from '../verdict.ts';
import { document, table } from './table.ts';

/** The whole text. */
export function markdown(results: Results): string {
  return document([
    '# Benchmarks',
    about(results),
    ...promises(results),
    ...wire(results),
    ...delay(results),
    ...races(results),
    ...cpu(results),
    ...imports(results),
    ...growth(results),
  ]);
}

function about({ machine }: Results): string {
  return [
    `Measured side by side in one run by \`deno task bench\`, ${machine.date} UTC.`,
    '',
    ...conditions(machine).map((line) => `* ${line}`),
  ].join('\n');
}

/** Machine, runtime, engines and versions, a line each. */
export function conditions(machine: Machine): string[] {
  const { system, processor, memoryGiB, load, runtime, library, engines, packages } = machine;
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return [
    `${processor}, ${memoryGiB} GiB, ${system}, load ${load.toFixed(1)} at the start`,
    `${runtime}; db-migrate ${library}`,
    `${engines.length > 0 ? engines.join('; ') : 'no engine was needed'}`,
    `${versions.join(', ')}`,
  ];
}

function promises(results: Results): string[] {
  const findings = verdict(results);
  if (findings.length === 0) return [];
  const rows = findings.map(({ promise, isReached, measured }) => [
    promise,
    isReached ? 'reached' : '**missed**',
    measured,
  ]);
  return ['## What it must reach', table(['promise', '', 'measured'], rows, 'text')];
}

function counted(value: Counted | undefined): string {
  if (value === undefined) return '';
  if ('error' in value) return 'throws';
  const { statements, roundTrips, connections } = value;
  const trips = roundTrips === 0 ? `${statements}` : `${statements} / ${roundTrips}`;
  return connections > 0 ? `${trips} + connects` : trips;
}

function wire({ wire, effort }: Results): string[] {
  if (!wire) return [];
  const engines = [...new Set(wire.counts.map(({ engine }) => engine))];
  const notes = OTHERS.filter(({ note, absent }) => note ?? absent)
    .map(({ name, note, absent }) => `* ${name}: ${[note, absent].filter(Boolean).join('; ')}.`);
  return [
    '## Statements and round trips',
    `Counted on the wire: statements / round trips; for a SQLite file, which has no wire, ` +
    `statements. ${effort.tables} tables. "Cold" is a caller that does not know that the schema ` +
    `is installed, "warm" the same caller once more.`,
    ...engines.flatMap((engine) => [
      `### ${TITLES[engine]}`,
      table(
        ['', 'fresh', 'cold', 'warm'],
        wire.counts.filter((row) => row.engine === engine)
          .map((row) => [row.peer, counted(row.fresh), counted(row.cold), counted(row.warm)]),
      ),
    ]),
    notes.join('\n'),
    thrown(
      wire.counts.flatMap(({ engine, peer, fresh }) =>
        fresh && 'error' in fresh ? [[`${peer} on ${TITLES[engine]}`, fresh.error]] : []
      ),
    ),
    '### A command',
    table(
      ['', 'fresh', 'installed'],
      [[
        `\`${wire.commands[0]!.command}\``,
        ...wire.commands.map(({ ms, error }) => ms === undefined ? error! : `${fixed(ms)} ms`),
      ]],
    ),
  ];
}

function thrown(errors: readonly (readonly string[])[]): string {
  return errors.map(([who, error]) => `* ${who} throws: \`${error}\``).join('\n');
}

function delay({ delay, effort }: Results): string[] {
  if (!delay) return [];
  const { delays } = effort;
  const heading = ['', ...delays.map((ms) => `${ms} ms`), ...delays.map((ms) => `x at ${ms} ms`)];
  const section = (engine: string, what: DelayRow['what'], floor: string) => {
    const ofEngine = delay.alone.filter((row) => row.engine === engine && row.what === what);
    const find = (peer: string, delayMs: number) =>
      ofEngine.find((row) => row.peer === peer && row.delayMs === delayMs);
    return table(
      heading,
      [...new Set(ofEngine.map(({ peer }) => peer))].map((peer) => {
        const rows = delays.map((ms) => find(peer, ms));
        return [
          peer,
          ...rows.map((row) => row?.ms ? fixed(row.ms.median) : row?.error ? 'throws' : ''),
          ...rows.map((row, at) => {
            const least = find(floor, delays[at]!)?.ms?.median;
            return row?.ms && least ? fixed(row.ms.median / least) : '';
          }),
        ];
      }),
    );
  };
  return [
    '## Time to ready, one caller',
    `Median milliseconds with a delay added to each round trip, and the same as a multiple of ` +
    `the least that it can cost: a bare \`select 1\` for a cold caller, a bare batch of the same ` +
    `DDL for an install. ${effort.tables} tables; the connection is up before, but for those that ` +
    `insist on one of their own.`,
    ...REMOTE.flatMap((engine) => [
      `### ${TITLES[engine]}, cold on an installed database`,
      section(engine, 'cold', oneSelect.name),
      `### ${TITLES[engine]}, fresh`,
      section(engine, 'fresh', oneBatch.name),
    ]),
  ];
}

function races({ delay, effort }: Results): string[] {
  if (!delay) return [];
  return [
    `## Time to ready, ${effort.callers} callers at once on a fresh database`,
    `Milliseconds of those who found the schema complete. "Early" resolved before it was. The ` +
    `library's batch races several times, all of them counted, everybody else once; beyond ` +
    `${effort.allRaceUpToMs} ms a few only, for the time it takes. All callers are of one process ` +
    `on this machine, whose processor has its part in these figures: how large that is tells the ` +
    `first row, which sends a look, a batch and a look again by hand, and nothing else.`,
    ...REMOTE.flatMap((engine) => [
      `### ${TITLES[engine]}`,
      table(
        ['', 'delay', 'median', 'p99', 'slowest', 'ready', 'threw', 'early', 'hung'],
        delay.races.filter((row) => row.engine === engine).map((row) => [
          row.peer,
          `${row.delayMs}`,
          ...(row.ms ? [row.ms.median, row.ms.p99, row.ms.slowest].map(fixed) : ['', '', '']),
          `${row.ms?.samples ?? 0} of ${row.callers * row.races}`,
          ...[row.threw, row.early, row.hung].map(String),
        ]),
      ),
    ]),
  ];
}

function cpu({ cpu }: Results): string[] {
  if (!cpu) return [];
  const section = (what: string, floor: string) => {
    const rows = cpu.filter((row) => row.what === what);
    const least = rows.find(({ name }) => name === floor)!.ns!;
    return table(
      ['', 'µs', 'x'],
      rows.map(({ name, ns, error }) =>
        ns === undefined ? [name, error!, ''] : [name, fixed(ns / 1_000), fixed(ns / least)]
      ),
    );
  };
  return [
    '## What a call costs the processor',
    'The median of one call. Warm:',
    section('warm', 'await of a resolved promise'),
    'Cold, on an installed SQLite database in memory:',
    section('cold', 'one Kysely select'),
  ];
}

const KIB = 1_024;

function imports({ import: measured }: Results): string[] {
  if (!measured) return [];
  const runtimes = [...new Set(measured.imports.map(({ runtime }) => runtime))];
  const modules = [...new Set(measured.imports.map(({ module }) => module))];
  return [
    '## What it costs to have it',
    'Import in a fresh process: median milliseconds, and KiB that the heap has grown by.',
    table(
      ['', ...runtimes.flatMap((runtime) => [`${runtime}, ms`, 'KiB'])],
      modules.map((module) => [
        module,
        ...runtimes.flatMap((runtime) => {
          const row = measured.imports.find((row) =>
            row.module === module && row.runtime === runtime
          )!;
          if (row.ms === undefined) return ['fails', ''];
          return [fixed(row.ms), Math.max(0, row.heapBytes! / KIB).toFixed(0)];
        }),
      ]),
    ),
    thrown(
      measured.imports.flatMap(({ runtime, module, error }) =>
        error === undefined ? [] : [[`${module} on ${runtime}`, error]]
      ),
    ),
    'In a bundle for the web:',
    table(
      ['', 'minified, KiB', 'gzipped, KiB'],
      measured.sizes.map(({ module, minifiedBytes, gzippedBytes }) => [
        module,
        ...[minifiedBytes, gzippedBytes].map((bytes) => (bytes / KIB).toFixed(1)),
      ]),
    ),
  ];
}

function growth({ growth, effort }: Results): string[] {
  if (!growth) return [];
  const { counts, crowds, local, tenants } = growth;
  const bySize = ['', ...effort.sizes.map((tables) => `${tables} tables`)];
  const engines = [...new Set(counts.map(({ engine }) => engine))];
  return [
    '## How it grows',
    'Round trips of an install, by the number of tables:',
    ...engines.flatMap((engine) => {
      const rows = counts.filter((row) => row.engine === engine);
      return [
        `### ${TITLES[engine]}`,
        table(
          bySize,
          [...new Set(rows.map(({ peer }) => peer))].map((peer) => [
            peer,
            ...effort.sizes.map((tables) => {
              const { fresh } = rows.find((row) => row.peer === peer && row.tables === tables)!;
              return 'error' in fresh ? 'throws' : String(fresh.roundTrips);
            }),
          ]),
        ),
      ];
    }),
    '### Callers at once on a fresh database, 20 ms',
    table(
      ['', 'callers', 'median, ms', 'slowest, ms', 'threw', 'early'],
      crowds.map(({ engine, peer, callers, ms, threw, early }) => [
        `${TITLES[engine]}, ${peer}`,
        String(callers),
        ...(ms ? [fixed(ms.median), fixed(ms.slowest)] : ['', '']),
        ...[threw, early].map(String),
      ]),
    ),
    '### A local SQLite file, fresh',
    'Median milliseconds.',
    table(
      bySize,
      [...new Set(local.map(({ name }) => name))].map((name) => [
        name,
        ...effort.sizes.map((size) => {
          const { ms, error } = local.find((row) => row.name === name && row.tables === size)!;
          return ms === undefined ? error! : fixed(ms);
        }),
      ]),
    ),
    '### Many databases from one process',
    `${effort.tenants} SQLite files, one after the other: opened, looked after, closed. Medians of ` +
    `blocks, which took turns.`,
    table(
      ['', '', 'ms a database', 'databases a second'],
      tenants.map(({ what, name, msPerDatabase }) => [
        name,
        what,
        fixed(msPerDatabase),
        (1_000 / msPerDatabase).toFixed(0),
      ]),
    ),
  ];
}
