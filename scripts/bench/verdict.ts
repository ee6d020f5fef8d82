/**
 * The promises about speed, each with what was measured.
 *
 * @module
 */

import type { EngineName } from './caller.ts';
import { TITLES } from './engines/list.ts';
import { leastRacer, oneBatch, oneSelect } from './peers/floors.ts';
import { kyselyMigrator } from './peers/kysely.ts';
import { assumeFresh, batch } from './peers/ours.ts';
import { OURS } from './peers/list.ts';
import type { Peer } from './peers/peer.ts';
import type { Results } from './results.ts';
import { REMOTE } from './run.ts';
import type { Counted } from './sections/wire.ts';
import { medianOf } from './stats.ts';

/** One promise. */
export interface Finding {
  readonly promise: string;
  readonly isReached: boolean;
  readonly measured: string;
}

/** The delay that the promises speak of, in milliseconds. */
const DELAY_MS = 20;

/** All promises about which this run has measured something. */
export function verdict(results: Results): Finding[] {
  return [
    ...fewestStatements(results),
    ...coldTime(results),
    ...warmTime(results),
    ...freshTime(results),
    ...raceTime(results),
    ...localTime(results),
    ...tenantTime(results),
  ];
}

function isCount(counted: Counted | undefined): counted is Exclude<Counted, { error: string }> {
  return counted !== undefined && !('error' in counted);
}

function fewestStatements({ wire }: Results): Finding[] {
  if (!wire) return [];
  const isOurs = (name: string) => OURS.some((peer) => peer.name === name);
  const findings: Finding[] = [];
  const ours = wire.counts.filter((row) => isOurs(row.peer) && row.cold);
  const cold = ours.map((row) => isCount(row.cold) ? row.cold.statements : Infinity);
  findings.push({
    promise: 'Cold, installed: 1 statement',
    isReached: cold.length > 0 && cold.every((count) => count === 1),
    measured: ours.map((row, at) => `${TITLES[row.engine]} ${cold[at]}`).join(', '),
  });
  const others = wire.counts.filter(({ peer, cold }) =>
    !isOurs(peer) && peer !== oneSelect.name && isCount(cold)
  );
  const fewest = Math.min(
    ...others.map(({ cold }) => isCount(cold) ? cold.statements : Infinity),
  );
  const who = others.filter(({ cold }) => isCount(cold) && cold.statements === fewest);
  findings.push({
    promise: 'Cold, installed: no peer needs fewer',
    isReached: fewest >= Math.max(...cold),
    measured: `the fewest of a peer: ${fewest} (${
      [...new Set(who.map(({ peer }) => peer))].join(', ')
    })`,
  });
  const warm = ours.map((row) => isCount(row.warm) ? row.warm.statements : Infinity);
  findings.push({
    promise: 'Warm: 0 statements',
    isReached: warm.length > 0 && warm.every((count) => count === 0),
    measured: ours.map((row, at) => `${TITLES[row.engine]} ${warm[at]}`).join(', '),
  });
  return findings;
}

function msOf(
  { delay }: Results,
  engine: EngineName,
  peer: Peer,
  what: 'cold' | 'fresh',
): number | undefined {
  return delay?.alone.find((row) =>
    row.engine === engine && row.peer === peer.name && row.what === what && row.delayMs === DELAY_MS
  )?.ms?.median;
}

/** A median against what it is to be a multiple of. */
function multiple(
  promise: string,
  limit: number,
  ms: number | undefined,
  floorMs: number | undefined,
): Finding {
  if (ms === undefined || floorMs === undefined) {
    return { promise, isReached: false, measured: 'nothing' };
  }
  return {
    promise,
    isReached: ms / floorMs <= limit,
    measured: `${fixed(ms / floorMs)}x (${fixed(ms)} of ${fixed(floorMs)} ms)`,
  };
}

function coldTime(results: Results): Finding[] {
  if (!results.delay) return [];
  return REMOTE.map((engine) =>
    multiple(
      `Cold, installed, ${DELAY_MS} ms, ${TITLES[engine]}: at most 1.1x a bare select`,
      1.1,
      msOf(results, engine, batch, 'cold'),
      msOf(results, engine, oneSelect, 'cold'),
    )
  );
}

function warmTime({ cpu }: Results): Finding[] {
  const ns = cpu?.find(({ what, name }) => what === 'warm' && name === 'db-migrate')?.ns;
  if (ns === undefined) return [];
  return [{
    promise: 'Warm: under 1 µs a call',
    isReached: ns < 1_000,
    measured: `${Math.round(ns)} ns`,
  }];
}

