/**
 * Drivers that cannot, or say that they can and do not, or whose answers are lost.
 *
 * @module
 */

import assert from 'node:assert/strict';

import { batchOf, setBatch } from './batches.ts';
import { type Faults, faulty, SILENT } from './faults.ts';
import {
  assertUsable,
  bootstrap,
  type Case,
  createTable,
  type Db,
  gate,
  install,
  installAgain,
  ledger,
  Log,
  present,
  rowOf,
  sleep,
  TABLES,
  thrownAs,
  thrownBy,
} from './support.ts';

const LOST = 'Network connection lost.';

/** The cases of this file. */
export const cases: readonly Case[] = [
  {
    name: 'a lease that has met a lock ends with a commit, and not before that can be made',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      const busy = new Error('SQLITE_BUSY: database is locked');
      const steps: string[] = [];
      const step = (name: string, failing: string[]) => async <T>(run: () => Promise<T>) => {
        steps.push(name);
        if (failing.shift() === name) throw busy;
        return await run();
      };
      const [atClaim, atBegin] = [['insert'], ['begin']];
      const db = faulty(t.connect(), {
        query: (text, send) => /^insert/.test(text) ? step('insert', atClaim)(send) : send(),
        begin: step('begin', atBegin),
        commit: step('commit', []),
      });
      const result = await bootstrap(t, db, installAgain, { strategy: 'lease' });
      assert.equal(result.outcome, 'installed');
      assert.deepEqual(steps, ['insert', 'insert', 'begin', 'begin', 'commit']);
      steps.length = 0;
      await bootstrap(t, db, (db) => createTable(db, 'more'), { strategy: 'lease', version: '2' });
      assert.deepEqual(steps, ['insert']);
    },
  },
  {
    name: 'so does one that has met it as it looked, or made the ledger',
    needs: { dialect: 'sqlite', transactions: true },
    async run(t) {
      for (const [version, which] of [['1', /^create/], ['2', /^select/]] as const) {
        const { begins, query, begin } = lockedOnce(which);
        const db = faulty(t.connect(), { query, begin });
        await bootstrap(t, db, installAgain, { strategy: 'lease', version });
        assert.equal(begins.length, 1);
      }
    },
  },
  {
    name: 'but where there are no transactions nobody looks for one for long',
    needs: { dialect: 'sqlite' },
    async run(t) {
      const { begins, query } = lockedOnce(/^insert/);
      const begin = () => {
        begins.push('refused');
        throw new Error('Transactions are not supported yet.');
      };
      const db = faulty(t.connect(), { query, begin });
      const result = await bootstrap(t, db, installAgain, { strategy: 'lease' });
      assert.equal(result.outcome, 'installed');
      assert.equal(begins.length, 1);
    },
  },
  {
    name: 'a driver without transactions gets a lease, which is logged once',
    async run(t) {
      const logger = new Log();
      const db = faulty(t.connect(), unsupported('Transactions are not supported yet.'));
      const result = await bootstrap(t, db, undefined, { logger, strategy: 'auto' });
      assert.equal(result.strategy, 'lease');
      assert.equal(result.outcome, 'installed');
      const told = logger.logged.filter((line) => /transaction/i.test(line));
      assert.equal(told.length, 1, told.join('\n'));
      assert.match(told[0]!, /d1Batch\(env\.DB\)/);
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a driver without transactions cannot do what is asked for by name',
    async run(t) {
      const cannot = 'This driver does not support transactions';
      const db = faulty(t.connect(), unsupported(cannot));
      await assert.rejects(bootstrap(t, db, undefined, { strategy: 'transaction' }), {
        message: cannot,
      });
      assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), []);
    },
  },
  {
    name: 'a driver that keeps the rows of raw SQL to itself is told so, not waited for',
    each: true,
    async run(t) {
      let runs = 0;
      const ddl = async (db: Db) => {
        runs++;
        await install(db);
      };
      const mute = faulty(t.connect(), {
        query: async (_, send) => ({ ...await send(), rows: [] }),
      });
      if (t.strategy === 'batch') {
        // It installs, since that needs no rows; what it cannot do is to see that.
        const batch = batchOf(mute)!;
        const none = undefined as never; // As that of a function which forgets to return.
        setBatch(mute, { ...batch, execute: (all) => batch.execute(all).then(() => none) });
        await bootstrap(t, mute, ddl);
      }
      const error = await thrownAs(TypeError, bootstrap(t, mute, ddl));
      assert.match(error.message, /'db'.*'batch'.*keeps the rows of raw SQL to itself$/);
      assert.equal(runs, t.strategy === 'batch' ? 1 : 0);
      const { outcome } = await bootstrap(t, t.connect(), ddl);
      assert.equal(outcome, t.strategy === 'batch' ? 'already-installed' : 'installed');
    },
  },
  {
    name: 'a driver that leaves out what is null is as good',
    each: true,
    async run(t) {
      const db = faulty(t.connect(), {
        query: async (_, send) => {
          const result = await send();
          return { ...result, rows: (result.rows as object[]).map(withoutNulls) };
        },
      });
      if (t.strategy === 'batch') {
        const batch = batchOf(db)!;
        setBatch(db, {
          ...batch,
          execute: async (all) =>
            (await batch.execute(all)).map((rows) => rows.map(withoutNulls)) as never,
        });
      }
      await bootstrap(t, db, (db) => createTable(db, 'before'), { version: '0' });
      await db.deleteFrom('migrations').execute();
      const config = { version: '2', upgrades: [{ from: '1', ddl: install }] };
      assert.equal((await bootstrap(t, db, install, config)).outcome, 'installed');
      assert.equal((await bootstrap(t, db, install, config)).outcome, 'already-installed');
    },
  },
  {
    name: 'any other failure to begin is a failure, not a reason for a lease',
    async run(t) {
      const refused = new Error('connect ECONNREFUSED');
      const db = faulty(t.connect(), { begin: () => Promise.reject(refused) });
      assert.equal(await thrownBy(bootstrap(t, db, undefined, { strategy: 'auto' })), refused);
      assert.deepEqual(await present(t.connect()), []);
    },
  },
  {
    name: 'where begin, commit and rollback silently do nothing, still one of many installs',
    async run(t) {
      const results = await Promise.all(Array.from({ length: 8 }, async () => {
        const db = faulty(t.connect(), SILENT);
        const result = await bootstrap(t, db, install, { strategy: 'transaction' });
        await assertUsable(db);
        return result;
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
      assert.deepEqual((await ledger(t.connect())).map(({ state }) => state), ['installed']);
    },
  },
  {
    name: 'where rollback silently does nothing, a failed install gives its claim back',
    async run(t) {
      const broken = new Error('half-way');
      const failing = bootstrap(t, faulty(t.connect(), SILENT), async (db) => {
        await createTable(db, TABLES[0]!);
        throw broken;
      }, { strategy: 'transaction' });
      assert.equal(await thrownBy(failing), broken);
      assert.equal(await rowOf(t.connect()), undefined);
      const next = await bootstrap(t, faulty(t.connect(), SILENT), installAgain, {
        strategy: 'transaction',
      });
      assert.equal(next.outcome, 'installed');
    },
  },
  {
    name: 'where begin silently does nothing, a long ddl keeps its claim',
    async run(t) {
      const times = { strategy: 'transaction', leaseMs: 3_000, waitTimeoutMs: 20_000 } as const;
      const inside = gate();
      const first = bootstrap(t, faulty(t.connect(), SILENT), async (db) => {
        for (const table of TABLES) {
          await createTable(db, table);
          inside.open();
          await sleep(1_300);
        }
      }, times);
      await inside.opened;
      const second = bootstrap(t, faulty(t.connect(), SILENT), (_) => assert.fail('twice'), times);
      assert.equal((await first).outcome, 'installed');
      assert.equal((await second).outcome, 'waited');
    },
  },
  {
    name: 'once a renewal has found its transaction gone, no statement of that ddl is sent',
    needs: { transactions: true },
    async run(t) {
      let isGone = false;
      const afterwards: string[] = [];
      const db = faulty(t.connect(), {
        query(text, send) {
          if (/^update \S*"migrations" set lease/i.test(text) && !isGone) {
            isGone = true;
            throw new Error('TRANSACTION_TIMEOUT: Transaction timed out');
          }
          if (isGone) afterwards.push(text);
          return send();
        },
        // What the server has rolled back already, and begun anew for the next try.
        async rollback(run) {
          await run();
          isGone = false;
        },
      });
      let runs = 0;
      const result = await bootstrap(t, db, async (db) => {
        const isFirst = ++runs === 1;
        await createTable(db, 'one');
        if (isFirst) await sleep(1_000);
        await createTable(db, 'two');
      }, { leaseMs: 1_500, waitTimeoutMs: 20_000 });
      assert.equal(result.outcome, 'installed');
      assert.equal(runs, 2);
      assert.deepEqual(afterwards, []);
    },
  },
  {
    name: 'nor once a statement of it has, even if the ddl swallows the error',
    needs: { transactions: true },
    async run(t) {
      let isGone = false;
      const afterwards: string[] = [];
      const db = faulty(t.connect(), {
        query(text, send) {
          if (isGone) afterwards.push(text);
          if (text.includes('"lost"')) {
            isGone = true;
            throw new Error('TRANSACTION_TIMEOUT: Transaction timed out');
          }
          return send();
        },
        async rollback(run) {
          await run();
          isGone = false;
        },
      });
      let runs = 0;
      const result = await bootstrap(t, db, async (db) => {
        if (++runs === 1) await createTable(db, 'lost').catch(() => {});
        await createTable(db, 'one');
      });
      assert.equal(result.outcome, 'installed');
      assert.equal(runs, 2);
      assert.deepEqual(afterwards, []);
    },
  },
  {
    name: 'a driver that keeps what a change returns to itself costs a read, and nothing else',
    each: 'live',
    async run(t) {
      const results = await Promise.all(Array.from({ length: 6 }, async () => {
        const db = faulty(t.connect(), {
          async query(text, send) {
            const answer = await send();
            return /returning/i.test(text) ? { ...answer, rows: [] } : answer;
          },
        });
        return await bootstrap(t, db, async (db) => {
          await createTable(db, 'one');
          await sleep(1_700);
          await createTable(db, 'two');
        }, { leaseMs: 5_000, waitTimeoutMs: 20_000 });
      }));
      assert.equal(results.filter(({ installed }) => installed).length, 1);
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
      assert.deepEqual(await present(t.connect(), ['one', 'two']), ['one', 'two']);
    },
  },
  {
    name: 'a commit whose answer is lost is found to be done',
    needs: { transactions: true },
    async run(t) {
      let runs = 0;
      const db = faulty(t.connect(), {
        async commit(run) {
          await run();
          throw new Error('Connection terminated unexpectedly');
        },
      });
      const result = await bootstrap(t, db, async (db) => {
        runs++;
        await install(db);
      });
      assert.equal(result.outcome, 'installed');
      assert.equal(runs, 1);
      assert.equal((await rowOf(t.connect()))?.state, 'installed');
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a commit that fails as the database is locked is tried again',
    needs: { transactions: true },
    async run(t) {
      let commits = 0;
      const db = faulty(t.connect(), {
        commit(run) {
          if (commits++ < 2) throw new Error('database is locked');
          return run();
        },
        query(text, send) {
          // What was rolled back need not be released.
          if (text.startsWith('delete')) throw new Error('database is locked');
          return send();
        },
      });
      const logger = new Log();
      assert.equal((await bootstrap(t, db, undefined, { logger })).outcome, 'installed');
      assert.equal(commits, 3);
      assert.deepEqual(logger.errors, []);
      await assertUsable(t.connect());
    },
  },
  {
    name: 'a commit that fails for good is the caller’s to see, and nothing is there',
    needs: { transactions: true },
    async run(t) {
      const full = new Error('database or disk is full');
      const db = faulty(t.connect(), { commit: () => Promise.reject(full) });
      assert.equal(await thrownBy(bootstrap(t, db)), full);
      assert.deepEqual(await present(t.connect(), [...TABLES, 'migrations']), []);
    },
  },
  {
    name: 'any answer of the ledger that is lost under a lease does no harm',
    async run(t) {
      // The statements of an install without its DDL: each in turn is carried out and not answered.
      for (let lost = 1, sent = Infinity; sent >= lost; lost++) {
        sent = 0;
        let runs = 0;
        const version = `lost-${lost}`;
        const db = faulty(t.connect(), {
          async query(text, send) {
            const isLedger = text.includes('migrations');
            const answer = await send();
            if (isLedger && ++sent === lost) throw new Error(LOST);
            return answer;
          },
        });
        const result = await bootstrap(t, db, (_) => void runs++, {
          version,
          strategy: 'lease',
        });
        assert.ok(['installed', 'waited'].includes(result.outcome), `${lost}: ${result.outcome}`);
        assert.ok(runs === 1 || runs === 2, `${lost}: ${runs} runs`);
        assert.equal((await rowOf(t.connect(), version))?.state, 'installed');
        assert.ok(lost > 3 || sent >= lost, `only ${sent} statements`);
      }
    },
  },
  {
    name: 'any statement of the ledger that finds the database busy is tried again',
    each: true,
    async run(t) {
      for (let busy = 1, sent = Infinity; sent >= busy; busy++) {
        sent = 0;
        const db = faulty(t.connect(), {
          query(text, send) {
            if (text.includes('migrations') && ++sent === busy) {
              throw new Error('SQLITE_BUSY: database is locked');
            }
            return send();
          },
        });
        const version = `busy-${busy}`;
        const result = await bootstrap(t, db, (db) => createTable(db, `of_${busy}`), { version });
        assert.equal(result.outcome, 'installed', `${busy}`);
        assert.equal((await rowOf(t.connect(), version))?.state, 'installed', `${busy}`);
        assert.ok(busy > 2 || sent >= busy, `only ${sent} statements`);
      }
    },
  },
  {
    name: 'a claim that was refused leaves nothing to be released',
    each: 'live',
    async run(t) {
      await bootstrap(t, t.connect(), (db) => createTable(db, 'before'), { version: '0000' });
      for (const code of ['SQLITE_BUSY', 'SQLITE_READONLY', '42501', '25006']) {
        const text = code === 'SQLITE_READONLY'
          ? 'attempt to write a readonly database'
          : 'refused';
        const refused = Object.assign(new Error(text), { code });
        let claims = 0;
        const db = faulty(t.connect(), {
          query(text, send) {
            if (text.includes("'installing'")) claims++;
            if (claims > 0) throw refused;
            return send();
          },
        });
        const logger = new Log();
        const ddl = () => assert.fail('run');
        const call = bootstrap(t, db, ddl, { logger, onContention: 'return' });
        if (code === 'SQLITE_BUSY') assert.equal((await call).outcome, 'pending');
        else assert.equal(await thrownBy(call), refused);
        assert.equal(claims, 1);
        assert.deepEqual(logger.errors, [], code);
      }
    },
  },
  {
    name: 'a claim that was not answered is given back, not left to run out',
    async run(t) {
      const db = faulty(t.connect(), {
        async query(text, send) {
          const answer = await send();
          if (text.includes("'installing'") && text.startsWith('insert')) throw new Error(LOST);
          return answer;
        },
      });
      const ddl = () => assert.fail('run');
      const config = { strategy: 'lease', onContention: 'return' } as const;
      assert.equal((await bootstrap(t, db, ddl, config)).outcome, 'pending');
      assert.equal(await rowOf(t.connect()), undefined);
    },
  },
  {
    name: 'a failure of the ledger that is no contention is the caller’s to see at once',
    each: true,
    async run(t) {
      const corrupt = new Error('database disk image is malformed');
      let sent = 0;
      const db = faulty(t.connect(), {
        query() {
          sent++;
          throw corrupt;
        },
      });
      assert.equal(await thrownBy(bootstrap(t, db)), corrupt);
      assert.ok(sent <= 1, `${sent} statements`);
    },
  },
];

/** Faults that let the first statement of this kind meet a lock, and note who begins a transaction. */
function lockedOnce(
  which: RegExp,
): Required<Pick<Faults, 'query' | 'begin'>> & { begins: string[] } {
  const begins: string[] = [];
  let isLeft = true;
  return {
    begins,
    query(text, send) {
      if (!isLeft || !which.test(text)) return send();
      isLeft = false;
      throw new Error('SQLITE_BUSY: database is locked');
    },
    begin(run) {
      begins.push('begun');
      return run();
    },
  };
}

function unsupported(message: string): Faults {
  return { begin: () => Promise.reject(new Error(message)) };
}

function withoutNulls(row: object): object {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}
