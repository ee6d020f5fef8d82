/**
 * The command lines of the scripts. What a script can be told stands in its own header.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from 'node:util';

type Options = NonNullable<ParseArgsConfig['options']>;
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

/** Reads the command line. With `--help`, or where it makes no sense, ends the script. */
export function readArguments<T extends Options>(options: T): Values<T> {
  try {
    const { values } = parseArgs({
      args: Deno.args,
      options: { ...options, help: { type: 'boolean' } },
    });
    if (!(values as { help?: boolean }).help) return values as Values<T>;
  } catch (error) {
    refuse((error as Error).message);
  }
  console.log(usage());
  Deno.exit(0);
}

/** Says what is wrong with the command line, and ends the script. */
export function refuse(problem: string): never {
  console.error(`${problem}\n\n${usage()}`);
  Deno.exit(2);
}

/** A whole number of the command line, if there is one; ends the script if it is another text. */
export function wholeNumber(name: string, text: string): number;
export function wholeNumber(name: string, text: string | undefined): number | undefined;
export function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) refuse(`--${name} must be a whole number: it is "${text}"`);
  return Number(text);
}

/** The commands in the header of the script that runs. */
function usage(): string {
  const source = Deno.readTextFileSync(new URL(Deno.mainModule));
  const commands = source.matchAll(/^ \* {5}(deno .+)$/gm);
  return [...commands].map(([, command]) => command).join('\n');
}
