/**
 * The library imports nothing at run time but its own files, and these have no cycles: read from
 * Deno's own module graph.
 *
 * @module
 */

import { relative } from 'node:path';

import { type Outcome, single } from './outcome.ts';
import { ROOT, run } from './process.ts';

/** The part of `deno info --json` that is used. */
interface ModuleGraph {
  modules: { specifier: string; error?: string; dependencies?: Dependency[] }[];
}

/** An import. `code` is absent where it is an `import type` or `export type`. */
interface Dependency {
  specifier: string;
  code?: { specifier?: string };
  type?: { specifier?: string };
}

/** Counts as one test. */
export async function checkImports(files: readonly string[]): Promise<Outcome> {
  const modules = new Map<string, Dependency[]>();
  for (const file of files) {
    const { code, output } = await run([Deno.execPath(), 'info', '--json', '--quiet', file]);
    if (code !== 0) return single(false, output);
    const graph: ModuleGraph = JSON.parse(output.slice(output.indexOf('{')));
    for (const { specifier, dependencies = [] } of graph.modules) {
      if (specifier.startsWith('file:')) modules.set(specifier, dependencies);
    }
  }
  const problems = [...foreignImports(modules), ...cycles(modules)];
  return single(problems.length === 0, problems.join('\n'));
}

/** What is imported at run time and is not a file of the library. */
function foreignImports(modules: ReadonlyMap<string, readonly Dependency[]>): string[] {
  const problems: string[] = [];
  for (const [module, dependencies] of modules) {
    for (const { specifier, code } of dependencies) {
      if (code !== undefined && !/^\.\.?\//.test(specifier)) {
        problems.push(`${name(module)} imports "${specifier}" at run time`);
      }
    }
  }
  return problems;
}

/** The import cycles, types included: a cycle of types is a knot to the reader, too. */
function cycles(modules: ReadonlyMap<string, readonly Dependency[]>): string[] {
  const problems: string[] = [];
  const done = new Set<string>();

  function visit(module: string, path: readonly string[]): void {
    const start = path.indexOf(module);
    if (start >= 0) {
      problems.push(`cycle: ${[...path.slice(start), module].map(name).join(' -> ')}`);
      return;
    }
    if (done.has(module)) return;
    for (const { code, type } of modules.get(module) ?? []) {
      for (const target of new Set([code?.specifier, type?.specifier])) {
        if (target !== undefined) visit(target, [...path, module]);
      }
    }
    done.add(module);
  }

  for (const module of modules.keys()) visit(module, []);
  return problems;
}

/** A module as people call it. */
function name(specifier: string): string {
  return relative(ROOT, new URL(specifier).pathname);
}