function freshTime(results: Results): Finding[] {
  if (!results.delay) return [];
  const { tables } = results.effort;
  const about = `Fresh, ${tables} tables, ${DELAY_MS} ms`;
  const findings: Finding[] = [];
  for (const engine of ['d1', 'libsql'] as const) {
    const trip = msOf(results, engine, oneBatch, 'fresh');
    for (const [peer, limit] of [[batch, 2.2], [assumeFresh, 1.2]] as const) {
      const ms = msOf(results, engine, peer, 'fresh');
      const select = msOf(results, engine, oneSelect, 'cold');
      const finding = multiple(
        `${about}, ${TITLES[engine]}, ${peer.name.replace('db-migrate, ', '')}: at most ` +
          `${limit}x the round trip of the bare batch`,
        limit,
        ms,
        trip,
      );
      findings.push({
        ...finding,
        measured: finding.measured + (ms && select ? `; ${fixed(ms / select)}x a bare select` : ''),
      });
    }
  }
  const ours = msOf(results, 'postgres', batch, 'fresh');
  const theirs = msOf(results, 'postgres', kyselyMigrator, 'fresh');
  findings.push(multiple(
    `${about}, Postgres, batch: at most 4x the bare batch`,
    4,
    ours,
    msOf(results, 'postgres', oneBatch, 'fresh'),
  ));
  const times = ours && theirs ? theirs / ours : 0;
  findings.push({
    promise: `${about}, Postgres, batch: at least 6x faster than Kysely's Migrator`,
    isReached: times >= 6,
    measured: `${fixed(times)}x (${fixed(ours ?? 0)} against ${fixed(theirs ?? 0)} ms)`,
  });
  return findings;
}

/** The library's back-off, as `src/wait.ts` has it. */
const FIRST_STEP_MS = 20;
const STEP_GROWTH = 1.25;

/** The longest step of a caller who has waited for so long, with a look between two steps. */
function stepAfter(waitedMs: number): number {
  let step = FIRST_STEP_MS;
  for (let at = 2 * DELAY_MS; at < waitedMs; at += step + DELAY_MS) step *= STEP_GROWTH;
  return step;
}

function raceTime(results: Results): Finding[] {
  const { delay } = results;
  if (!delay) return [];
  return (['postgres', 'd1'] as const).flatMap((engine): Finding[] => {
    const row = delay.races.find((row) =>
      row.engine === engine && row.peer === batch.name && row.delayMs === DELAY_MS
    );
    const lone = msOf(results, engine, batch, 'fresh');
    if (!row || lone === undefined || row.slowest.length === 0) return [];
    const about = `${row.callers} racers, ${DELAY_MS} ms, ${TITLES[engine]}`;
    const byHand = delay.races.find(({ engine, peer, delayMs }) =>
      engine === row.engine && peer === leastRacer.name && delayMs === DELAY_MS
    );
    const limit = 1.5 * lone + stepAfter(lone);
    const slowest = medianOf(row.slowest);
    return [
      {
        promise: `${about}: the slowest within 1.5x a lone installer and a back-off step`,
        isReached: slowest <= limit,
        measured: `${fixed(slowest)} of ${fixed(limit)} ms (median of ${row.races} races)` +
          (byHand && byHand.slowest.length > 0
            ? `; the same round trips by hand on this machine ${fixed(medianOf(byHand.slowest))} ms`
            : ''),
      },
      {
        promise: `${about}: nobody throws, nobody is early`,
        isReached: row.threw === 0 && row.early === 0 && row.hung === 0,
        measured: `${row.threw} threw, ${row.early} early, ${row.hung} hung, of ` +
          `${row.callers * row.races}`,
      },
    ];
  });
}

function localTime({ growth }: Results): Finding[] {
  if (!growth) return [];
  const most = Math.max(...growth.local.map(({ tables }) => tables));
  const ms = (part: string) =>
    growth.local.find(({ name, tables }) => tables === most && name.includes(part))?.ms;
  return [multiple(
    `Local SQLite, fresh, ${most} tables: at most 1.15x the same DDL in one transaction by hand`,
    1.15,
    ms('db-migrate'),
    ms('by hand'),
  )];
}

function tenantTime({ growth }: Results): Finding[] {
  if (!growth) return [];
  const row = (part: string) =>
    growth.tenants.find(({ what, name }) => what === 'fresh' && name.includes(part))!;
  const { databases, msPerDatabase: ours } = row('db-migrate');
  const { msPerDatabase: byHand } = row('by hand');
  const percent = 100 * (ours / byHand - 1);
  return [{
    promise: `${databases} tenant databases: overhead under 20 % of opening and DDL by hand`,
    isReached: percent < 20,
    measured: `${fixed(percent)} % (${fixed(ours)} against ${fixed(byHand)} ms a database)`,
  }];
}

/** Three digits that count. */
export function fixed(value: number): string {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}
