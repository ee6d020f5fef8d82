/**
 * The database of a simulation: real SQLite in memory, with its clock on the simulation's.
 *
 * Two copies of it are kept. Everything is executed on one of them, an open transaction included;
 * the other one follows the log of what was committed, and is what everybody else sees meanwhile.
 *
 * @module
 */

import { type NativeDatabase, openNative } from '../support/sqlite.ts';

/** A row as SQLite gives it. */
export type Row = Record<string, unknown>;

/** A statement with what its parameters were. */
export interface Sql {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

/** What a statement came to. */
export interface Answer {
  readonly rows: Row[];
  readonly changes: number;
  /** True if the database is another one than before. */
  readonly effective: boolean;
}

/** A statement that took effect, and when. */
export interface Effect extends Sql {
  readonly at: number;
}

/** What was committed together. */
export interface Unit {
  /** The name of the caller. */
  readonly caller: string;
  readonly effects: readonly Effect[];
  /** True if it was a transaction or a batch, rather than one statement. */
  readonly isAtomic: boolean;
}

/** The database's clock shows this much more than the simulation's. */
export const EPOCH_MS = 1_700_000_000_000;

/** What the functions of Postgres that a statement may call are about: the session's settings. */
export interface SessionState {
  get(name: string): string;
  set(name: string, value: string): void;
  /** Tries to get an advisory lock. */
  lock(key: string): boolean;
  /** Looks whether anybody has it. */
  isLocked(key: string): boolean;
}

type Prepared = ReturnType<NativeDatabase['prepare']>;

/** What `node:sqlite` has, and `bun:sqlite` has not. */
interface WithFunctions {
  function(
    name: string,
    options: { varargs: true },
    run: (...values: (string | number)[]) => string | number | null,
  ): void;
}

const READ = /^\s*(select|with|pragma|values)\b/i;
const RETURNING = /\breturning\b/i;
const SCHEMA = /^\s*(create|alter|drop)\b/i;

/** True if a statement only reads. */
export function isRead(sql: string): boolean {
  return READ.test(sql);
}

/** One copy, whose whole life is one SQLite transaction, so that a reset is a rollback. */
class Copy {
  readonly #native = openNative(':memory:');
  /** None is dropped: SQLite visits all that are not finalized at each change of the schema. */
  readonly #prepared = new Map<string, Prepared>();
  /** What has made the tables, and when the open unit began. */
  #shape = '';
  #shapeBefore = '';
  #clockMs = EPOCH_MS;
  #session: SessionState | undefined;

  constructor() {
    this.#define('julianday', () => this.#clockMs / 86_400_000 + 2_440_587.5);
    this.#define('clock_timestamp', () => this.#clockMs);
    this.#define('date_part', (_, ms) => Number(ms) / 1000);
    this.#define('current_setting', (name) => this.#session?.get(String(name)) ?? '');
    this.#define('set_config', (name, value) => {
      this.#session?.set(String(name), String(value));
      return value ?? null;
    });
    this.#define('version', () => 'PostgreSQL');
    this.#define('current_schema', () => 'public');
    this.#define('concat', (...texts) => texts.join(''));
    this.#define(
      'hashtext',
      (text) => [...String(text)].reduce((sum, c) => sum + c.charCodeAt(0), 0),
    );
    this.#define('pg_try_advisory_xact_lock', (...key) => Number(this.#session?.lock(key.join())));
    this.#define('is_free', (...key) => Number(!this.#session?.isLocked(key.join())));
    this.#native.exec('begin');
  }

  /** Defines a function, or puts it in the place of SQLite's own. */
  #define(name: string, run: (...values: (string | number)[]) => string | number | null): void {
    (this.#native as unknown as WithFunctions).function(name, { varargs: true }, run);
  }

  reset(): void {
    this.#native.exec('rollback');
    this.#native.exec('begin');
    this.#shape = '';
  }

  begin(): void {
    this.#shapeBefore = this.#shape;
    this.#native.exec('savepoint unit');
  }

  commit(): void {
    this.#native.exec('release unit');
  }

  rollback(): void {
    this.#native.exec('rollback to unit');
    this.#native.exec('release unit');
    this.#shape = this.#shapeBefore;
  }

  run({ sql, parameters }: Sql, at: number, session?: SessionState): Answer {
    this.#clockMs = EPOCH_MS + at;
    this.#session = session;
    const statement = this.#prepare(translated(sql));
    // Postgres has booleans, SQLite does not.
    const values = parameters.map((value) => typeof value === 'boolean' ? Number(value) : value);
    if (isRead(sql)) {
      return { rows: statement.all(...values) as Row[], changes: 0, effective: false };
    }
    const isSchema = SCHEMA.test(sql);
    const before = isSchema ? this.#schemaVersion() : 0;
    if (RETURNING.test(sql)) {
      const rows = statement.all(...values) as Row[];
      return { rows, changes: rows.length, effective: rows.length > 0 };
    }
    const changes = Number(statement.run(...values).changes);
    const effective = isSchema ? this.#schemaVersion() !== before : changes > 0;
    if (isSchema && effective) this.#shape += `${sql};`;
    return { rows: [], changes: isSchema ? 0 : changes, effective };
  }

  #schemaVersion(): unknown {
    return (this.#prepare('pragma schema_version').all() as Row[])[0]?.schema_version;
  }

  #prepare(sql: string): Prepared {
    // Some runtimes answer with the columns that there were when the statement was prepared.
    const key = /^select (ledger\.)?\*|returning \*/.test(sql) ? this.#shape + sql : sql;
    let statement = this.#prepared.get(key);
    if (!statement) {
      statement = this.#native.prepare(sql);
      this.#prepared.set(key, statement);
    }
    return statement;
  }
}

