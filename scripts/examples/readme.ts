/**
 * The examples of the README: its `ts` code blocks. A comment that nobody sees may stand before one:
 *
 *     <!-- example: NAME on node deno bun -->
 *
 * gives it a name, and says where it is run. A name that ends in `.ts` makes it a file that other
 * examples import. Without such a comment it is type-checked only. What the code is said to print,
 * or a Worker to answer, stands in it, line by line, behind `// → `.
 *
 * @module
 */

/** Where an example can be run. `node` is every version of it. */
export const PLACES = ['node', 'deno', 'bun', 'workerd'] as const;

/** One of {@linkcode PLACES}. */
export type Place = typeof PLACES[number];

/** A code block. */
export interface Example {
  /** The name of its file, without an ending. */
  readonly name: string;
  /** Whether others may import it. */
  readonly isShared: boolean;
  readonly places: readonly Place[];
  readonly code: string;
  /** What comes out of it, line by line. */
  readonly expected: readonly string[];
}

const BLOCK = /(?:^<!-- example: (.*?) -->\n+)?^```ts\n([\s\S]*?)^```$/gm;

/** All examples of a text in Markdown, in order. */
export function examplesIn(markdown: string): Example[] {
  const examples = [...markdown.matchAll(BLOCK)].map(({ 0: block, 1: mark, 2: code, index }) => {
    const line = markdown.slice(0, index! + block.indexOf('```ts')).split('\n').length;
    const { name, places } = mark === undefined
      ? { name: `line_${line}`, places: [] }
      : parseMark(mark, line);
    const expected = [...code!.matchAll(/\/\/ → (.*)$/gm)].map((match) => match[1]!.trim());
    const isShared = name.endsWith('.ts');
    return { name: name.replace(/\.ts$/, ''), isShared, places, code: code!, expected };
  });
  const marks = markdown.match(/^<!-- example:/gm)?.length ?? 0;
  const marked = examples.filter(({ places }) => places.length > 0).length;
  if (marks !== marked) throw new Error(`${marks} marks, but ${marked} examples that have one`);
  return examples;
}

/** The compiler options that readers are told to use, in JSON behind a comment that nobody sees. */
export function compilerOptionsIn(markdown: string): object {
  const json = /^<!-- tsconfig -->\n```json\n([\s\S]*?)^```$/m.exec(markdown)?.[1];
  if (json === undefined) throw new Error('There is no "tsconfig" to compile the examples with');
  return JSON.parse(json).compilerOptions;
}

/** The packages that an example imports, as they are called in a manifest. */
export function packagesOf({ code }: Example): string[] {
  const specifiers = [...code.matchAll(/^(?:import|export)\b[^;]*?from '([^'.][^']*)';$/gm)]
    .map((match) => match[1]!)
    .filter((specifier) => !/^(node|bun|cloudflare):/.test(specifier));
  return specifiers.map((specifier) =>
    specifier.split('/', specifier[0] === '@' ? 2 : 1).join('/')
  );
}

/** Whether an example is run as a Worker: one without a mark is, if it needs no binding but D1. */
export function isWorker({ code, places }: Example): boolean {
  if (!/^export default (\{|app;)/m.test(code)) return false;
  return places.includes('workerd') || (places.length === 0 && code.includes('env.DB'));
}

function parseMark(mark: string, line: number): { name: string; places: Place[] } {
  const { name, places } = /^(?<name>[\w-]+(\.ts)?) on (?<places>[a-z ]+)$/.exec(mark)?.groups ??
    {};
  const found = places?.split(' ') ?? [];
  const unknown = found.filter((place) => !PLACES.includes(place as Place));
  if (name === undefined || unknown.length > 0) {
    throw new Error(`line ${line}: not "example: NAME on ${PLACES.join(' ')}": ${mark}`);
  }
  return { name, places: found as Place[] };
}
