/**
 * The server of a simulation: who may write, who waits, and who sees what.
 *
 * One caller at a time has an open transaction that wrote. Others are refused as by SQLite, or wait
 * as on Postgres, and read what was committed before.
 *
 * @module
 */

import {
  type Answer,
  isRead,
  type Row,
  type SessionState,
  type Sql,
  Store,
  type Unit,
} from './store.ts';

/** What kind of database it is. */
export interface World {
  /** What others' writes meet during a transaction, and how errors look. */
  readonly engine: 'sqlite' | 'postgres' | 'd1';
  /** What `begin`, `commit` and `rollback` do: their work, an error, or nothing in silence. */
  readonly transactions: 'real' | 'none' | 'silent';
  /** Postgres: what `pg_try_advisory_xact_lock` does: its work, always true, or an error. */
  readonly advisoryLocks?: 'real' | 'stub' | 'unsupported';
  /** As sqld: a transaction that others wait for is rolled back, and what follows stands alone. */
  readonly isImpatient?: boolean;
  /** Reads outside batches and transactions may be answered by a replica that lags behind. */
  readonly hasReplicas?: boolean;
}

/** A connection, as the server knows it. */
export interface Session {
  readonly caller: string;
  /** Set while a transaction is open on it. */
  transaction: Transaction | undefined;
  isBroken: boolean;
}

interface Transaction {
  wrote: boolean;
  /** Postgres: a statement of it failed. */
  isAborted: boolean;
  /** SQLite: how much was committed when it read first. */
  snapshot: number | undefined;
  lockTimeoutMs: number | undefined;
  /** Postgres ends it when nothing was heard of its client for so long. */
  idleMs: number | undefined;
  heardAt: number;
  advisoryKey: string | undefined;
}

/** What a request came to; blocked means that it has to be sent again when the writer is done. */
export type Landing =
  | { readonly kind: 'answer'; readonly answers: Answer[] }
  | { readonly kind: 'error'; readonly error: Error }
  | { readonly kind: 'blocked'; readonly timeoutMs: number | undefined };

/** Errors of the database that say that somebody else was in the way. */
export const contentionErrors: WeakSet<Error> = new WeakSet();

/** The server. */
export class Server {
  readonly store = new Store();
  /** Errors that say that a connection is gone. */
  readonly lostErrors: WeakSet<Error> = new WeakSet();
  readonly #world: World;
  readonly #now: () => number;
  readonly #onUnit: (unit: Unit) => void;
  readonly #advisory = new Map<string, Session>();
  readonly #sessions = new Set<Session>();
  #writer: Session | undefined;

  /** `onUnit` hears of everything that is committed, at once. */
  constructor(world: World, now: () => number, onUnit: (unit: Unit) => void) {
    this.#world = world;
    this.#now = now;
    this.#onUnit = onUnit;
  }

  get isPostgres(): boolean {
    return this.#world.engine === 'postgres';
  }

  /** Whoever has an open transaction that wrote. */
  get writer(): Session | undefined {
    return this.#writer;
  }

