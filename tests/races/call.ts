/**
 * One call of the library in a race, and the use of its schema the moment it has resolved. It knows
 * no runtime, since Workers make it too.
 *
 * @module
 */

import { type Kysely, sql } from 'kysely';

import {
  type AtomicBatch,
  type BootstrapConfig,
  bootstrapSchema,
  WaitTimeoutError,
} from '../../mod.ts';
import { tableName } from '../support/schema.ts';

// deno-lint-ignore no-explicit-any
export type Db = Kysely<any>;

/** What a caller has in hand. */
export interface Caller {
  readonly db: Db;
  readonly batch?: AtomicBatch;
  /** Where the tables are used, if not through `db`. */
  readonly app?: Db;
  /** Is told the moment that the call has resolved. */
  resolved?(outcome: string): void;
}

/** What a caller asks for; the number of its tables says what it uses afterwards. */
export type Ask =
  & { readonly tables: number }
  & Pick<BootstrapConfig<Db>, 'ddl'>
  & Partial<BootstrapConfig<Db>>;

/** How a call ended: plain data, since it may come from another process. */
export interface Settled {
  /** What the library said, or `'threw'`. */
  readonly outcome: string;
  readonly installed: boolean;
  readonly strategy?: string;
  readonly durationMs: number;
  readonly error?: SettledError;
  /** Why not every table could be used when the call had resolved. */
  readonly unusable?: string;
}

/** What was thrown. */
export interface SettledError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  /** Of a `WaitTimeoutError`: whom it names. */
  readonly holder?: { readonly owner: string; readonly since: number };
}

/** The version that races install unless they say otherwise. */
export const VERSION = '0001_initial';

/** Calls, and uses every table at once. Never rejects. */
export async function callAndUse(
  { db, batch, app = db, resolved }: Caller,
  ask: Ask,
): Promise<Settled> {
  const { tables, ...config } = ask;
  const startedAt = performance.now();
  try {
    const result = await bootstrapSchema<Db>(db, {
      version: VERSION,
      ...(batch && { batch }),
      ...config,
    });
    const { outcome, installed, strategy, durationMs } = result;
    resolved?.(outcome);
    const settled = { outcome, installed, strategy, durationMs };
    try {
      await useAll(app, tables, config.schema);
      return settled;
    } catch (error) {
      return { ...settled, unusable: (error as Error).message };
    }
  } catch (error) {
    const durationMs = performance.now() - startedAt;
    return { outcome: 'threw', installed: false, durationMs, error: plain(error) };
  }
}

/** Reads every table of `schemaOf(tables)`, in statements that D1 takes too. */
async function useAll(db: Db, tables: number, schema?: string): Promise<void> {
  const place = schema === undefined ? '' : `"${schema}".`;
  for (let n = 1; n <= tables; n += 50) {
    const names = Array.from(
      { length: Math.min(50, tables - n + 1) },
      (_, at) => tableName(n + at),
    );
    const counts = names.map((name) => `(select count(*) from ${place}${name}) as ${name}`);
    await sql.raw(`select ${counts.join(', ')}`).execute(db);
  }
}

function plain(error: unknown): SettledError {
  const { name, message, code } = error as Error & { code?: unknown };
  const holder = error instanceof WaitTimeoutError ? error.holder : undefined;
  return {
    name,
    message,
    ...(typeof code === 'string' && { code }),
    ...(holder && { holder: { owner: holder.owner, since: holder.since.getTime() } }),
  };
}
