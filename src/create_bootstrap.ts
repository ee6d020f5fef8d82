/**
 * Remembering, inside one process or isolate, which databases are installed.
 *
 * @module
 */

import type { AtomicBatch } from './batch.ts';
import { bootstrap } from './bootstrap.ts';
import type { BootstrapConfig } from './config.ts';
import { ANYTHING, checkFields, duration } from './fields.ts';
import { databaseOf } from './database.ts';
import { type Database, type KyselyLike, tableOf } from './kysely.ts';
import type { BootstrapResult } from './result.ts';
import { parseConfig, RULES } from './settings.ts';

/** What {@linkcode createBootstrap} takes. */
export interface CreateBootstrapConfig<K extends KyselyLike = KyselyLike>
  extends BootstrapConfig<K> {
  /**
   * After an error came out of the DDL, that error is thrown again for this long, in milliseconds,
   * without touching the database, so that a broken schema does not become a stampede; also to calls
   * that are waiting. Of a batch nobody can tell whose statement failed, so any error of it counts,
   * but for those that are tried again; of a transaction none that only its commit has shown. 0 turns
   * it off.
   *
   * @default {1000}
   */
  readonly failureCooldownMs?: number | undefined;
}

/** What one call of {@linkcode EnsureSchema} may say. */
export interface EnsureOptions {
  /** Ends this call's wait, as in {@linkcode BootstrapConfig.signal}; in its place if both are set. */
  readonly signal?: AbortSignal | undefined;
  /** The batch of this call, as in {@linkcode BootstrapConfig.batch}; in its place if both are set. */
  readonly batch?: AtomicBatch | undefined;
  /**
   * What identifies the database: the same object or string for every call about it. An object is
   * held weakly, anything else until it is forgotten. In Workers, where each request makes a Kysely
   * of its own, pass what outlives the request, like `env.HYPERDRIVE`.
   *
   * @default The batch's `database` if there is a batch, else the Kysely instance.
   */
  readonly key?: unknown;
}

const ENSURE_RULES = { signal: RULES.signal, batch: RULES.batch, key: ANYTHING };

/** Made by {@linkcode createBootstrap}. */
export interface EnsureSchema<K extends KyselyLike = KyselyLike> {
  /**
   * Resolves when the schema is installed in the database of `db`: with 0 statements if this
   * process has seen that already, else as `bootstrapSchema` does, throwing what that throws.
   */
  (db: K, options?: EnsureOptions): Promise<BootstrapResult>;
  /**
   * Forgets the database of this {@linkcode EnsureOptions.key}, or all of them: call it when a database
   * was dropped or restored. By default the key is the `database` of the batch, where there is one.
   */
  forget: (key?: unknown) => void;
}

/** What is known about a schema of a database. */
interface Known {
  installed?: BootstrapResult;
  /** What has come out of the DDL, and until when it is thrown again. */
  error: unknown;
  until: number;
}

/** By the schema in which the ledger lies; empty where no plugin names one. */
type Places = Map<string, Known>;

/**
 * Makes an {@linkcode EnsureSchema}: `bootstrapSchema` that remembers its success, for code that
 * asks at the start of every request.
 *
 * It remembers settled success only, never a promise: in Workers the promise of a request that was
 * cancelled never settles, and would hang every later request of the isolate. So calls that arrive
 * together each look for themselves; the database decides among them.
 *
 * @example
 * ```ts
 * import type { Kysely } from 'kysely';
 * import { createBootstrap } from '@arraypress/db-migrate';
 *
 * const ensureSchema = createBootstrap({
 *   version: '0001_initial',
 *   ddl: async (db: Kysely<{ users: { id: number } }>) => {
 *     await db.schema.createTable('users')
 *       .addColumn('id', 'integer', (column) => column.primaryKey())
 *       .execute();
 *   },
 * });
 *
 * export async function handle(db: Kysely<{ users: { id: number } }>): Promise<number> {
 *   await ensureSchema(db);
 *   return (await db.selectFrom('users').selectAll().execute()).length;
 * }
 * ```
 *
 * @param config What to install, and how; checked at once.
 * @returns The function to call before the database is used.
 * @throws {TypeError} A field is missing, unknown or of the wrong type.
 * @throws {RangeError} A field is out of range.
 */
export function createBootstrap<K extends KyselyLike>(
  config: CreateBootstrapConfig<K>,
): EnsureSchema<K> {
  const { failureCooldownMs: cooldownMs = 1_000, ...rest } = checkConfig<K>(config);
  const settings = parseConfig(rest);
  let objects = new WeakMap<object, Places>();
  const others = new Map<unknown, Places>();

  function memory(key: unknown): Pick<Map<unknown, Places>, 'get' | 'set' | 'delete'> {
    return Object(key) === key ? objects as unknown as Map<unknown, Places> : others;
  }

  function recall(key: unknown, place: string): Known {
    let places = memory(key).get(key);
    if (!places) memory(key).set(key, places = new Map());
    let known = places.get(place);
    if (!known) places.set(place, known = { error: undefined, until: 0 });
    return known;
  }

  async function ensure(db: K, options: EnsureOptions = {}): Promise<BootstrapResult> {
    const key = options.key ?? (options.batch ?? settings.batch)?.database ?? db;
    const signal = options.signal ?? settings.signal;
    if (signal?.aborted) throw signal.reason;
    const place = placeOf(databaseOf(db));
    // What is forgotten meanwhile stays so: whoever comes later has another one to write into.
    const known = recall(key, place);
    if (known.installed) return known.installed;
    const { key: _, ...given } = checkFields('options', options, ENSURE_RULES);
    const result = await bootstrap(db, { ...settings, ...given }, {
      // Many calls may have begun before the first of them failed.
      failure: () => failureIn(recall(key, place)),
      onError: (error) => {
        // One that is thrown again is no new one.
        if (failureIn(known)) return;
        known.error = error;
        known.until = performance.now() + cooldownMs;
      },
    });
    if (result.outcome !== 'pending') known.installed ??= settled(result);
    return result;
  }

  function forget(key?: unknown): void {
    // As for a call, where either means the default.
    if (key !== undefined && key !== null) {
      memory(key).delete(key);
      return;
    }
    objects = new WeakMap();
    others.clear();
  }

  return Object.assign(ensure, { forget });
}

/** What {@linkcode createBootstrap} was given, as an object of its own. */
export function checkConfig<K extends KyselyLike>(config: unknown): CreateBootstrapConfig<K> {
  const rules = { ...RULES, failureCooldownMs: duration(0) };
  return checkFields('config', config, rules) as unknown as CreateBootstrapConfig<K>;
}

/** The error that the DDL has just had, if it is to be thrown again. */
function failureIn(known: Known): { error: unknown } | undefined {
  return !known.installed && performance.now() < known.until ? known : undefined;
}

/** Where plugins, as for a schema or a prefix, lead a table: one database may have many ledgers. */
function placeOf(db: Database): string {
  if (db.getExecutor().plugins.length === 0) return '';
  return JSON.stringify(tableOf(db, 't'));
}

function settled({ version, strategy }: BootstrapResult): BootstrapResult {
  return Object.freeze({
    version,
    strategy,
    installed: false,
    wonClaim: false,
    outcome: 'already-installed',
    durationMs: 0,
  });
}
