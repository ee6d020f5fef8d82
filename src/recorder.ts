/**
 * Recording DDL instead of running it: the caller's own compiler and plugins write the SQL, and no
 * database is asked.
 *
 * @module
 */

import { answerTo } from './answers.ts';
import type { BatchStatement } from './batch.ts';
import {
  DdlStalledError,
  NO_STATEMENT,
  NOT_AWAITED,
  NotRecordableError,
  type SchemaError,
  type SchemaErrorDetails,
  StatementRefusedError,
} from './errors.ts';
import { instanceOn, introspectionOf } from './instances.ts';
import {
  type CompiledQuery,
  type Connection,
  type Database,
  plain,
  type QueryResult,
} from './kysely.ts';
import { type Run, runAll, TAKES_NONE, takesNone } from './run.ts';
import { type Dialect, isRead, refusalInUnit, type Statement, statementsOf } from './sql_text.ts';
import { copyOf } from './values.ts';
import type { Patience } from './wait.ts';

interface RecordOptions {
  readonly dialect: Dialect;
  readonly details: SchemaErrorDetails;
  readonly shadow?: Database | undefined;
  /** How long the DDL may take, where there is no shadow that it might be busy with. */
  readonly patience?: Patience;
  /** Whether it has been recorded before, so that it does return, and others are waited for. */
  readonly hasBegun?: boolean;
}

/**
 * The statements of a DDL, in order.
 *
 * @throws {NotRecordableError} The DDL needs an answer, or recorded nothing.
 * @throws {StatementRefusedError} A statement would split the unit, or was not awaited.
 */
export async function record(
  db: Database,
  ddl: readonly Run[],
  options: RecordOptions,
): Promise<BatchStatement[]> {
  // It would really run, and outside of any claim.
  if (takesNone(ddl)) throw unused(TAKES_NONE, options.details);
  const recorder = new Recorder(options);
  const recorded = runAll(ddl, recorder.instance(db), options.details);
  await (options.patience?.race(recorded, (end) => ended(options, end)) ?? recorded);
  await recorder.close();
  if (recorder.refusal) throw recorder.refusal;
  if (recorder.statements.length === 0) throw unused(NO_STATEMENT, options.details);
  return recorder.statements;
}

function unused(found: string, details: SchemaErrorDetails): NotRecordableError {
  return new NotRecordableError(undefined, `${found}. Use the instance it was given`, details);
}

/** Why nobody waits any longer for a DDL that does not return. */
function ended(options: RecordOptions, end: { error: unknown }): { error: unknown } {
  const { patience, hasBegun, details } = options;
  if (patience?.isAborted || hasBegun) return end;
  const found = `the ddl did not return while it was recorded. Nothing of it was sent. Raise ` +
    `'waitTimeoutMs' if it takes longer`;
  return { error: new DdlStalledError(found, details) };
}

class Recorder {
  statements: BatchStatement[] = [];
  /** The first refusal, which the DDL may have caught. */
  refusal: SchemaError | undefined;
  readonly #options: RecordOptions;
  #isClosed = false;
  #underWay = 0;
  readonly #shadows = new WeakMap<Connection, Connection>();

  constructor(options: RecordOptions) {
    this.#options = options;
  }

  /** Lets no statement in any more, since the DDL has returned: what comes now was not awaited. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // Measured: Kysely takes 7 turns from one statement to the next, and 20 with a transaction. A
    // timer would hang where a test has put the clock into its own hands.
    for (let turn = 0; turn < 100; turn++) await undefined;
    if (this.#underWay > 0) this.#refused('(still under way)', NOT_AWAITED);
  }

  instance(db: Database): Database {
    const { shadow } = this.#options;
    const starts: number[] = [];
    return instanceOn(
      db,
      {
        provideConnection: async (consumer, ...rest) => {
          this.#underWay++;
          try {
            if (!shadow) return await consumer(this.#connection());
            const borrow = (own: Connection) => consumer(this.#connection(own));
            return await shadow.getExecutor().provideConnection(borrow, ...rest);
          } finally {
            this.#underWay--;
          }
        },
      },
      {
        beginTransaction: async (connection) => {
          if (starts.length > 0) {
            this.#unrecordable(undefined, 'two transactions of the ddl overlap');
          }
          starts.push(this.statements.length);
          await this.#shadows.get(connection)?.executeQuery(plain('begin'));
        },
        commitTransaction: async (connection) => {
          starts.pop();
          await this.#shadows.get(connection)?.executeQuery(plain('commit'));
        },
        rollbackTransaction: async (connection) => {
          this.statements.length = starts.pop() ?? 0;
          await this.#shadows.get(connection)?.executeQuery(plain('rollback'));
        },
        // As one in raw SQL is.
        savepoint: () => this.#read(plain('savepoint')),
      },
      (own) => {
        if (!shadow) return this.#unrecordable(undefined, 'the ddl introspects the database');
        // On the instance that asks: in a transaction that has the only connection.
        return introspectionOf(shadow, own);
      },
    );
  }

  #connection(shadow?: Connection): Connection {
    const connection: Connection = {
      executeQuery: async (query) => {
        const statements = this.#read(query);
        const answer = shadow
          ? await this.#ask(shadow, query, statements)
          : answerTo(query, statements, (reason) => this.#unrecordable(query.sql, reason));
        if (!isRead(statements)) this.#push(query, statements);
        return answer;
      },
      streamQuery: (query, ...rest) => {
        if (shadow && isRead(this.#read(query))) return shadow.streamQuery(query, ...rest);
        return this.#unrecordable(query.sql, 'it streams rows');
      },
    };
    if (shadow) this.#shadows.set(connection, shadow);
    return connection;
  }

  /** Runs a query on the shadow, each of its statements as it will be sent. */
  async #ask(
    shadow: Connection,
    query: CompiledQuery,
    statements: readonly Statement[],
  ): Promise<QueryResult> {
    let answer: QueryResult = { rows: [] };
    const queries = statements.length > 1 ? statements.map(({ sql }) => plain(sql)) : [query];
    for (const one of queries) answer = await shadow.executeQuery(one);
    return answer;
  }

  #read(query: CompiledQuery): Statement[] {
    if (this.#isClosed) throw this.#refused(query.sql, NOT_AWAITED);
    const statements = statementsOf(query.sql, this.#options.dialect);
    const reason = refusalInUnit(statements);
    if (reason) throw this.#refused(query.sql, reason);
    return statements;
  }

  #push(query: CompiledQuery, statements: readonly Statement[]): void {
    // Drivers disagree about several statements in one text, so each travels alone; but nobody
    // can say whose parameters are whose.
    if (statements.length !== 1 && query.parameters.length > 0) {
      const reason = 'it is several statements with parameters in one text. Send them one by one';
      throw this.#refused(query.sql, reason);
    }
    // Without what stands behind its semicolon, where D1 looks for another statement. A copy looks at
    // each parameter, which an answer that nobody has does not bear.
    for (const { sql } of statements) {
      this.statements.push({ sql, parameters: query.parameters.map(copyOf) });
    }
  }

  #refused(sql: string, reason: string): SchemaError {
    return this.refusal ??= new StatementRefusedError(sql, reason, this.#options.details);
  }

  #unrecordable(sql: string | undefined, reason: string): never {
    throw this.refusal ??= new NotRecordableError(
      sql,
      `${reason}, and recorded DDL gets no answers; nothing of it was sent. Plan it ahead with ` +
        `planSchema(db, ddl, { shadow }), or use strategy 'transaction' or 'lease' without ` +
        `'onDrift'`,
      this.#options.details,
    );
  }
}