  /** Every session with an open transaction. */
  get open(): readonly Session[] {
    return [...this.#sessions];
  }

  /** What tells two states of the server apart, beside what was committed. */
  get fingerprint(): string {
    let text = '';
    for (const { caller, transaction: t } of this.#sessions) {
      if (t) {
        text += `${caller}${t.wrote ? 'w' : ''}${t.isAborted ? 'a' : ''}${t.snapshot ?? ''}` +
          `${t.lockTimeoutMs ?? ''}${t.advisoryKey ? 'l' : ''}${t.idleMs ? t.heardAt : ''};`;
      }
    }
    return text;
  }

  /** Opens a transaction. */
  begin(session: Session): void {
    session.transaction = transactionAt(this.#now());
    this.#sessions.add(session);
  }

  /** Commits, or rolls back what cannot be committed, as Postgres does. */
  commit(session: Session): void {
    const { transaction } = session;
    if (!transaction) return;
    const isWriter = this.#writer === session;
    this.#end(session);
    if (isWriter) this.#report(this.store.commit(session.caller));
  }

  /** Rolls back. */
  rollback(session: Session): void {
    if (!session.transaction) return;
    if (this.#writer === session) this.store.rollback();
    this.#end(session);
  }

  /** Begins, commits or rolls back by a statement, which fails where there is nothing to end. */
  control(kind: 'begin' | 'commit' | 'rollback', session: Session): Landing {
    if (kind !== 'begin' && !session.transaction && this.#world.isImpatient) {
      return {
        kind: 'error',
        error: coded(`cannot ${kind} - no transaction is active`, 'SQLITE_ERROR'),
      };
    }
    this[kind](session);
    return { kind: 'answer', answers: [] };
  }

  /** Rolls a transaction back because others wait for it; one statement hears of it. */
  evict(session: Session): Error {
    this.rollback(session);
    const error = coded('TRANSACTION_TIMEOUT: transaction timed-out', 'TRANSACTION_TIMEOUT');
    contentionErrors.add(error);
    return error;
  }

  /** Ends a connection from the outside; its transaction is rolled back. */
  breakOff(session: Session): void {
    this.rollback(session);
    session.isBroken = true;
  }

  /** Runs one statement. */
  execute(session: Session, statement: Sql, wasBlocked = false): Landing {
    const { transaction } = session;
    if (session.isBroken) return { kind: 'error', error: this.lost() };
    if (transaction) {
      transaction.heardAt = this.#now();
      if (transaction.isAborted) {
        const text = 'current transaction is aborted, commands ignored until end of transaction';
        return { kind: 'error', error: coded(text, '25P02') };
      }
    }
    const landing = this.#land(session, statement, wasBlocked);
    if (landing.kind === 'error') this.abort(session);
    return landing;
  }

  /** Postgres gives a transaction up as soon as a statement of it fails. */
  abort(session: Session): void {
    const { transaction } = session;
    if (!this.isPostgres || !transaction) return;
    if (this.#writer === session) {
      this.store.rollback();
      this.#writer = undefined;
    }
    transaction.isAborted = true;
    this.#unlock(transaction);
  }

  /** Runs statements as one; `failAt` is the one that fails with `error`, if any. */
  batch(
    caller: string,
    statements: readonly Sql[],
    wasBlocked = false,
    failure?: { readonly at: number; readonly error: Error },
  ): Landing {
    const transaction = transactionAt(this.#now());
    const session: Session = { caller, transaction, isBroken: false };
    try {
      const first = statements[0]!;
      if (statements.length === 1 && isRead(first.sql)) {
        return this.#read(first, undefined, session);
      }
      if (!this.#writer) return this.#runBatch(session, statements, wasBlocked, failure);
      if (!this.isPostgres) return { kind: 'error', error: this.busy() };
      // It comes as far as to its first write, under the settings that it has read by then.
      const landing = isRead(first.sql) ? this.#read(first, undefined, session) : undefined;
      if (landing?.kind === 'error') return landing;
      return { kind: 'blocked', timeoutMs: transaction.lockTimeoutMs ?? lockTimeoutOf(statements) };
    } finally {
      this.#unlock(transaction);
    }
  }

  #runBatch(
    session: Session,
    statements: readonly Sql[],
    wasBlocked: boolean,
    failure: { readonly at: number; readonly error: Error } | undefined,
  ): Landing {
    const answers: Answer[] = [];
    this.store.begin();
    try {
      statements.forEach((statement, index) => {
        if (failure?.at === index) throw failure.error;
        this.#throwIfRaced(statement, wasBlocked);
        answers.push(this.#store(statement, session));
      });
    } catch (error) {
      this.store.rollback();
      return { kind: 'error', error: error as Error };
    }
    this.#report(this.store.commit(session.caller));
    return { kind: 'answer', answers };
  }

  /** Runs a read on a replica that has not heard of the last unit. */
  readStale(statement: Sql, behind: number): Landing {
    return this.#read(statement, behind);
  }

  #land(session: Session, statement: Sql, wasBlocked: boolean): Landing {
    const { transaction } = session;
    const isNoop = !wasBlocked && this.#existsAlready(statement.sql);
    if ((isRead(statement.sql) || isNoop) && this.#writer !== session) {
      if (transaction && !transaction.wrote) transaction.snapshot ??= this.store.log.length;
      return this.#read(statement, undefined, session);
    }
    if (this.#writer && this.#writer !== session) {
      return this.isPostgres
        ? {
          kind: 'blocked',
          timeoutMs: transaction ? transaction.lockTimeoutMs : lockTimeoutOf([statement]),
        }
        : { kind: 'error', error: this.busy() };
    }
    if (transaction && !transaction.wrote) {
      const isOld = transaction.snapshot !== undefined &&
        transaction.snapshot !== this.store.log.length;
      if (!this.isPostgres && isOld) return { kind: 'error', error: this.busy() };
      this.store.begin();
      transaction.wrote = true;
      this.#writer = session;
    }
    try {
      this.#throwIfRaced(statement, wasBlocked);
      if (transaction) {
        return { kind: 'answer', answers: [this.#store(statement, session)] };
      }
      const { unit, ...answer } = this.#run(() =>
        this.store.runAlone(statement, this.#now(), session.caller)
      );
      this.#report(unit);
      return { kind: 'answer', answers: [answer] };
    } catch (error) {
      return { kind: 'error', error: error as Error };
    }
  }

  #read(statement: Sql, behind: number | undefined, session?: Session): Landing {
    try {
      const answer = this.#run(
        (state) =>
          behind === undefined
            ? this.store.read(statement, this.#now(), state)
            : this.store.readStale(statement, this.#now(), behind),
        session,
      );
      return { kind: 'answer', answers: [answer] };
    } catch (error) {
      return { kind: 'error', error: error as Error };
    }
  }

  #store(statement: Sql, session?: Session): Answer {
    return this.#run((state) => this.store.run(statement, this.#now(), state), session);
  }

  #run<A extends Answer>(work: (state?: SessionState) => A, session?: Session): A {
    const state = session && this.#stateOf(session);
    let answer: A;
    try {
      answer = work(state);
    } catch (error) {
      throw this.#translated((error as Error).message);
    }
    if (state?.error) throw state.error;
    return this.isPostgres ? { ...answer, rows: answer.rows.map(asPostgres) } : answer;
  }

  /** A session's settings and locks, which end with its transaction. */
  #stateOf(session: Session): SessionState & { error?: Error } {
    const { transaction } = session;
    const { advisoryLocks = 'real' } = this.#world;
    const state: SessionState & { error?: Error } = {
      get: (name) => transaction && name === 'db_migrate.search_path' ? '=public' : '0',
      set(name, value) {
        const ms = Number.parseInt(value) || undefined;
        if (transaction && name === 'lock_timeout') transaction.lockTimeoutMs = ms;
        if (transaction && name.startsWith('idle_in')) transaction.idleMs = ms;
      },
      lock: (key) => {
        // A function that throws would end the process of some runtimes.
        if (advisoryLocks === 'unsupported') {
          state.error = coded('advisory locks are not supported', '0A000');
        }
        if (!transaction || advisoryLocks !== 'real') return true;
        if (this.#advisory.has(key)) return false;
        this.#advisory.set(key, session);
        transaction.advisoryKey = key;
        return true;
      },
      isLocked: (key) => this.#advisory.has(key),
    };
    return state;
  }

  #existsAlready(sql: string): boolean {
    const match = /^create table if not exists "?(\w+)/i.exec(sql);
    return match !== null && this.#hasTable(match[1]!);
  }

  #hasTable(name: string): boolean {
    const sql = `select name from sqlite_master where type = 'table' and name = ?`;
    return this.store.read({ sql, parameters: [name] }, this.#now()).rows.length > 0;
  }

  /** `create … if not exists` that waited for another one finds out too late on Postgres. */
  #throwIfRaced({ sql }: Sql, wasBlocked: boolean): void {
    if (!this.isPostgres || !wasBlocked || !this.#existsAlready(sql)) return;
    const text = 'duplicate key value violates unique constraint "pg_type_typname_nsp_index"';
    const error = coded(text, '23505', { constraint: 'pg_type_typname_nsp_index' });
    contentionErrors.add(error);
    throw error;
  }

  #end(session: Session): void {
    if (session.transaction) this.#unlock(session.transaction);
    if (this.#writer === session) this.#writer = undefined;
    session.transaction = undefined;
    this.#sessions.delete(session);
  }

  #unlock(transaction: Transaction): void {
    if (transaction.advisoryKey !== undefined) this.#advisory.delete(transaction.advisoryKey);
    transaction.advisoryKey = undefined;
  }

  #report(unit: Unit | undefined): void {
    if (unit) this.#onUnit(unit);
  }

  /** What the engine's text is in the words of this database. */
  #translated(text: string): Error {
    if (this.#world.engine === 'd1') {
      const code = text.includes('constraint') ? 'SQLITE_CONSTRAINT' : 'SQLITE_ERROR';
      return new Error(`D1_ERROR: ${text}: ${code}`);
    }
    if (!this.isPostgres) return coded(text, 'ERR_SQLITE_ERROR');
    const table = /no such table: (?:main\.)?(\w+)/.exec(text)?.[1];
    if (table) return coded(`relation "${table}" does not exist`, '42P01');
    if (/no such column|has no column named/.test(text)) return coded(text, '42703');
    const unique = /UNIQUE constraint failed: (\w+)/.exec(text)?.[1];
    if (unique) return coded(text, '23505', { constraint: `${unique}_pkey` });
    if (/already exists/.test(text)) return coded(text, '42P07');
    if (/duplicate column name/.test(text)) return coded('column already exists', '42701');
    return coded(text, 'XX000');
  }

