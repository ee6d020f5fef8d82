/**
 * The part of the benchmarks that is a test: what is counted, never what is timed.
 *
 * @module
 */

import type { BenchEngine, EngineName } from './caller.ts';
import type { Engines } from './engines/list.ts';
import { claimThenDdl, kyselyMigrator } from './peers/kysely.ts';
import { drizzle } from './peers/drizzle.ts';
import { oneBatch, oneSelect } from './peers/floors.ts';
import { assumeFresh, batch, transaction } from './peers/ours.ts';
import type { Peer } from './peers/peer.ts';
import { type BenchSchema, schemaFor } from './schema.ts';
import { type Counted, countFresh, countPeer } from './sections/wire.ts';

/** Few and many, as the round trips of a batch must not depend on it. */
const SIZES = [2, 12];

/** The round trips of an install through a batch. */
const TRIPS: Readonly<Partial<Record<EngineName, number>>> = { d1: 2, libsql: 2, postgres: 4 };

interface Claim {
  readonly name: string;
  readonly expected: string;
  readonly found: string;
}

/** Counts, and prints what is not as it must be. Resolves with the numbers of both. */
export async function smoke(engines: Engines): Promise<{ passed: number; failed: number }> {
  const schemas = await Promise.all(SIZES.map(schemaFor));
  const claims: Claim[] = [];
  for (const name of Object.keys(TRIPS) as EngineName[]) {
    claims.push(...await claimsOn(await engines.get(name), schemas));
  }
  claims.push(...await localClaims(await engines.get('sqlite'), schemas[0]!));
  const wrong = claims.filter(({ expected, found }) => expected !== found);
  for (const { name, expected, found } of wrong) {
    console.log(`failed: ${name}: expected ${expected}, found ${found}`);
  }
  return { passed: claims.length - wrong.length, failed: wrong.length };
}

async function claimsOn(engine: BenchEngine, schemas: readonly BenchSchema[]): Promise<Claim[]> {
  const claims: Claim[] = [];
  const trips = TRIPS[engine.name]!;
  const expect = (what: string, counted: Counted | undefined, expected: string, key: Key) => {
    claims.push({ name: `${engine.name}: ${what}`, expected, found: shown(counted, key) });
  };
  for (const schema of schemas) {
    const tables = `${schema.tables} tables`;
    const { fresh, cold, warm } = await countPeer(engine, batch, schema);
    expect(`round trips of an install, ${tables}`, fresh, `${trips}`, 'roundTrips');
    expect(`statements of a cold call, ${tables}`, cold, '1', 'statements');
    expect(`round trips of a cold call, ${tables}`, cold, '1', 'roundTrips');
    expect(`statements of a warm call, ${tables}`, warm, '0', 'statements');
    const assumed = await countFresh(engine, assumeFresh, schema);
    expect(`one round trip fewer if fresh, ${tables}`, assumed, `${trips - 1}`, 'roundTrips');
    const least = await countFresh(engine, oneBatch, schema);
    expect(`the least of an install, ${tables}`, least, '1', 'roundTrips');
  }
  const [schema] = schemas;
  const select = await countPeer(engine, oneSelect, schema!);
  expect('the least of a look', select.cold, '1', 'statements');
  for (const peer of [kyselyMigrator, claimThenDdl, drizzle]) {
    claims.push(await noFewer(engine, peer, schema!));
  }
  return claims;
}

async function localClaims(engine: BenchEngine, schema: BenchSchema): Promise<Claim[]> {
  const { cold, warm } = await countPeer(engine, transaction, schema);
  return [
    { name: 'sqlite: statements of a cold call', expected: '1', found: shown(cold, 'statements') },
    { name: 'sqlite: statements of a warm call', expected: '0', found: shown(warm, 'statements') },
    await noFewer(engine, kyselyMigrator, schema),
    await noFewer(engine, claimThenDdl, schema),
  ];
}

/** A peer is counted at all, and needs a statement at least; on D1 Migrator does not run. */
async function noFewer(engine: BenchEngine, peer: Peer, schema: BenchSchema): Promise<Claim> {
  const { cold } = await countPeer(engine, peer, schema);
  const throws = engine.name === 'd1' && peer === kyselyMigrator;
  const found = cold === undefined
    ? 'nothing'
    : 'error' in cold
    ? 'throws'
    : cold.statements > 1
    ? 'more than one statement'
    : `${cold.statements}`;
  return {
    name: `${engine.name}: ${peer.name} on an installed database`,
    expected: throws ? 'throws' : 'more than one statement',
    found,
  };
}

type Key = 'statements' | 'roundTrips';

function shown(counted: Counted | undefined, key: Key): string {
  if (counted === undefined) return 'nothing';
  return 'error' in counted ? counted.error : String(counted[key]);
}
