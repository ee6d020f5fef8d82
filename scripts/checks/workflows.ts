/**
 * GitHub's workflows: every action is pinned to a commit, and every command is of the same Deno.
 *
 * @module
 */

import { type Outcome, single } from './outcome.ts';
import { ROOT } from './process.ts';

/** The Deno that the README tells people to use. */
const DENO = /deno@(\d+\.\d+\.\d+)/g;

/** Counts as one test. */
export async function checkWorkflows(): Promise<Outcome> {
  const folder = `${ROOT}/.github/workflows`;
  const problems: string[] = [];
  const readme = versionsIn(await Deno.readTextFile(`${ROOT}/README.md`));
  for await (const { name } of Deno.readDir(folder)) {
    const text = await Deno.readTextFile(`${folder}/${name}`);
    const actions = [...text.matchAll(/uses: (.+)$/gm)].map((match) => match[1]!);
    for (const action of actions) {
      if (!/^\.\/|^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action)) {
        problems.push(`${name}: not pinned to a commit with its version behind: ${action}`);
      }
    }
    const others = versionsIn(text).filter((version) => !readme.includes(version));
    if (others.length > 0) problems.push(`${name}: deno ${others}, but the README has ${readme}`);
    if (actions.length === 0) problems.push(`${name}: no action`);
  }
  return single(problems.length === 0, problems.join('\n'));
}

function versionsIn(text: string): string[] {
  return [...new Set([...text.matchAll(DENO)].map((match) => match[1]!))];
}
