/**
 * Every schedule of a scenario, within bounds.
 *
 * @module
 */

import type { Violation } from './checker.ts';
import { withSurroundings } from './globals.ts';
import type { Scenario } from './scenario.ts';
import { type Chooser, type Fault, type Outcome, Simulation } from './simulation.ts';

/** How far a search goes. */
export interface Bounds {
  /** How often somebody may be passed over who could go on. */
  readonly preemptions: number;
  readonly faults: readonly Fault[];
  readonly mostFaults: number;
  /** Ends the search early; it then says that it is not complete. */
  readonly mostRuns?: number;
  /** Goes on after a violation, to find those of other kinds. */
  readonly findAll?: boolean;
}

/** What a search found. */
export interface Findings {
  /** Runs to the end. */
  schedules: number;
  /** Runs that came to a state from which everything had been tried. */
  cut: number;
  /** Different states. */
  states: number;
  steps: number;
  /** Runs in which a fault was injected, by kind. */
  readonly faults: Partial<Record<Fault, number>>;
  isComplete: boolean;
  /** The choices that led to violations, and what came of them: one of each kind. */
  readonly violations: { readonly choices: readonly number[]; readonly outcome: Outcome }[];
}

/**
 * Depth first, and without repeating itself: two schedules that lead to the same state (what is
 * committed, what is open, what each caller has seen, what time it is) go on alike, so only the
 * first one is followed.
 */
export function explore(scenario: Scenario, bounds: Bounds): Promise<Findings> {
  return withSurroundings(() => search(scenario, bounds));
}

async function search(scenario: Scenario, bounds: Bounds): Promise<Findings> {
  const findings: Findings = {
    schedules: 0,
    cut: 0,
    states: 0,
    steps: 0,
    faults: {},
    isComplete: false,
    violations: [],
  };
  const seen = new Map<string, number>();
  const path: { index: number; readonly count: number }[] = [];
  const { faults, mostFaults, mostRuns = Infinity } = bounds;
  for (;;) {
    let depth = 0;
    let left = bounds.preemptions;
    const choose: Chooser = (options, run) => {
      const affordable = options.flatMap(({ cost }, index) => cost <= left ? [index] : []);
      if (depth === path.length) {
        // Whoever came here with as many pre-emptions left has tried all that is left to try.
        const state = run.fingerprint;
        if ((seen.get(state) ?? -1) >= left) return undefined;
        seen.set(state, left);
        path.push({ index: 0, count: affordable.length });
      }
      const chosen = affordable[path[depth++]!.index]!;
      left -= options[chosen]!.cost;
      return chosen;
    };
    const outcome = await new Simulation(scenario, { choose, faults, mostFaults }).run();
    findings.states = seen.size;
    findings.steps += outcome.steps;
    if (outcome.isCut) findings.cut++;
    else findings.schedules++;
    for (const fault of outcome.faults) {
      findings.faults[fault] = (findings.faults[fault] ?? 0) + 1;
    }
    if (outcome.violation) {
      const kind = kindOf(outcome.violation);
      if (!findings.violations.some((one) => kindOf(one.outcome.violation!) === kind)) {
        const choices = path.slice(0, depth).map(({ index }) => index);
        const again = await replay(scenario, bounds, choices);
        if (again.violation?.message !== outcome.violation.message) {
          throw new Error(`Not repeatable: ${outcome.violation.message} (${choices.join()})`);
        }
        findings.violations.push({ choices, outcome: again });
      }
      if (!bounds.findAll) return findings;
    }
    while (path.length > 0 && path.at(-1)!.index + 1 >= path.at(-1)!.count) path.pop();
    if (path.length === 0) return { ...findings, isComplete: true };
    path.at(-1)!.index++;
    if (findings.schedules + findings.cut >= mostRuns) return findings;
  }
}

/** What is wrong, whoever it is. */
function kindOf({ invariant, message }: Violation): string {
  return `${invariant} ${message.replaceAll(/\b[A-FZ](-\d+)?\b/g, '')}`;
}

/** Runs one schedule again, with its timeline. Choices that are missing are the first one. */
export async function replay(
  scenario: Scenario,
  { preemptions, faults, mostFaults }: Bounds,
  choices: readonly number[],
): Promise<Outcome> {
  let depth = 0;
  let left = preemptions;
  const choose: Chooser = (options) => {
    const affordable = options.flatMap(({ cost }, index) => cost <= left ? [index] : []);
    const chosen = affordable[choices[depth++] ?? 0]!;
    left -= options[chosen]!.cost;
    return chosen;
  };
  return await new Simulation(scenario, { choose, faults, mostFaults, isTraced: true }).run();
}
