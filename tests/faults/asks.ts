/**
 * What the callers of these tests ask for.
 *
 * @module
 */

import type { Strategy } from '../../mod.ts';
import { marked, schemaAgain } from '../batch/ddl.ts';
import type { Ask, Caller } from '../races/call.ts';
import type { CallOrder } from '../races/caller_messages.ts';
import { schemaOf } from '../support/schema.ts';
import { LEASE_MS, TABLES } from './counts.ts';

/** All strategies: the next caller may use any. */
export const STRATEGIES = ['transaction', 'batch', 'lease'] as const;

/** What callers of one mark ask for. Under a lease it must be harmless to repeat. */
export function askFor(mark: string, strategy: Strategy, isRepeated: boolean): Ask {
  const schema = isRepeated ? schemaAgain(TABLES) : schemaOf(TABLES);
  return { tables: TABLES, ddl: marked(schema, mark), strategy, leaseMs: LEASE_MS };
}

/** The same for a process, or for an isolate. */
export function orderFor(mark: string, strategy: Strategy): CallOrder {
  return {
    kind: 'call',
    strategy,
    tables: TABLES,
    mark,
    leaseMs: LEASE_MS,
    isIdempotent: strategy === 'lease',
  };
}

/** The caller without its batch, unless that is what it is to use. */
export function withBatchFor(strategy: Strategy, { batch, ...caller }: Caller): Caller {
  return strategy === 'batch' ? { ...caller, batch } : caller;
}
