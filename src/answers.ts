/**
 * What recorded statements would have answered.
 *
 * @module
 */

import { type CompiledQuery, kindOf, type QueryResult } from './kysely.ts';
import { isChange, isRead, type Statement } from './sql_text.ts';

/** The answers of a database that is not asked: none, or one that nobody may look at. */
export class Answers {
  readonly #refuse: (sql: string, reason: string) => never;
  /** The answers nobody has, by the statement that would have given them. */
  readonly #unknowns = new WeakMap<object, string>();

  /** `refuse` throws, once an answer is needed. */
  constructor(refuse: (sql: string, reason: string) => never) {
    this.#refuse = refuse;
  }

  to(query: CompiledQuery, statements: readonly Statement[]): QueryResult {
    const isRaw = kindOf(query) === 'RawNode';
    const words = statements.flatMap((statement) => statement.words);
    const isAnswerless = statements.every(({ words: [first = ''] }) => ANSWERLESS.test(first));
    const node = query.query as { returning?: unknown; isPlanned?: boolean };
    // Whoever planned it has had its answer from a shadow. What is no statement has none.
    if (node.isPlanned || statements.length === 0) return { rows: [] };
    if (
      kindOf(query) === 'SelectQueryNode' || isRead(statements) || node.returning ||
      (isRaw && !isAnswerless && words.includes('returning'))
    ) {
      this.#refuse(query.sql, 'its rows are needed');
    }
    const unknown = this.#unknown(query.sql);
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

  /** Refuses parameters that are such answers. */
  check(parameters: readonly unknown[]): void {
    for (const parameter of parameters) {
      const source = typeof parameter === 'function' ? this.#unknowns.get(parameter) : undefined;
      if (source !== undefined) this.#refuse(source, 'a later statement uses what it answers');
    }
  }

  /** A value that throws as soon as anyone looks at it. */
  #unknown(sql: string): unknown {
    const refuse = () => this.#refuse(sql, 'what it answers is used');
    // Whatever anybody does to it asks the inner one for a way to do that.
    const unknown = new Proxy(function () {}, new Proxy({}, { get: () => refuse }));
    this.#unknowns.set(unknown, sql);
    return unknown;
  }
}

// Statements that answer nothing, so that an empty list of rows is the truth.
const ANSWERLESS = /^(create|alter|drop|comment|grant|revoke|truncate|set|analyze|reindex|do)$/;