/** What the catalogue of Postgres has, in that of SQLite. */
const COLUMNS_OF = `select name as "column", pk as "key", 0 as required from pragma_table_info`;

const translations = new Map<string, string>();

/** The statement in the words of SQLite. */
function translated(sql: string): string {
  let text = translations.get(sql);
  if (text === undefined) {
    const table = /pg_attribute.*to_regclass\('"(\w+)"'\)/s.exec(sql)?.[1];
    text = (table ? `${COLUMNS_OF}('${table}')` : sql)
      .replaceAll(/\$(\d+)/g, '?$1')
      .replaceAll('::json', '')
      .replace('json_array_elements', 'json_each')
      .replace('-> -1', "-> '$[#-1]'")
      .replace(/\(select nspname .*? tableoid\)/, 'null')
      .replace(
        /not exists \(select from pg_catalog.pg_locks .*? classid = '(\d+)' .*? cast\((.*?) as oid\).*?current_database\(\)\)\)/,
        'is_free($1, $2)',
      )
      .replaceAll(
        /to_regclass\(([^()]+)\)/g,
        `(select name from sqlite_master where name = replace($1, '"', ''))`,
      );
    translations.set(sql, text);
  }
  return text;
}

const free: [Copy, Copy, Copy][] = [];

/** The database of one run. */
export class Store {
  /** What was committed, in order. */
  readonly log: Unit[] = [];
  readonly #copies = free.pop() ?? [new Copy(), new Copy(), new Copy()];
  readonly #current = this.#copies[0];
  readonly #follower = this.#copies[1];
  readonly #replica = this.#copies[2];
  #followed = 0;
  #replicated = 0;
  #isOpen = false;
  #effects: Effect[] = [];

  /** Gives the copies back. */
  end(): void {
    if (this.#isOpen) this.#current.rollback();
    for (const copy of this.#copies) copy.reset();
    free.push(this.#copies);
  }

  begin(): void {
    this.#current.begin();
    this.#isOpen = true;
    this.#effects = [];
  }

  rollback(): void {
    this.#current.rollback();
    this.#isOpen = false;
  }

  /** Returns what was committed, if it was anything at all. */
  commit(caller: string): Unit | undefined {
    this.#current.commit();
    this.#isOpen = false;
    return this.#append({ caller, effects: this.#effects, isAtomic: true });
  }

  /** Within the open transaction. */
  run(statement: Sql, at: number, session?: SessionState): Answer {
    const answer = this.#current.run(statement, at, session);
    if (answer.effective) this.#effects.push({ ...statement, at });
    return answer;
  }

  /** A statement of its own; nobody may have an open transaction. */
  runAlone(statement: Sql, at: number, caller: string): Answer & { unit: Unit | undefined } {
    const answer = this.#current.run(statement, at);
    const effects = [{ ...statement, at }];
    const unit = answer.effective ? this.#append({ caller, effects, isAtomic: false }) : undefined;
    return { ...answer, unit };
  }

  /** What somebody outside the open transaction reads. */
  read(statement: Sql, at: number, session?: SessionState): Answer {
    if (!this.#isOpen) return this.#current.run(statement, at, session);
    this.#followed = this.#follow(this.#follower, this.#followed, this.log.length);
    return this.#follower.run(statement, at, session);
  }

  /** What a replica answers that has not heard of the last units. */
  readStale(statement: Sql, at: number, behind: number): Answer {
    const until = Math.max(this.log.length - behind, this.#replicated);
    this.#replicated = this.#follow(this.#replica, this.#replicated, until);
    return this.#replica.run(statement, at);
  }

  #append(unit: Unit): Unit | undefined {
    if (unit.effects.length === 0) return undefined;
    this.log.push(unit);
    return unit;
  }

  #follow(copy: Copy, from: number, until: number): number {
    for (const { effects } of this.log.slice(from, until)) {
      for (const effect of effects) copy.run(effect, effect.at);
    }
    return until;
  }
}
