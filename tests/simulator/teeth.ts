/**
 * What is known to be wrong with claim-then-DDL, each fault with the search that must find it: a
 * checker that cannot find these would find nothing.
 *
 * @module
 */

import { TIMES, WORLDS } from './catalogue.ts';
import type { Invariant } from './checker.ts';
import { type Bounds, explore } from './explore.ts';
import { referenceProtocol } from './protocols.ts';
import { type Scenario, schemaOf } from './scenario.ts';
import type { Fault } from './simulation.ts';
import { timeline } from './timeline.ts';

interface Tooth {
  readonly name: string;
  readonly invariant: Invariant;
  /** What the violation's text says. */
  readonly says: RegExp;
  readonly preemptions: number;
  readonly faults: readonly Fault[];
}

const TEETH: readonly Tooth[] = [
  {
    name: 'a loser returns early',
    invariant: 'resolved means ready',
    says: /resolves, but no table/,
    preemptions: 1,
    faults: [],
  },
  {
    name: 'a dead winner bricks it',
    invariant: 'self-healing',
    says: /One more call.*resolves, but no table/,
    preemptions: 0,
    faults: ['die-after'],
  },
  {
    name: 'a failed winner leaves a part',
    invariant: 'self-healing',
    says: /One more call.*fails: .*already exists/,
    preemptions: 0,
    faults: ['ddl-throw'],
  },
];

/** A fault that was looked for. */
export interface FoundTooth {
  readonly name: string;
  readonly isFound: boolean;
  /** The timeline that shows it. */
  readonly text: string;
}

/** Looks for each of them. */
export async function findTeeth(): Promise<FoundTooth[]> {
  const found: FoundTooth[] = [];
  for (const tooth of TEETH) found.push(await find(tooth));
  return found;
}

async function find({ name, invariant, says, preemptions, faults }: Tooth): Promise<FoundTooth> {
  const caller = { strategy: 'lease', schema: schemaOf() } as const;
  const scenario: Scenario = {
    name: `claim-then-DDL: ${name}`,
    world: WORLDS.sqlite,
    protocol: referenceProtocol,
    ...TIMES,
    callers: faults.length > 0 ? [caller] : [caller, caller],
  };
  const bounds: Bounds = { preemptions, faults, mostFaults: faults.length, findAll: true };
  const { violations } = await explore(scenario, bounds);
  const hit = violations.find(({ outcome: { violation } }) =>
    violation!.invariant === invariant && says.test(violation!.message)
  );
  if (!hit) return { name, isFound: false, text: `${scenario.name}: not found` };
  return { name, isFound: true, text: timeline(scenario, hit.outcome) };
}
