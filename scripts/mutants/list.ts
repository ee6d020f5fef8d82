/**
 * The mutants: small changes of the protocol, each of which makes it wrong.
 *
 * @module
 */

/** One change of one file of `src/`. */
export interface Mutant {
  readonly name: string;
  readonly file: string;
  /** A text that is there exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Part of the short run. */
  readonly isQuick?: true;
  /** Why it makes nothing wrong, and so survives. */
  readonly harmless?: string;
}

const GUARD = "`owner = ${quoted(owner)} and state = 'installing'`";

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  // The statements
  {
    name: 'renew, finish, release: whoever owns it',
    file: 'ledger.ts',
    find: GUARD,
    replace: "`state = 'installing'`",
  },
  {
    name: 'renew, finish, release: whatever its state',
    file: 'ledger.ts',
    find: GUARD,
    replace: '`owner = ${quoted(owner)}`',
  },
  {
    name: 'renew, finish: whoever owns it',
    file: 'ledger.ts',
    find: 'where ${owned(owner)} ` +',
    replace: "where state = 'installing' ` +",
    isQuick: true,
  },
  {
    name: 'renew: whatever its state',
    file: 'ledger.ts',
    find: 'where ${owned(owner)} ` +',
    replace: 'where owner = ${quoted(owner)} ` +',
    harmless: 'a renewal never follows the finish of its own claim',
  },
  {
    name: 'finish: state not set',
    file: 'ledger.ts',
    find: "`state = 'installed', lease = null,",
    replace: '`lease = null,',
  },
  {
    name: 'finish: lease not cleared',
    file: 'ledger.ts',
    find: "`state = 'installed', lease = null,",
    replace: "`state = 'installed',",
  },
  {
    name: 'release: whoever owns it',
    file: 'ledger.ts',
    find: 'delete from ${this.table.path} where ${owned(owner)}',
    replace: "delete from ${this.table.path} where state = 'installing'",
  },
  {
    name: 'release: whatever its state',
    file: 'ledger.ts',
    find: 'delete from ${this.table.path} where ${owned(owner)}',
    replace: 'delete from ${this.table.path} where owner = ${quoted(owner)}',
  },
  {
    name: 'claim: fails where a row is',
    file: 'ledger.ts',
    find: ' on conflict do nothing',
    replace: '',
  },
  {
    name: 'claim: counts as installed',
    file: 'ledger.ts',
    find: "${quoted(owner)}, 'installing', ",
    replace: "${quoted(owner)}, 'installed', ",
    isQuick: true,
  },
  {
    name: "claim: lease by the caller's clock",
    file: 'ledger.ts',
    find: "${this.#clock} + '${leaseMs}'`;",
    replace: '${Date.now()} + ${leaseMs}`;',
    isQuick: true,
  },
  {
    name: 'batch: does not fail where a row is',
    file: 'ledger.ts',
    find: "installed, '')",
    replace: "installed, ' where true on conflict do nothing')",
    isQuick: true,
  },
  {
    name: 'batch: row never finished',
    file: 'ledger.ts',
    find: "${quoted(owner)}, 'installed', ",
    replace: "${quoted(owner)}, 'installing', ",
  },
  {
    name: 'discard: claims that still hold',
    file: 'ledger.ts',
    find:
      "and cast(lease as float8) not between ${this.#clock} and ${this.#clock} + '${LONGEST_MS}'",
    replace: '',
  },
  {
    name: 'discard: installed rows too',
    file: 'ledger.ts',
    find: "where state = 'installing' and (owner = ",
    replace: 'where (owner = ',
    harmless: 'an installed row has no lease, and its owner discards nothing any more',
  },
  {
    name: 'discard: not what this try has of a line already',
    file: 'ledger.ts',
    find: '(owner = ${quoted(owner)} ` +\n        `or owner in',
    replace: '(` +\n        `owner in',
  },
  {
    name: "expiry by the caller's clock",
    file: 'ledger_row.ts',
    find: '(leaseUntil < clock',
    replace: '(leaseUntil < Date.now()',
  },
  {
    name: 'a claim that a wrong clock has dated holds',
    file: 'ledger_row.ts',
    find: ' || leaseUntil > clock + LONGEST_MS',
    replace: '',
  },
  {
    name: 'a row without a state is a claim',
    file: 'ledger_row.ts',
    find: "row.state === null || row.state === undefined || row.state === 'installed'",
    replace: "row.state === 'installed'",
  },
  {
    name: 'an old ledger can be claimed before its guard is there',
    file: 'ledger_table.ts',
    find: 'added.splice(at, 0, this.#createIndex());',
    replace: 'added.unshift(added.pop()!); added.push(this.#createIndex());',
  },
  {
    name: 'previous is not unique',
    file: 'ledger_table.ts',
    find: "column === 'previous' ? ' unique' : ''",
    replace: "''",
  },
  // The claim
  {
    name: "anybody's row is mine",
    file: 'claim.ts',
    find: 'row.name === name && row.owner === this.owner && row.installed',
    replace: 'row.name === name && row.installed',
    isQuick: true,
  },
  {
    name: 'a claim in any state is held',
    file: 'claim.ts',
    find: " && row.installed === (state === 'installed')",
    replace: '',
  },
  {
    name: 'an expired claim is never discarded',
    file: 'claim.ts',
    find: 'await handle.executeQuery(this.#ledger.discard(dead, this.owner));',
    replace: '',
  },
  {
    name: 'a claim that returns nothing is not looked into',
    file: 'claim.ts',
    find: ' : await this.read(handle);',
    replace: ' : rows;',
  },
  {
    name: 'a claim of a line is not looked at among the others',
    file: 'claim.ts',
    find: "'installing', !isWhole)",
    replace: "'installing')",
  },
  {
    name: 'nothing is released',
    file: 'claim.ts',
    find: 'if (!this.#mayStand || this.#isInUnit) return;',
    replace: 'if (this.#mayStand) return;',
  },
  {
    name: 'what a locked database has refused is released',
    file: 'claim.ts',
    find: 'this.#mayStand ||= !isRefused(error);',
    replace: 'this.#mayStand = true;',
  },
  {
    name: 'a claim that was not answered is not released',
    file: 'claim.ts',
    find: 'this.#mayStand ||= !isRefused(error);',
    replace: '',
  },
  {
    name: 'a renewal needs no proof',
    file: 'claim.ts',
    find: "if (this.holds(rows, 'installing')) this.#ageMs",
    replace: 'if (this.owner) this.#ageMs',
  },
  {
    name: 'a renewal counts from its answer',
    file: 'claim.ts',
    find: 'this.#ageMs = ageMs',
    replace: 'this.#ageMs = stopwatch()',
  },
  {
    name: 'transaction: DDL goes on without its claim',
    file: 'claim.ts',
    find: 'await this.#renewNow(handle);\n    this.#throwIfLost();',
    replace: 'await this.#renewNow(handle);',
  },
  {
    name: 'lease: DDL goes on without its claim',
    file: 'claim.ts',
    find: 'this.#throwIfLost();\n    if (this.#age',
    replace: 'if (this.#age',
  },
  {
    name: 'lease: a pause past its end is not noticed',
    file: 'claim.ts',
    find: 'if (this.#isOverdue) this.#isLost = true;',
    replace: '',
  },
  {
    name: 'finish: no look at the proof',
    file: 'claim.ts',
    find: "if (this.holds(rows, 'installed')) return rows;",
    replace: 'if (rows.length > 0) return rows;',
  },
  {
    name: 'lease: finish gives up at the first error',
    file: 'claim.ts',
    find: '(error) => !(error instanceof LeaseLostError)',
    replace: '() => false',
  },
  {
    name: 'lease: finish never gives up',
    file: 'claim.ts',
    find: '},\n      this.#call.settings.leaseMs,',
    replace: '},\n      Infinity,',
  },
  // The try
  {
    name: 'deadline not looked at before the DDL',
    file: 'attempt.ts',
    find: 'patience.check();\n    const { log',
    replace: 'const { log',
  },
  {
    name: 'the advisory lock is the guard',
    file: 'attempt.ts',
    find: "if (!this.#claim.holds(rows, 'installing') ||",
    replace:
      "if (((dialect !== 'postgres' || !this.#gate) && !this.#claim.holds(rows, 'installing')) ||",
  },
  {
    name: 'steps not looked at again under the claim',
    file: 'attempt.ts',
    find: ' || !this.#isStillRight(rows)',
    replace: '',
  },
  {
    name: 'part of a line is not given back',
    file: 'attempt.ts',
    find: 'if (this.#claim.mayHold(rows)) await this.#claim.giveBack(own);',
    replace: '',
  },
  {
    name: 'a commit whose answer is lost has failed',
    file: 'attempt.ts',
    find: "if (rows && this.#claim.holds(rows, 'installed')) return rows;",
    replace: '',
  },
  {
    name: 'what a transaction has taken along is released',
    file: 'claim.ts',
    find: 'this.#isInUnit ||= Number(answer.rows[0]?.unit) === 1;',
    replace: '',
  },
  {
    name: 'what is no news is logged',
    file: 'recovery.ts',
    find: 'if (isNews) log(',
    replace: 'log(',
  },
  {
    name: 'what was rolled back is released',
    file: 'attempt.ts',
    find: 'this.#claim.release(this.#gate && rows)',
    replace: 'this.#claim.release()',
  },
  {
    name: 'a failed try keeps its claim',
    file: 'attempt.ts',
    find: 'await this.#claim.release(this.#gate && rows);',
    replace: '',
  },
  {
    name: "the rollback's error hides the first one",
    file: 'transaction.ts',
    find: 'throw first.error;',
    replace: 'throw error;',
  },
  {
    name: 'the deadline cuts a DDL that runs',
    file: 'attempt.ts',
    find: "if (this.#phase !== 'claim' && !isUnsent && !isUnanswered) {",
    replace: 'if (isUnsent && isUnanswered) {',
  },
  {
    name: 'the deadline cuts a finish that is under way',
    file: 'attempt.ts',
    find: "const isUnanswered = this.#phase === 'finish' &&",
    replace: "const isUnanswered = this.#phase === 'finish' ||",
  },
  {
    name: 'a statement that was held back is forgotten',
    file: 'attempt.ts',
    find: 'if (this.#claim.refusal) throw this.#claim.refusal;\n    if (!this.#gate)',
    replace: 'if (!this.#gate)',
  },
  {
    name: 'the error of a DDL waits for the end of its unit',
    file: 'attempt.ts',
    find: 'if (this.#failure) return this.#failure;',
    replace: '',
  },
  {
    name: 'whose unit changed nothing fails with it',
    file: 'attempt.ts',
    find: 'if (this.#others) {',
    replace: 'if (this.#others && this.#failure) {',
  },
  {
    name: 'a known error of a DDL does not keep others from it',
    file: 'wait.ts',
    find: 'return this.#failure();',
    replace: 'return undefined;',
  },
  {
    name: 'a DDL that was given up goes on',
    file: 'gate.ts',
    find: 'NOT_AWAITED);\n    if (this.end) throw this.end.error;',
    replace: 'NOT_AWAITED);',
  },
  {
    name: 'no look again after a renewal in the gate',
    file: 'gate.ts',
    find: 'this.#check(sql);\n    this.hasSent',
    replace: 'this.hasSent',
  },
  {
    name: 'statements that came too late are not missed',
    file: 'gate.ts',
    find: 'this.#claim.refusal ??= error;',
    replace: '',
  },
  {
    name: 'a transaction that SQLite has ended is not missed',
    file: 'gate.ts',
    find: 'if (this.#isDoubtful || this.#hasPaused) await this.#verify(connection);',
    replace: '',
  },
  {
    name: 'a renewal that ends the transaction stops nothing',
    file: 'attempt.ts',
    find: '{ fail: (error: unknown) => gate.fail(error) }',
    replace: '{ fail: () => {} }',
  },
  {
    name: "a transaction's DDL does not renew its claim",
    file: 'gate.ts',
    find: 'await this.#claim.check(connection)',
    replace: 'await Promise.resolve()',
  },
  {
    name: 'a renewal that failed lets the next statement in',
    file: 'gate.ts',
    find: 'this.fail(error);\n      throw error;',
    replace: 'this.fail(error);',
  },
  // The batch
  {
    name: 'batch: the deadline cuts one that was just sent',
    file: 'batch_attempt.ts',
    find: '(end) => performance.now() - sentAt >= leaseMs ? end : undefined,',
    replace: '(end) => end,',
  },
  {
    name: "another tool's table is a ledger",
    file: 'call.ts',
    find:
      'if (rows.some((row) => row.isUnfamiliar)) await checkLedger({ ...call, handle, ledger });',
    replace: '',
  },
  {
    name: 'batch: an expired claim is never discarded',
    file: 'batch_attempt.ts',
    find: 'if (dead.length > 0) ours.push(ledger.discard(dead, owner));',
    replace: '',
  },
  {
    name: 'batch: no look at the ledger after a failure',
    file: 'batch_attempt.ts',
    find: 'if (isRaced) return rows;',
    replace: 'if (isRaced && !isRaced) return rows;',
    isQuick: true,
  },
  {
    name: 'batch: deadline not looked at before it is sent',
    file: 'batch_attempt.ts',
    find: 'patience.check();\n  const sentAt',
    replace: 'const sentAt',
  },
  {
    name: 'batch: the DDL stands before the guard',
    file: 'batch_attempt.ts',
    find: 'politely(call, ours, ddl)',
    replace: 'politely(call, ddl, ours)',
  },
  {
    name: 'batch: whoever has met another one does not look before the next try',
    file: 'bootstrap.ts',
    find: 'isWorthIt ? whetherFree(this.#call)',
    replace: 'isWorthIt ? undefined',
  },
  {
    name: 'batch: who has looked forgets what it met before',
    file: 'bootstrap.ts',
    find: 'this.#seen = found;\n          this.#recovery.lastContention = undefined;\n        }',
    replace: 'this.#seen = found;\n        }\n        this.#recovery.lastContention = undefined;',
  },
  {
    name: 'batch: whoever looks takes the lock to be held for ever',
    file: 'postgres.ts',
    find: '`not exists (select from pg_catalog.pg_locks `',
    replace: '`false and not exists (select from pg_catalog.pg_locks `',
  },
  {
    name: 'batch: who meets a lock waits in the database all the same',
    file: 'postgres.ts',
    find: "SHORT_LOCK_TIMEOUT = '25ms';",
    replace: "SHORT_LOCK_TIMEOUT = '190ms';",
  },
  {
    name: 'batch: that there are no advisory locks is the error of the ddl',
    file: 'batch_attempt.ts',
    find: '(isAdvisoryLockUnsupported(error) && call.useAdvisoryLock)',
    replace: '(isAdvisoryLockUnsupported(error) && !call.useAdvisoryLock)',
  },
  {
    name: 'batch: what was refused by a lock is not tried again',
    file: 'batch_attempt.ts',
    find: `if (contention === 'busy' && isRefused(error)) throw error;`,
    replace: `if (contention === 'busy' && isRefused(error)) call.ddlErrors.add(error);`,
  },
  {
    name: "batch: a column that is missing is the ledger's",
    file: 'batch_attempt.ts',
    find: '(isMissingColumn(error) && !isMissing &&',
    replace: '(isMissingColumn(error) &&',
  },
  {
    name: 'batch: a network that is gone is the DDL',
    file: 'batch_attempt.ts',
    find: ' || isUnreachable ||',
    replace: ' ||',
  },
  {
    name: 'batch: all failures are the DDL',
    file: 'batch_attempt.ts',
    find: 'if (!isOurs) call.ddlErrors.add(error);',
    replace: 'call.ddlErrors.add(error);',
  },
  // The story
  {
    name: 'a claim counts as installed',
    file: 'bootstrap.ts',
    find: 'installed && name === this.#settings.version',
    replace: 'name === this.#settings.version',
    isQuick: true,
  },
  {
    name: 'no pause between two looks',
    file: 'bootstrap.ts',
    find: "'pending');\n      await patience.pause();",
    replace: "'pending');",
  },
  {
    name: 'no look again after a lost claim',
    file: 'bootstrap.ts',
    find: "if (settings.onContention === 'return') return this.#result('pending');",
    replace: "return this.#result(settings.onContention === 'return' ? 'pending' : 'waited');",
  },
  {
    name: 'whatever the DDL throws is tried again',
    file: 'recovery.ts',
    find: 'if (!isWorthIt || end) {',
    replace: 'if (end) {',
  },
  {
    name: 'the winner does not know its row',
    file: 'bootstrap.ts',
    find: 'this.#call.owners.has(target.owner)',
    replace: "target.owner === ''",
  },
  {
    name: 'a lease after whatever went wrong at begin',
    file: 'bootstrap.ts',
    find: ' || !isTransactionUnsupported(error)) throw error;',
    replace: ') throw error;',
  },
  {
    name: 'a missing table is a failure',
    file: 'bootstrap.ts',
    find: 'if (!isMissingTable(error)) throw error;',
    replace: 'throw error;',
  },
  {
    name: "whoever does not wait is told nothing of the DDL's error",
    file: 'recovery.ts',
    find: "return !isPassing && onContention === 'return' ? 'look' : 'pause';",
    replace: "return 'pause';",
  },
  {
    name: 'under a lease a busy DDL has one more chance only',
    file: 'recovery.ts',
    find: ' && !isRepeatable;',
    replace: ';',
  },
  {
    name: 'what a second run of a DDL has met is told in place of the first error',
    file: 'recovery.ts',
    find: 'isDoubtful && isSame ? this.#first!.error : error;',
    replace: 'error;',
  },
  {
    name: 'the first error is told whatever the second one is',
    file: 'recovery.ts',
    find: "strategy === 'lease' && this.#first?.contention === contention;",
    replace: 'this.#first !== undefined;',
  },
  {
    name: 'a driver without rows is waited for',
    file: 'call.ts',
    find: 'if (!first) {',
    replace: 'if (!first) return [];\n  if (!first) {',
  },
  {
    name: 'a ledger of another database of SQLite is as good',
    file: 'database.ts',
    find: "if (dialect === 'sqlite') place.schema ??= 'main';",
    replace: '',
  },
  {
    name: 'a lease for a DDL without a parameter is nothing to tell',
    file: 'bootstrap.ts',
    find: "if (isAuto && this.#strategy === 'lease' && !this.#work) {",
    replace: "if (isAuto && this.#strategy === 'batch' && !this.#work) {",
  },
  {
    name: 'whoever assumed a fresh database calls it contention',
    file: 'bootstrap.ts',
    find: 'if (isAssumed) continue;',
    replace: '',
  },
  // Recording
  {
    name: 'recorded: statements that came too late are not missed',
    file: 'recorder.ts',
    find: 'this.#isClosed = true;',
    replace: '',
  },
  {
    name: 'recorded: nobody waits for statements that come late',
    file: 'recorder.ts',
    find: 'turn < 100',
    replace: 'turn < 0',
  },
  {
    name: 'a query that the ddl returns counts as executed',
    file: 'run.ts',
    find: 'if (sql === undefined) continue;',
    replace: "if (sql !== 'nothing') continue;",
  },
  {
    name: 'a batch is sent after its caller has given up',
    file: 'batch_attempt.ts',
    find: 'gone.abort();',
    replace: '',
  },
  // Postgres
  {
    name: "the DDL's search_path stays with the session",
    file: 'postgres.ts',
    find: "like '=%' and",
    replace: "like '!%' and",
  },
  // Work, waiting, contention
  {
    name: 'an expired claim is waited for',
    file: 'work.ts',
    find: '!row.installed && !row.expired &&',
    replace: '!row.installed &&',
  },
  {
    name: 'a line runs on versions it does not know',
    file: 'work.ts',
    find: 'held.some((name) => !line.includes(name))',
    replace: 'held.length < 0',
  },
  {
    name: 'a line runs past a version that came into it',
    file: 'work.ts',
    find: 'installed.some((row) => entries',
    replace: '[].some((row: LedgerRow) => entries',
  },
  {
    name: 'a version that was reached past one of its line counts as installed',
    file: 'installed.ts',
    find: 'if (isPast) throw',
    replace: 'if (isPast && line.length === 0) throw',
  },
  {
    name: 'the signal is not looked at',
    file: 'wait.ts',
    find: 'if (this.isAborted) return { error: this.#signal?.reason };',
    replace: '',
  },
  {
    name: 'the deadline is not looked at',
    file: 'wait.ts',
    find: 'if (this.elapsedMs >= this.#waitTimeoutMs) return',
    replace: 'if (this.elapsedMs < 0) return',
    isQuick: true,
  },
  {
    name: 'a final error is contention',
    file: 'contention.ts',
    find: 'if (error instanceof SchemaError) return undefined;',
    replace: '',
  },
  {
    name: 'a serialization failure is final',
    file: 'contention.ts',
    find: '<(40001|40P01)>|',
    replace: '',
  },
  {
    name: "a duplicate in the caller's table is a lost race",
    file: 'contention.ts',
    find: 'text.includes(`unique constraint failed: ${name}.`)',
    replace: "text.includes('unique constraint failed: ')",
  },
  // What stands beside the protocol
  {
    name: 'a statement that is under way when the DDL returns is left to itself',
    file: 'gate.ts',
    find: 'if (this.#inFlight > 0)',
    replace: 'if (this.#inFlight > 1)',
  },
  {
    name: 'introspection goes around the gate',
    file: 'instances.ts',
    find: 'introspectionOf(trx, own)',
    replace: 'trx.introspection',
  },
  {
    name: 'an abort is told as a DDL that hangs',
    file: 'attempt.ts',
    find: ' && !this.#call.patience.isAborted',
    replace: '',
  },
  {
    name: 'a table with states is a ledger',
    file: 'ledger_row.ts',
    find: "'lease' in row",
    replace: "'state' in row",
  },
  {
    name: "batch: a duplicate of the ddl's own making is a lost race",
    file: 'batch_attempt.ts',
    find: '!ddl.some(({ sql }) =>',
    replace: '!ddl.slice(0, 0).some(({ sql }) =>',
  },
  {
    name: 'batch: what is there meanwhile is not looked for',
    file: 'batch_attempt.ts',
    find: 'if (target) {',
    replace: 'if (target && !target) {',
  },
  {
    name: 'lease: what met a lock is not held to a commit',
    file: 'attempt.ts',
    find: "const mayBeStuck = !this.#gate && dialect === 'sqlite' && hasMetContention;",
    replace: 'const mayBeStuck = false;',
  },
  {
    name: 'lease: a commit that cannot begin is none',
    file: 'attempt.ts',
    find: '!isOpen && contentionOf(error)',
    replace: 'isOpen && contentionOf(error)',
  },
  {
    name: 'what follows from a failed statement is the cause',
    file: 'gate.ts',
    find: ' && !isAbortedTransaction(error);',
    replace: ';',
  },
  {
    name: 'what follows from a failed renewal is the cause',
    file: 'gate.ts',
    find: '!this.#isDoubtful && !isAborted',
    replace: '!isAborted',
  },
  {
    name: 'memory: a race that meets an abort is a failure',
    file: 'recovery.ts',
    find: 'if (isFromDdl && !isWorthIt) hooks',
    replace: 'if (isFromDdl) hooks',
  },
  {
    name: 'memory: a prefix is no place of its own',
    file: 'create_bootstrap.ts',
    find: "tableOf(db, 't')",
    replace: "tableOf(db, 't').schema",
  },
];
