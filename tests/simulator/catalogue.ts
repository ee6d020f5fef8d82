/**
 * The scenarios that are searched exhaustively: two callers, in every world.
 *
 * @module
 */

import { libraryProtocol } from './protocols.ts';
import {
  type CallerPlan,
  lineOf,
  type Protocol,
  type Scenario,
  type Schema,
  schemaOf,
  type Start,
  STARTS,
} from './scenario.ts';
import type { World } from './server.ts';

/** The worlds. */
export const WORLDS = {
  sqlite: { engine: 'sqlite', transactions: 'real' },
  postgres: { engine: 'postgres', transactions: 'real' },
  /** As CockroachDB: the advisory lock is a stub, so the claim's row alone decides. */
  stub: { engine: 'postgres', transactions: 'real', advisoryLocks: 'stub' },
  /** As Hyperdrive: the advisory lock is an error. */
  pooled: { engine: 'postgres', transactions: 'real', advisoryLocks: 'unsupported' },
  sqld: { engine: 'sqlite', transactions: 'real', isImpatient: true },
  d1: { engine: 'd1', transactions: 'none' },
  replicated: { engine: 'd1', transactions: 'none', hasReplicas: true },
  silent: { engine: 'd1', transactions: 'silent' },
} satisfies Record<string, World>;

/** So short that a whole wait is a few looks, and in the proportions of the defaults. */
export const TIMES = { waitTimeoutMs: 350, leaseMs: 100 };

/** Minutes that the clocks of callers are off, one more, one less. */
const CLOCKS_MS = [300_000, -420_000, 0];

type Strategy = CallerPlan['strategy'];

interface Entry {
  readonly name: string;
  readonly world: World;
  readonly callers: readonly (Partial<CallerPlan> & { readonly strategy: Strategy })[];
  readonly schema?: Schema;
  readonly start?: Start;
  /** True if all schedules with a pre-emption and a fault are so many that they take long. */
  readonly isLong?: true;
}

const strict = schemaOf();
const idempotent = schemaOf({ isIdempotent: true });

const tx = { strategy: 'transaction' } as const;
const batch = { strategy: 'batch' } as const;
const lease = { strategy: 'lease' } as const;
const auto = { strategy: 'auto' } as const;

