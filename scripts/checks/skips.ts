/**
 * What may be skipped, and why: all of it is here. Anything else that is skipped is a failure.
 *
 * @module
 */

import type { Outcome } from './outcome.ts';

/** Something that may be left out, where the reason is this one. */
interface Allowed {
  readonly what: RegExp;
  readonly why: RegExp;
}

const ALLOWED: readonly Allowed[] = [
  { what: /^jsr:@db\/sqlite$/, why: /^JSR is out of reach$/ },
  { what: /^(libsql-http|example .+)$/, why: /^sqld is not made for Windows$/ },
  { what: /^PgBouncer$/, why: /^not installed$/ },
  { what: /^the end of Postgres' server$/, why: /^DB_MIGRATE_POSTGRES_URL is not ours$/ },
  { what: /^tests that are told to stop$/, why: /^Windows has no signals$/ },
  { what: /^a full disk$/, why: /^no tmpfs of one's own here: / },
];

/** The outcome with a failure for each thing that was skipped and may not be. */
export function judgeSkips(outcome: Outcome): Outcome {
  const wrong = outcome.skipped.filter((told) => !isAllowed(told));
  if (wrong.length === 0) return outcome;
  const lines = wrong.map((told) => `failed: (skipped, and not in skips.ts: ${told})`);
  return {
    ...outcome,
    failed: outcome.failed + wrong.length,
    details: [...lines, '', outcome.details].join('\n'),
  };
}

/** What was skipped is told as `what: why`. */
function isAllowed(told: string): boolean {
  return ALLOWED.some(({ what, why }) => {
    // The name of a thing may have a colon in it, too.
    const ends = [...told.matchAll(/: /g)].map(({ index }) => index);
    return ends.some((end) => what.test(told.slice(0, end)) && why.test(told.slice(end + 2)));
  });
}
