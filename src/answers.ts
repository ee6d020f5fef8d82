/**
 * What recorded statements would have answered.
 *
 * @module
 */

import { type CompiledQuery, kindOf, type QueryResult } from './kysely.ts';
import { isChange, isRead, type Statement } from './sql_text.ts';

/**
 * The answer of a database that is not asked: none, or one that nobody may look at. `refuse` throws,
 * once it is needed.
 */
export function answerTo(
  query: CompiledQuery,
  statements: readonly Statement[],
  refuse: (reason: string) => never,
): QueryResult {
  const kind = kindOf(query);
  const isRaw = kind === 'RawNode';
  const words = statements.flatMap((statement) => statement.words);
  const isAnswerless = statements.every(({ words: [first = ''] }) => ANSWERLESS.test(first));
  const node = query.query as { returning?: unknown; isPlanned?: boolean };
  // Whoever planned it has had its answer from a shadow. What is no statement has none.
  if (node.isPlanned || statements.length === 0) return { rows: [] };
  if (
    kind === 'SelectQueryNode' || isRead(statements) || node.returning ||
    (isRaw && !isAnswerless && words.includes('returning'))
  ) {
    refuse('its rows are needed');
  }
  const use = () => refuse('what it answers is used');
  // Whatever anybody does to it asks the inner one for a way to do that.
  const unknown: unknown = new Proxy(function () {}, new Proxy({}, { get: () => use }));
  const isSilent = !isRaw || isAnswerless ||
    statements.every(({ words: [first = ''] }) => isChange(first));
  const count = words.some(isChange) ? unknown : undefined;
  return {
    rows: isSilent ? [] : unknown as [],
    insertId: count,
    numAffectedRows: count,
    numChangedRows: count,
  };
}

// Statements that answer nothing, so that an empty list of rows is the truth.
const ANSWERLESS = /^(create|alter|drop|comment|grant|revoke|truncate|set|analyze|reindex|do)$/;
