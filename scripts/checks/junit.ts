/**
 * JUnit XML, the one report that Deno, Node and Bun all write, each in its own dialect.
 *
 * @module
 */

/** One test of a report. */
export interface TestCase {
  /** With the names of the suites around it. */
  name: string;
  result: 'passed' | 'failed' | 'skipped';
  /** Why it was skipped, where the report tells. */
  reason?: string;
}

const TEST_CASE = /<testcase\b((?:\s+[\w:-]+="[^"]*")*)\s*(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const ATTRIBUTE = /([\w:-]+)="([^"]*)"/g;
const SKIPPED = /<skipped\b((?:\s+[\w:-]+="[^"]*")*)/;
const FAILED = /<(?:failure|error)\b(?:\s+message="([^"]*)")?/;

/**
 * The tests that a report of one test file counts.
 *
 * @param file The path of the test file, as it was given to the runner.
 */
export function parseReport(xml: string, file: string): TestCase[] {
  const cases = [...xml.matchAll(TEST_CASE)].map(([, head, body]) => parseCase(head!, body ?? ''));
  return cases
    .filter(({ name, result }) => !(isFileItself(name, file) && result === 'passed'))
    .filter((one) => !isContainer(one, cases));
}

function parseCase(head: string, body: string): TestCase & { message: string } {
  const { name = '', classname = '' } = attributes(head);
  const failure = FAILED.exec(body);
  const skip = SKIPPED.exec(body);
  return {
    name: [...suites(classname), name].join(' > '),
    result: failure !== null ? 'failed' : skip !== null ? 'skipped' : 'passed',
    reason: skip === null ? undefined : attributes(skip[1]!).message,
    message: failure?.[1] ?? '',
  };
}

/** The suites around a test, outermost first, from what each dialect has as the "class name". */
function suites(classname: string): string[] {
  const isFile = classname.endsWith('.ts');
  if (classname === '' || classname === 'test' || isFile) return [];
  // Bun names the innermost suite first. Node joins them with a dot, which names may have, too.
  return classname.split(' > ').reverse();
}

/** Node reports a file in which no test was run as one test that passed. */
function isFileItself(name: string, file: string): boolean {
  return name === file || name.endsWith(`/${file}`);
}

/**
 * Deno reports a suite as a test beside its tests. It counts only where it failed by itself, in a
 * hook for instance.
 */
function isContainer(one: TestCase & { message: string }, all: readonly TestCase[]): boolean {
  const contains = all.some(({ name }) => name.startsWith(`${one.name} > `));
  return contains && (one.result !== 'failed' || /^\d+ test steps? failed$/.test(one.message));
}

function attributes(text: string): Record<string, string> {
  const pairs = [...text.matchAll(ATTRIBUTE)].map(([, name, value]) => [name!, unescape(value!)]);
  return Object.fromEntries(pairs);
}

const ENTITIES: Record<string, string> = { lt: '<', gt: '>', quot: '"', apos: "'", amp: '&' };

function unescape(text: string): string {
  return text
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&(lt|gt|quot|apos|amp);/g, (_, name) => ENTITIES[name]!);
}