const ENTRIES: readonly Entry[] = [
  { name: 'transactions on SQLite', world: WORLDS.sqlite, callers: [tx, tx] },
  { name: 'transactions on Postgres', world: WORLDS.postgres, callers: [tx, tx] },
  {
    name: 'transactions, stub advisory locks',
    world: WORLDS.stub,
    callers: [tx, tx],
    isLong: true,
  },
  {
    name: 'transactions, no advisory locks',
    world: WORLDS.pooled,
    callers: [tx, tx],
    isLong: true,
  },
  { name: 'transactions on sqld', world: WORLDS.sqld, callers: [tx, tx], isLong: true },
  {
    name: 'transactions, stub locks, DDL that may run twice',
    world: WORLDS.stub,
    callers: [tx, tx],
    schema: idempotent,
    isLong: true,
  },
  { name: 'batches on D1', world: WORLDS.d1, callers: [batch, batch] },
  { name: 'batches on SQLite', world: WORLDS.sqlite, callers: [batch, batch] },
  { name: 'batches on Postgres', world: WORLDS.postgres, callers: [batch, batch] },
  { name: 'leases on D1', world: WORLDS.d1, callers: [auto, auto], schema: idempotent },
  {
    name: 'leases, one connection each',
    world: WORLDS.sqlite,
    callers: [{ ...lease, hasOneConnection: true }, { ...lease, hasOneConnection: true }],
    schema: idempotent,
  },
  { name: 'silent transactions', world: WORLDS.silent, callers: [auto, auto], schema: idempotent },
  { name: 'a batch and a transaction', world: WORLDS.sqlite, callers: [batch, tx] },
  {
    name: 'a batch and a transaction on Postgres',
    world: WORLDS.postgres,
    callers: [batch, tx],
  },
  {
    name: 'a batch and a transaction, no advisory locks',
    world: WORLDS.pooled,
    callers: [batch, tx],
    isLong: true,
  },
  {
    name: 'a transaction and a lease',
    world: WORLDS.sqlite,
    callers: [tx, lease],
    schema: idempotent,
    isLong: true,
  },
  {
    name: 'a transaction and a lease on Postgres',
    world: WORLDS.postgres,
    callers: [tx, lease],
    schema: idempotent,
    isLong: true,
  },
  { name: 'a batch and a lease', world: WORLDS.d1, callers: [batch, auto], schema: idempotent },
  {
    name: 'a batch and a silent transaction',
    world: WORLDS.silent,
    callers: [batch, tx],
    schema: idempotent,
  },
  { name: 'batches, stale replicas', world: WORLDS.replicated, callers: [batch, batch] },
  {
    name: 'leases, stale replicas',
    world: WORLDS.replicated,
    callers: [auto, auto],
    schema: idempotent,
    start: STARTS.empty,
    isLong: true,
  },
  {
    name: 'transactions, old ledger',
    world: WORLDS.sqlite,
    callers: [tx, tx],
    start: STARTS.old,
    isLong: true,
  },
  {
    name: 'batches, old ledger',
    world: WORLDS.d1,
    callers: [batch, batch],
    start: STARTS.old,
    isLong: true,
  },
  {
    name: 'leases, old ledger',
    world: WORLDS.d1,
    callers: [auto, auto],
    schema: idempotent,
    start: STARTS.old,
    isLong: true,
  },
  {
    name: 'transactions, expired claim',
    world: WORLDS.sqlite,
    callers: [tx, tx],
    start: STARTS.expired,
    isLong: true,
  },
  {
    name: 'transactions, stub locks, expired claim',
    world: WORLDS.stub,
    callers: [tx, tx],
    start: STARTS.expired,
    isLong: true,
  },
  {
    name: 'batches, expired claim',
    world: WORLDS.d1,
    callers: [batch, batch],
    start: STARTS.expired,
  },
  {
    name: 'leases, expired claim',
    world: WORLDS.d1,
    callers: [auto, auto],
    schema: idempotent,
    start: STARTS.expired,
    isLong: true,
  },
  {
    name: 'silent transactions, expired claim',
    world: WORLDS.silent,
    callers: [auto, auto],
    schema: idempotent,
    start: STARTS.expired,
    isLong: true,
  },
  {
    name: 'batches that assume a fresh database',
    world: WORLDS.d1,
    callers: [{ ...batch, assumeFresh: true }, { ...batch, assumeFresh: true }],
  },
  {
    name: 'one does not wait, transactions',
    world: WORLDS.sqlite,
    callers: [tx, { ...tx, onContention: 'return' }],
    isLong: true,
  },
  {
    name: 'one does not wait, leases',
    world: WORLDS.d1,
    callers: [auto, { ...auto, onContention: 'return' }],
    schema: idempotent,
    isLong: true,
  },
  {
    name: 'old and new code, transactions',
    world: WORLDS.sqlite,
    callers: [{ ...tx, schema: strict }, { ...tx, schema: lineOf() }],
    isLong: true,
  },
  {
    name: 'old and new code, batches',
    world: WORLDS.d1,
    callers: [{ ...batch, schema: strict }, { ...batch, schema: lineOf() }],
  },
  {
    name: 'old and new code, leases',
    world: WORLDS.d1,
    callers: [{ ...auto, schema: idempotent }, { ...auto, schema: lineOf(true) }],
    isLong: true,
  },
  {
    name: 'upgrades, transactions',
    world: WORLDS.postgres,
    callers: [tx, tx],
    schema: lineOf(),
    start: STARTS.first,
    isLong: true,
  },
  {
    name: 'upgrades, batches',
    world: WORLDS.d1,
    callers: [batch, batch],
    schema: lineOf(),
    start: STARTS.first,
  },
  {
    name: 'upgrades, a batch and a lease',
    world: WORLDS.d1,
    callers: [batch, auto],
    schema: lineOf(true),
    start: STARTS.first,
  },
];

/** True if all schedules with a pre-emption and a fault are so many that they take long. */
export function isLong(name: string): boolean {
  return ENTRIES.find((entry) => entry.name === name)?.isLong === true;
}

/** The scenarios, for the library or a copy of it. */
export function catalogue(library: Parameters<typeof libraryProtocol>[0]): Scenario[] {
  const protocol: Protocol = libraryProtocol(library, TIMES);
  return ENTRIES.map(({ name, world, callers, schema = strict, start }) => ({
    name,
    world,
    protocol,
    ...TIMES,
    ...(start && { start }),
    callers: callers.map((caller, index) => ({ schema, clockMs: CLOCKS_MS[index]!, ...caller })),
  }));
}
