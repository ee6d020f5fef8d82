/**
 * What must hold after every step of a simulation.
 *
 * @module
 */

import type { Caller, End } from './caller.ts';
import { carriesDdl, roleOf } from './describe.ts';
import type { Request } from './driver.ts';
import { type Look, MARKER, type Scenario, type Schema } from './scenario.ts';
import { contentionErrors, type Server } from './server.ts';
import { EPOCH_MS, type Unit } from './store.ts';

/** An invariant does not hold. */
export class Violation extends Error {
  readonly invariant: Invariant;

  constructor(invariant: Invariant, text: string) {
    super(text);
    this.invariant = invariant;
  }
}

/** The invariants, in words. */
export type Invariant =
  | 'resolved means ready'
  | 'once'
  | 'all or nothing'
  | 'a loser changes nothing'
  | 'self-healing'
  | 'bounded'
  | 'nothing hidden'
  | 'only the owner finishes or releases'
  | 'an installed row stays'
  | 'no DDL without a claim'
  | 'no DDL after the end of the call'
  | 'waiting holds nothing'
  | 'no unexpected error'
  | 'nothing is left behind';

interface LedgerRow {
  readonly state: string;
  readonly owner: string | undefined;
  readonly lease: number;
}

/** Faults of a caller after which its claim must not stay where it is. */
const OWN_DOING = new Set(['ddl-error', 'ddl-throw']);

// For so long a caller tries to release its claim on a busy database.
const RELEASE_MS = 500;

// A batch that is on its way is looked at again after a second.
const BATCH_LOOK_MS = 1_000;

/** Checks one run. */
export class Checker {
  readonly #scenario: Scenario;
  readonly #callers: readonly Caller[];
  readonly #server: Server;
  readonly #now: () => number;
  readonly #look: Look;
  readonly #schemas = new Map<string, Schema>();
  readonly #hasLedger: boolean;
  readonly #isAtomic: boolean;
  #ledger: ReadonlyMap<string, LedgerRow> = new Map();