  /** What somebody hears who meets another writer, or does not get the lock in time. */
  busy(): Error {
    const error = this.isPostgres
      ? coded('canceling statement due to lock timeout', '55P03')
      : this.#world.engine === 'd1'
      ? new Error('D1_ERROR: D1 DB is overloaded. Requests queued for too long.')
      : coded('database is locked', 'ERR_SQLITE_ERROR', { errcode: 5 });
    contentionErrors.add(error);
    return error;
  }

  /** What somebody hears whose connection is gone. */
  lost(): Error {
    const { engine } = this.#world;
    const error = new Error(
      engine === 'postgres'
        ? 'Connection terminated unexpectedly'
        : engine === 'd1'
        ? 'D1_ERROR: Network connection lost.'
        : 'fetch failed',
    );
    // D1 loses its connections so often that it is taken for contention.
    if (engine === 'd1') contentionErrors.add(error);
    else this.lostErrors.add(error);
    return error;
  }
}

function transactionAt(nowMs: number): Transaction {
  return {
    wrote: false,
    isAborted: false,
    snapshot: undefined,
    lockTimeoutMs: undefined,
    idleMs: undefined,
    heardAt: nowMs,
    advisoryKey: undefined,
  };
}

function coded(text: string, code: string, more: object = {}): Error {
  return Object.assign(new Error(text), { code, ...more });
}

function lockTimeoutOf(statements: readonly Sql[]): number | undefined {
  for (const { sql } of statements) {
    const match = /'lock_timeout', '(\d+)ms'/.exec(sql);
    if (match) return Number(match[1]);
  }
  return undefined;
}

// node-postgres gives 64-bit integers as strings, and booleans as what they are.
function asPostgres(row: Row): Row {
  const copy = { ...row };
  for (const column of ['lease', 'since']) {
    if (typeof copy[column] === 'number') copy[column] = String(copy[column]);
  }
  if (typeof copy.free === 'number') copy.free = copy.free === 1;
  return copy;
}
