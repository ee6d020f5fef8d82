/**
 * The checks of a user's schema: races, repetitions, interruptions, each on a database of its own.
 *
 * @module
 */

import type { BootstrapConfig, Ddl, Strategy } from './config.ts';
import type { CreateBootstrapConfig } from './create_bootstrap.ts';
import { messageOf, NO_STATEMENT } from './errors.ts';
import { type FreshDatabase, Opened } from './fresh_database.ts';
import { countOf, interrupted, placeOf } from './interruption.ts';
import type { KyselyLike } from './kysely.ts';
import type { SchemaPlanData } from './plan_data.ts';
import type { BootstrapResult } from './result.ts';

/** What `testSchema` takes. */
export interface TestSchemaOptions<K extends KyselyLike = KyselyLike> {
  /** Makes a fresh and empty database: one for each statement of DDL and steps, and a few more. */
  database(): FreshDatabase<K> | Promise<FreshDatabase<K>>;
  /** The configuration as the app has it, but for its `batch`, which `database` gives. */
  readonly config: CreateBootstrapConfig<NoInfer<K>>;
  /**
   * How many callers race.
   *
   * @default {8}
   */
  readonly callers?: number | undefined;
  /**
   * The DDL of the first version of the line of `upgrades`, as it was. With it the upgrades are
   * tested too, from every version of the line: they must lead to the tables and columns of `ddl`.
   */
  readonly first?: Ddl<NoInfer<K>> | SchemaPlanData | undefined;
}

/** What one check has found. */
export interface Finding {
  /** What was checked. */
  readonly check: 'race' | 'repeat' | 'interruption' | 'upgrade';
  /** Whether all is well. */
  readonly passed: boolean;
  /** What was found, in plain words. */
  readonly message: string;
}

/** What a database holds before a check, and the calls that have led there. */
export interface Start<K extends KyselyLike> {
  readonly words: string;
  readonly path: readonly BootstrapConfig<K>[];
}

/** Makes a call about the database of a check, with the config or another one. */
type Call<K extends KyselyLike> = (config?: BootstrapConfig<K>) => Promise<BootstrapResult>;

const FRESH = 'Every database() must be a fresh one, to which all its connect() lead';

/** Runs the checks, and collects what they find. */
export class Kit<K extends KyselyLike> {
  readonly findings: Finding[] = [];
  /** The strategy that the config gets, once that is known. */
  strategy: Strategy | undefined;
  readonly #options: TestSchemaOptions<K>;
  /** What an install on the first database has made, and every other one must. */
  #whole: string[] | undefined;

  constructor(options: TestSchemaOptions<K>) {
    this.#options = options;
  }

  say(check: Finding['check'], passed: boolean, message: string): void {
    this.findings.push({ check, passed, message });
  }

  /** Runs all checks on databases that start like this. */
  async test(start: Start<K>): Promise<void> {
    const statements: string[] = [];
    const isSound = await this.#on(start, 'race', (call) => this.#race(call)) &&
      await this.#on(start, 'repeat', async (call, database) => {
        const found = await this.#repeat(call, statements);
        const made = await database.tables();
        this.#whole ??= made;
        const [lack, excess] = [missing(this.#whole, made), missing(made, this.#whole)];
        if (lack) {
          throw new Error(`the steps did not lead to ${lack}, as 'ddl' does on a fresh one`);
        }
        if (excess) throw new Error(`the steps led to ${excess}, as 'ddl' does not on a fresh one`);
        return found;
      });
    if (!isSound || this.strategy === 'batch') return;
    const advice = this.strategy === 'lease'
      ? `Under strategy 'lease' a crash there leaves the schema half-installed: make the DDL ` +
        `idempotent`
      : `The first run was rolled back, so its DDL must have done something outside of it`;
    for (let after = 1; after <= statements.length; after++) {
      const where = `interrupted after ${placeOf(statements, after)}`;
      await this.#on(start, 'interruption', async (call, database) => {
        await call(this.#interrupted([], after)).catch(() => {});
        await call().catch((error) => {
          throw new Error(`${where}; a second run failed: ${messageOf(error)}. ${advice}`);
        });
        const lack = missing(this.#whole, await database.tables());
        if (lack === undefined) return `${where}; a second run completed it`;
        throw new Error(`${where}; a second run did not make ${lack}. ${advice}`);
      });
    }
  }

  /** Runs a check on a database of its own. It returns what it found, or throws what is wrong. */
  async #on(
    { words, path }: Start<K>,
    check: Finding['check'],
    run: (call: Call<K>, database: Opened<K>) => Promise<string>,
  ): Promise<boolean> {
    const database = new Opened(await this.#options.database());
    try {
      for (const before of path) await database.call(before);
      const call: Call<K> = (config = this.#options.config) => database.call(config);
      this.say(check, true, `on ${words}, ${await run(call, database)}`);
      return true;
    } catch (error) {
      this.say(check, false, `on ${words}, ${messageOf(error)}`);
      return false;
    } finally {
      await database.close();
    }
  }

  async #race(call: Call<K>): Promise<string> {
    const { callers = 8 } = this.#options;
    const settled = await Promise.allSettled(Array.from({ length: callers }, () => call()));
    const results = settled.flatMap((one) => one.status === 'fulfilled' ? [one.value] : []);
    const errors = settled.flatMap((one) => one.status === 'rejected' ? [one.reason] : []);
    const winners = results.filter((result) => result.installed);
    // Whoever found all there has not tried whether the driver has transactions.
    this.strategy = [...winners, ...results][0]?.strategy;
    const installed = winners.length;
    const found = `of ${callers} callers at once ${installed} installed, ${errors.length} failed`;
    if (errors.length > 0) throw new Error(`${found}: ${messageOf(errors[0])}`);
    if (installed === 1) return found;
    throw new Error(`${found}. ${FRESH}`);
  }

  /** Lists the statements as it goes. */
  async #repeat(call: Call<K>, statements: string[]): Promise<string> {
    const config = this.strategy === 'batch' ? undefined : this.#interrupted(statements);
    if (!(await call(config)).installed) throw new Error(`it was installed already. ${FRESH}`);
    const { outcome } = await call();
    if (outcome !== 'already-installed') throw new Error(`a further call came to '${outcome}'`);
    if (this.strategy === 'batch') return 'a further call found all there; one batch has no middle';
    if (countOf(statements) > 0) return 'a further call found the schema installed';
    throw new Error(`${NO_STATEMENT}, so it cannot be tested`);
  }

  /** The config under the strategy that it gets, cut after so many statements. */
  #interrupted(statements: string[], after?: number): BootstrapConfig<K> {
    const strategy = this.strategy ?? 'auto';
    return interrupted({ ...this.#options.config, strategy }, statements, after);
  }
}

/** A table of the one that is not in the other, or is there with other columns. */
function missing(
  whole: string[] | undefined,
  made: string[] | undefined,
): string | undefined {
  return whole?.find((table) => made && !made.includes(table));
}