  /** `hasLedger` is false for a protocol whose ledger is not the library's. */
  constructor(
    scenario: Scenario,
    callers: readonly Caller[],
    server: Server,
    now: () => number,
    hasLedger: boolean,
  ) {
    this.#scenario = scenario;
    this.#callers = callers;
    this.#server = server;
    this.#now = now;
    this.#hasLedger = hasLedger;
    this.#look = (sql, ...parameters) => server.store.read({ sql, parameters }, now()).rows;
    for (const { schema } of scenario.callers) this.#schemas.set(schema.version, schema);
    const { transactions } = scenario.world;
    this.#isAtomic = scenario.callers.every(({ strategy }) =>
      strategy === 'batch' || (transactions === 'real' && strategy !== 'lease')
    );
  }

  /** The database is as the first caller will find it. */
  start(): void {
    this.#ledger = this.#readLedger();
  }

  /** True if a claim stands that is this caller's. */
  holds(caller: Caller): boolean {
    const row = this.#ledger.get(caller.plan.schema.version);
    return row?.state === 'installing' && isOf(caller, row.owner);
  }

  /** A caller sends something. */
  onRequest(caller: Caller, request: Request): void {
    const isDdl = carriesDdl(request);
    if (isDdl && caller.state === 'settled') {
      throw new Violation(
        'no DDL after the end of the call',
        `${caller.name} sends DDL although its call has ended`,
      );
    }
    if (!isDdl || request.kind !== 'statement' || !this.#hasLedger) return;
    if (request.session.transaction || request.session.isBroken) return;
    if (this.holds(caller)) return;
    // With one connection a statement may have to wait for it inside the caller's own process.
    if (caller.plan.hasOneConnection && caller.heldAtIssue) return;
    const row = this.#ledger.get(caller.plan.schema.version);
    throw new Violation(
      'no DDL without a claim',
      `${caller.name} sends DDL while the claim ${row ? `is ${row.owner}'s` : 'is not there'}`,
    );
  }

  /** Something was committed. */
  onUnit(unit: Unit): void {
    if (this.#hasLedger) {
      const before = this.#ledger;
      this.#ledger = this.#readLedger();
      for (const name of new Set([...before.keys(), ...this.#ledger.keys()])) {
        this.#checkRow(name, before.get(name), this.#ledger.get(name), unit);
      }
      for (const [name, { state }] of this.#ledger) {
        const lacks = state === 'installed' && this.#lacks(name);
        if (lacks) throw new Violation('resolved means ready', `installed, but ${lacks}`);
      }
    }
    const hasDdl = unit.effects.some((effect) => roleOf(effect) === 'ddl');
    if (hasDdl && this.#isAtomic && this.#hasLedger) {
      const caller = this.#callers.find(({ name }) => name === unit.caller)!;
      const lacks = this.#lacks(caller.plan.schema.version);
      if (lacks) throw new Violation('all or nothing', `${unit.caller} committed a part: ${lacks}`);
    }
  }

  /** A call has ended. */
  onEnd(caller: Caller, end: End): void {
    if ('error' in end) this.#checkError(caller, end.error);
    else this.#checkResult(caller, end.outcome, end.installed);
  }

  /** After every step. */
  onStep(): void {
    const now = this.#now();
    for (const caller of this.#callers) {
      if (caller.state !== 'running' || caller.frozenUntil > now) continue;
      if (now > this.#limit(caller) + 2) {
        throw new Violation('bounded', `${caller.name} still waits, past its deadline`);
      }
      if (caller.held > 0 && caller.requests === 0 && !caller.ddlIsRunning) {
        throw new Violation('waiting holds nothing', `${caller.name} sleeps with a connection`);
      }
    }
  }

  /** Nothing more will happen. */
  onQuiet(): void {
    for (const caller of this.#callers) {
      if (caller.state === 'running') {
        throw new Violation('bounded', `${caller.name} waits for ever`);
      }
      if (caller.state === 'settled' && caller.held > 0) {
        throw new Violation('nothing is left behind', `${caller.name} kept a connection`);
      }
    }
    const open = this.#server.open.find((session) =>
      this.#callers.some((caller) => caller.name === session.caller && caller.isAlive)
    );
    if (open) {
      throw new Violation('nothing is left behind', `${open.caller} left a transaction open`);
    }
    for (const row of this.#ledger.values()) {
      const owner = this.#callers.find((caller) => isOf(caller, row.owner));
      const isExcused = !owner?.isAlive || owner.busyReleaseMs >= RELEASE_MS ||
        owner.faults.some((fault) => !OWN_DOING.has(fault));
      if (row.state === 'installing' && owner && !isExcused) {
        throw new Violation('nothing is left behind', `${row.owner} did not release its claim`);
      }
    }
    const winners = this.#callers.filter(({ end }) => end && 'installed' in end && end.installed);
    for (const version of this.#schemas.keys()) {
      const names = winners.filter(({ plan }) => plan.schema.version === version);
      if (names.length > 1) {
        throw new Violation('once', `${names.map(({ name }) => name).join(' and ')} installed`);
      }
    }
  }

  /** One more call came after everybody had stopped. */
  onLast(caller: Caller): void {
    const { end } = caller;
    if (end && 'outcome' in end && !this.#lacks(caller.plan.schema.version)) return;
    const found = !end
      ? 'does not end'
      : 'error' in end
      ? `fails: ${(end.error as Error).message}`
      : `resolves, but ${this.#lacks(caller.plan.schema.version)}`;
    throw new Violation('self-healing', `One more call, after all have stopped, ${found}`);
  }

  #checkRow(
    name: string,
    before: LedgerRow | undefined,
    after: LedgerRow | undefined,
    { caller, isAtomic }: Unit,
  ): void {
    if (before && after && isSame(before, after)) return;
    if (before?.state === 'installed') {
      throw new Violation(
        'an installed row stays',
        `${caller} ${after ? 'changed' : 'deleted'} the installed row of ${name}`,
      );
    }
    const isExpired = before !== undefined && before.lease < EPOCH_MS + this.#now();
    const wasMine = before !== undefined && isOf({ name: caller }, before.owner);
    const isMine = after !== undefined && isOf({ name: caller }, after.owner);
    const isTaken = before?.owner !== after?.owner;
    const hasRight = before === undefined || wasMine || isExpired;
    if (!hasRight || (after && !isMine)) {
      throw new Violation(
        'only the owner finishes or releases',
        `${caller} changed the claim of ${before?.owner ?? after?.owner}`,
      );
    }
    if (after?.state === 'installed' && isTaken && !isAtomic) {
      throw new Violation(
        'only the owner finishes or releases',
        `${caller} marked ${name} as installed without having claimed it`,
      );
    }
  }

  #checkResult(caller: Caller, outcome: string, installed: boolean): void {
    const { version } = caller.plan.schema;
    if (outcome === 'pending') {
      if (caller.plan.onContention === 'return') return;
      throw new Violation('resolved means ready', `${caller.name} resolves as pending`);
    }
    const lacks = this.#lacks(version);
    if (lacks) {
      throw new Violation('resolved means ready', `${caller.name} resolves, but ${lacks}`);
    }
    const isBatch = caller.plan.strategy === 'batch';
    if (caller.ddlError && !isBatch) {
      throw new Violation('nothing hidden', `${caller.name} resolves although its DDL failed`);
    }
    if (!this.#hasLedger) return;
    const row = this.#ledger.get(version);
    if (row?.state !== 'installed') {
      throw new Violation('resolved means ready', `${caller.name} resolves, but no row says so`);
    }
    const isMine = isOf(caller, row.owner);
    if (installed !== isMine) {
      const says = installed ? 'says that it installed' : 'does not say that it installed';
      throw new Violation('once', `${caller.name} ${says}, but the row is ${row.owner}'s`);
    }
    if (!installed && this.#isAtomic) this.#checkLoser(caller);
  }

  #checkLoser({ name }: Caller): void {
    for (const unit of this.#server.store.log) {
      if (unit.caller !== name) continue;
      for (const effect of unit.effects) {
        const role = roleOf(effect);
        // A part of a line that it could not have whole is given back in the same unit.
        if (/^(create|alter|claim|release)$/.test(role)) continue;
        // So it is claimed anew there, with what was in its way and has run out.
        if (role === 'discard' && unit.effects.some((one) => roleOf(one) === 'claim')) continue;
        throw new Violation('a loser changes nothing', `${name} did not install, but did: ${role}`);
      }
    }
  }

  #checkError(caller: Caller, error: unknown): void {
    const { name, ddlError, controller } = caller;
    if (error === ddlError?.error) return;
    const now = this.#now();
    const isAborted = controller.signal.aborted;
    const isLate = now >= caller.startedAt + this.#scenario.waitTimeoutMs;
    if (ddlError && !isAborted && !isLate) {
      throw new Violation(
        'nothing hidden',
        `${name} gets another error than its DDL threw: ${messageOf(error)}`,
      );
    }
    if (isAborted && error === controller.signal.reason) return;
    const code = (error as { code?: string }).code;
    if (code === 'WAIT_TIMEOUT') {
      if (isLate) return;
      throw new Violation('bounded', `${name} times out before its deadline`);
    }
    const isSilent = this.#scenario.world.transactions === 'silent';
    if (code === 'LEASE_LOST' || (code === 'TRANSACTION_ABORTED' && isSilent)) {
      const row = this.#ledger.get(caller.plan.schema.version);
      const isGone = !row || !isOf(caller, row.owner) || row.state !== 'installing';
      const unrenewedMs = Math.max(caller.unrenewedMs, now - caller.renewedAt);
      if (isGone || unrenewedMs > this.#scenario.leaseMs) return;
      throw new Violation('no unexpected error', `${name} says that it lost a claim it has`);
    }
    if (error instanceof Error && contentionErrors.has(error)) {
      if (isLate || isAborted || caller.ddlFailures.has(error)) return;
      throw new Violation('no unexpected error', `${name} gets: ${error.message}`);
    }
    if (this.#server.lostErrors.has(error as Error)) {
      // One lost answer alone is no reason: another look tells that it was committed.
      const row = this.#ledger.get(caller.plan.schema.version);
      const isMine = row?.state === 'installed' && isOf(caller, row.owner);
      if (!isMine || caller.faults.length > 1) return;
      throw new Violation('no unexpected error', `${name} fails although it has installed`);
    }
    throw new Violation('no unexpected error', `${name} gets: ${messageOf(error)}`);
  }

  /** When a call must have ended. */
  #limit(caller: Caller): number {
    const { waitTimeoutMs, leaseMs } = this.#scenario;
    const deadline = caller.startedAt + waitTimeoutMs + caller.frozenMs;
    if (!caller.ddlIsIssued) return deadline;
    if (caller.ddlIsRunning) return Infinity;
    const look = caller.plan.strategy === 'batch' ? BATCH_LOOK_MS : leaseMs;
    return Math.max(deadline, caller.ddlEndedAt + leaseMs + caller.frozenMs) + look;
  }

  #lacks(version: string): string | undefined {
    return this.#schemas.get(version)?.lacks(this.#look);
  }

  #readLedger(): ReadonlyMap<string, LedgerRow> {
    const found = this.#look(`select name from sqlite_master where name = '${MARKER}'`);
    if (found.length === 0) return new Map();
    return new Map(
      this.#look(`select * from ${MARKER}`).map(({ name, state, owner, lease }) => [
        name as string,
        {
          state: (state ?? 'installed') as string,
          owner: (owner ?? undefined) as string | undefined,
          lease: Number(lease ?? Infinity),
        },
      ]),
    );
  }
}

/** True if a random name was made by a caller. */
function isOf({ name }: { name: string }, owner: string | undefined): boolean {
  return owner?.startsWith(`${name}-`) === true;
}

function isSame(a: LedgerRow, b: LedgerRow): boolean {
  return a.state === b.state && a.owner === b.owner && a.lease === b.lease;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
