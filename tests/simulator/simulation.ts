/**
 * One run: callers on a virtual clock, and somebody who chooses what happens next.
 *
 * Time passes only when a timer fires or a delayed message arrives; everything else takes none. A
 * request and its answer are one step, since nobody sees what a caller does between an answer and
 * its next request.
 *
 * @module
 */

import { Caller, type End, History, type Pending, type Timer } from './caller.ts';
import { Checker, Violation } from './checker.ts';
import { carriesDdl, describe, describeAnswers, roleOf } from './describe.ts';
import { openSimulated, type Request, simulatedBatch, type Wire } from './driver.ts';
import { type Surroundings, within } from './globals.ts';
import { referenceProtocol } from './protocols.ts';
import type { Db, Scenario, Schema } from './scenario.ts';
import { contentionErrors, type Landing, Server, type Session } from './server.ts';
import { type Answer, EPOCH_MS, isRead, type Unit } from './store.ts';

/** What can go wrong at a step. */
export const FAULTS = [
  'die-before',
  'die-after',
  'die-sent',
  'lost',
  'late',
  'fail',
  'busy',
  'slow',
  'slow-answer',
  'freeze',
  'stuck',
  'stale',
  'evicted',
  'ddl-error',
  'ddl-throw',
  'abort',
] as const;

/** One of {@linkcode FAULTS}. */
export type Fault = typeof FAULTS[number];

const FAULT_WORDS: Readonly<Record<Fault, string>> = {
  'die-before': 'DIES before it is sent',
  'die-after': 'DIES after it took effect',
  'die-sent': 'DIES, the request is still on its way',
  lost: 'takes effect, the ANSWER IS LOST',
  late: 'an ERROR at once, the request is still on its way',
  fail: 'the CONNECTION IS LOST before it arrives',
  busy: 'BUSY',
  slow: 'is SLOW on its way',
  'slow-answer': 'takes effect, its answer is SLOW',
  freeze: 'takes effect, then the caller FREEZES',
  stuck: 'is STUCK for longer than anybody waits',
  stale: 'a STALE replica answers',
  evicted: 'the server gives its lock to another: TRANSACTION_TIMEOUT',
  'ddl-error': 'the database REFUSES the DDL',
  'ddl-throw': 'takes effect, then the DDL THROWS',
  abort: 'its signal is ABORTED',
};

/** What may happen next. */
export interface Option {
  readonly event: Event;
  readonly fault?: Fault;
  /** 1 if somebody is passed over who could go on. */
  readonly cost: 0 | 1;
}

type Event =
  | { readonly kind: 'start' | 'abort'; readonly caller: Caller }
  | {
    readonly kind: 'message' | 'lock timeout';
    readonly caller: Caller;
    readonly pending: Pending;
  }
  | { readonly kind: 'timer'; readonly caller: Caller; readonly timer: Timer }
  | { readonly kind: 'gone' | 'idle timeout'; readonly session: Session };

/** Chooses among at least one option; undefined ends the run. */
export type Chooser = (options: readonly Option[], run: Simulation) => number | undefined;

/** A line of a timeline. */
export interface Line {
  readonly at: number;
  readonly who: string;
  readonly text: string;
}

/** What a run came to. */
export interface Outcome {
  /** True if the chooser ended it. */
  readonly isCut: boolean;
  readonly steps: number;
  readonly faults: readonly Fault[];
  readonly violation?: Violation;
  readonly lines: readonly Line[];
}

/** How a run is conducted. */
export interface Conduct {
  readonly choose: Chooser;
  /** Faults that may be chosen, and how many of them. Default: none. */
  readonly faults?: readonly Fault[];
  readonly mostFaults?: number;
  /** Keeps the timeline. */
  readonly isTraced?: boolean;
}

const MOST_STEPS = 1_500;

/** Rejections that nobody handled, of the run that is under way. */
let onUnhandled: ((error: unknown) => void) | undefined;
if ('addEventListener' in globalThis) {
  globalThis.addEventListener('unhandledrejection', (event) => {
    if (!onUnhandled) return;
    event.preventDefault();
    onUnhandled(event.reason);
  });
}

/** One run. */
export class Simulation {
  now = 0;
  readonly callers: Caller[];
  readonly server: Server;
  faultsLeft: number;
  readonly #scenario: Scenario;
  readonly #conduct: Conduct;
  readonly #checker: Checker;
  readonly #log = new History();
  readonly #pending: Pending[] = [];
  readonly #gone: Session[] = [];
  readonly #lines: Line[] = [];
  readonly #faults: Fault[] = [];
  #last: Caller | undefined;
  #oneMoreCaller: Caller | undefined;
  #steps = 0;
  #violation: Violation | undefined;

  constructor(scenario: Scenario, conduct: Conduct) {
    this.#scenario = scenario;
    this.#conduct = conduct;
    this.faultsLeft = conduct.mostFaults ?? 0;
    this.server = new Server(scenario.world, () => this.now, (unit) => this.#onUnit(unit));
    const hasLedger = scenario.protocol !== referenceProtocol;
    this.callers = scenario.callers.map((plan, index) => new Caller('ABCDEF'[index]!, index, plan));
    this.#checker = new Checker(scenario, this.callers, this.server, () => this.now, hasLedger);
  }

  /** Runs to the end, and then lets one more call find what is there. */
  async run(): Promise<Outcome> {
    let isCut = false;
    onUnhandled = (error) =>
      this.#violate(new Violation('no unexpected error', `Nobody handles: ${String(error)}`));
    try {
      for (const statement of this.#scenario.start?.statements ?? []) {
        this.server.store.runAlone(statement, 0, '');
      }
      this.#checker.start();
      isCut = !await this.#loop(this.#conduct.choose);
      if (!isCut && !this.#violation) {
        this.#check(() => this.#checker.onQuiet());
        if (!this.#violation) await this.#oneMore();
      }
    } finally {
      onUnhandled = undefined;
      this.server.store.end();
    }
    return {
      isCut: isCut && !this.#violation,
      steps: this.#steps,
      faults: this.#faults,
      ...(this.#violation && { violation: this.#violation }),
      lines: this.#lines,
    };
  }

  /** Equal for two states from which everything goes on alike. */
  get fingerprint(): string {
    let text = `${this.now}|${this.#log.text}|${this.server.fingerprint}|${this.#last?.index}|` +
      `${this.faultsLeft}|${this.#gone.map((session) => session.caller).join()}`;
    for (const caller of this.callers) text += `|${caller.state}${caller.history.text}`;
    for (const { isOrphan, id, caller } of this.#pending) {
      if (isOrphan) text += `|${caller.name}${id}`;
    }
    return text;
  }

  async #loop(choose: Chooser): Promise<boolean> {
    while (!this.#violation) {
      const options = this.#options();
      if (options.length === 0) return true;
      const index = choose(options, this);
      if (index === undefined) return false;
      if (++this.#steps > MOST_STEPS) {
        this.#violate(new Violation('bounded', 'It goes on and on'));
        break;
      }
      await this.#take(options[index]!);
      this.#check(() => this.#checker.onStep());
    }
    return true;
  }

  /** The last check: nobody has to repair anything. */
  async #oneMore(): Promise<void> {
    const { callers } = this.#scenario;
    const plan = callers[this.#steps % callers.length]!;
    const { onContention: _, assumeFresh: __, ...rest } = plan;
    const caller = new Caller('Z', this.callers.length, rest);
    this.#note(caller.name, 'ONE MORE CALL, now that all have stopped');
    this.callers.push(caller);
    this.#oneMoreCaller = caller;
    this.faultsLeft = 0;
    await this.#loop(() => 0);
    if (this.#violation) return;
    this.#check(() => this.#checker.onLast(caller));
    this.#check(() => this.#checker.onQuiet());
  }

  // What may happen

  #options(): Option[] {
    const ready: Event[] = [];
    const later: { at: number; event: Event }[] = [];
    for (const caller of this.callers) {
      if (caller.state === 'idle') ready.push({ kind: 'start', caller });
      for (const timer of caller.timers.values()) {
        const at = Math.max(timer.due, caller.frozenUntil);
        later.push({ at, event: { kind: 'timer', caller, timer } });
      }
    }
    for (const pending of this.#pending) {
      const { caller } = pending;
      const event: Event = { kind: 'message', caller, pending };
      if (!pending.reply && pending.blockedUntil !== undefined && this.server.writer) {
        const at = Math.max(pending.blockedUntil, this.now);
        if (at !== Infinity) later.push({ at, event: { kind: 'lock timeout', caller, pending } });
        continue;
      }
      const at = pending.reply ? Math.max(pending.at, caller.frozenUntil) : pending.at;
      if (at > this.now || (pending.isDelayed && pending.reply)) later.push({ at, event });
      else ready.push(event);
    }
    // A deferred "begin" disturbs nobody, so nothing is gained by letting others go first.
    const begin = ready.find((event) =>
      event.kind === 'message' && event.pending.request.kind === 'begin'
    );
    if (begin) return this.#withFaults(begin, 0);
    for (const session of this.#gone) ready.push({ kind: 'gone', session });
    this.#addIdle(later);
    return this.#priced(ready, later);
  }

  #addIdle(later: { at: number; event: Event }[]): void {
    for (const session of this.server.open) {
      const { transaction } = session;
      const isBusy = this.#pending.some(({ request, blockedUntil }) =>
        'session' in request && request.session === session && blockedUntil !== undefined
      );
      if (!transaction?.idleMs || isBusy) continue;
      const at = Math.max(transaction.heardAt + transaction.idleMs, this.now);
      later.push({ at, event: { kind: 'idle timeout', session } });
    }
  }

  #priced(ready: readonly Event[], later: readonly { at: number; event: Event }[]): Option[] {
    const isOn = (event: Event) => 'caller' in event && event.caller === this.#last;
    const canGoOn = ready.some(isOn);
    const isAnyReady = ready.some(({ kind }) => kind !== 'gone');
    const options: Option[] = [];
    const sorted = [...ready].sort((a, b) => Number(isOn(b)) - Number(isOn(a)));
    for (const event of sorted) {
      const isPassing = canGoOn && !isOn(event) && event.kind !== 'gone';
      options.push(...this.#withFaults(event, isPassing ? 1 : 0));
    }
    const next = Math.min(...later.map(({ at }) => at));
    for (const { at, event } of later) {
      if (at === next) options.push(...this.#withFaults(event, isAnyReady ? 1 : 0));
    }
    if (this.faultsLeft > 0 && this.#conduct.faults?.includes('abort')) {
      for (const caller of this.callers) {
        const canAbort = caller.state === 'running' && !caller.controller.signal.aborted &&
          caller.frozenUntil <= this.now;
        if (canAbort) options.push({ event: { kind: 'abort', caller }, fault: 'abort', cost: 0 });
      }
    }
    return options;
  }

  #withFaults(event: Event, cost: 0 | 1): Option[] {
    const options: Option[] = [{ event, cost }];
    if (this.faultsLeft <= 0 || event.kind !== 'message') return options;
    const { pending } = event;
    if (pending.reply || pending.isDelayed || pending.isOrphan) return options;
    for (const fault of this.#conduct.faults ?? []) {
      if (this.#isPossible(fault, pending)) options.push({ event, fault, cost });
    }
    return options;
  }

  #isPossible(fault: Fault, { request }: Pending): boolean {
    const { kind } = request;
    const isControl = kind === 'begin' || kind === 'commit' || kind === 'rollback';
    const isReading = kind === 'statement'
      ? isRead(request.statement.sql)
      : kind === 'batch' && request.statements.every(({ sql }) => isRead(sql));
    const isInTransaction = kind === 'statement' && request.session.transaction !== undefined;
    switch (fault) {
      case 'die-before':
      case 'fail':
        return true;
      case 'slow':
      case 'freeze':
      case 'stuck':
        return kind !== 'rollback';
      case 'busy':
        return kind !== 'rollback';
      case 'slow-answer':
        return kind !== 'rollback' && kind !== 'begin';
      case 'die-after':
      case 'lost':
        return !isReading && kind !== 'begin' && kind !== 'rollback';
      case 'die-sent':
      case 'late':
        return !isControl && !isReading && !isInTransaction;
      case 'stale':
        return kind === 'statement' && isReading && !isInTransaction &&
          this.#scenario.world.hasReplicas === true && this.server.store.log.length > 0;
      case 'evicted':
        return isInTransaction && this.#scenario.world.isImpatient === true;
      case 'ddl-error':
        return carriesDdl(request);
      case 'ddl-throw':
        return kind === 'statement' && carriesDdl(request);
      case 'abort':
        return false;
    }
  }

  // What happens

  async #take({ event, fault }: Option): Promise<void> {
    if (fault) {
      this.faultsLeft--;
      this.#faults.push(fault);
      if ('caller' in event) {
        event.caller.faults.push(fault);
        event.caller.history.add(fault);
      }
    }
    if ('caller' in event) this.#last = event.caller;
    switch (event.kind) {
      case 'start':
        return await this.#start(event.caller);
      case 'abort':
        this.#note(event.caller.name, FAULT_WORDS.abort);
        return await this.#on(event.caller, 'abort', () => event.caller.controller.abort());
      case 'message':
        return await this.#message(event.pending, fault);
      case 'timer':
        return await this.#fire(event.caller, event.timer);
      case 'lock timeout':
        this.now = Math.max(this.now, event.pending.blockedUntil!);
        return await this.#land(event.pending, { kind: 'error', error: this.server.busy() });
      case 'gone':
        this.#note('db', `notices that ${event.session.caller} is gone, and rolls back`);
        this.#gone.splice(this.#gone.indexOf(event.session), 1);
        return this.server.rollback(event.session);
      case 'idle timeout': {
        const { transaction, caller } = event.session;
        this.now = Math.max(this.now, transaction!.heardAt + transaction!.idleMs!);
        this.#note('db', `ends the idle transaction of ${caller}`);
        const at = this.#gone.indexOf(event.session);
        if (at >= 0) this.#gone.splice(at, 1);
        return this.server.breakOff(event.session);
      }
    }
  }

  async #start(caller: Caller): Promise<void> {
    const { plan } = caller;
    const { protocol, world } = this.#scenario;
    caller.state = 'running';
    caller.startedAt = this.now;
    const wire: Wire = {
      caller: caller.name,
      get held() {
        return caller.held;
      },
      set held(count) {
        caller.held = count;
      },
      send: (request) => this.#send(caller, request),
    };
    const db = openSimulated(wire, world, plan.hasOneConnection ?? false);
    const say = (message: string) => this.#note(caller.name, `  says: ${message}`);
    this.#note(caller.name, `starts (${plan.strategy})`);
    await this.#on(caller, 'start', () => {
      protocol({
        db,
        batch: simulatedBatch(wire),
        signal: caller.controller.signal,
        schema: plan.schema,
        ddl: (instance) => this.#runDdl(caller, plan.schema.run, instance),
        upgrades: (plan.schema.upgrades ?? []).map(({ from, run }) => ({
          from,
          ddl: (instance) => this.#runDdl(caller, run, instance),
        })),
        caller: plan,
        logger: { log: say, error: say },
      }).then(
        ({ installed, outcome }) => this.#end(caller, { installed, outcome }),
        (error) => this.#end(caller, { error }),
      );
    });
  }

  async #runDdl(caller: Caller, run: Schema['run'], db: Db): Promise<void> {
    const between = () => {
      caller.heldAtIssue = this.#checker.holds(caller);
      const error = caller.throwNext;
      caller.throwNext = undefined;
      if (error) throw error;
    };
    caller.ddlIsRunning = true;
    caller.heldAtIssue = this.#checker.holds(caller);
    try {
      await run(db, between);
    } finally {
      caller.ddlIsRunning = false;
      caller.ddlEndedAt = this.now;
    }
  }

  #end(caller: Caller, end: End): void {
    if (caller.state === 'dead') return;
    caller.state = 'settled';
    caller.settledAt = this.now;
    caller.end = end;
    this.#note(
      caller.name,
      'error' in end
        ? `  FAILS: ${(end.error as Error).message ?? String(end.error)}`
        : `  RESOLVES: ${end.outcome}`,
    );
    if (caller === this.#oneMoreCaller) this.#check(() => this.#checker.onLast(caller));
    this.#check(() => this.#checker.onEnd(caller, end));
  }

  #send(caller: Caller, request: Request): Promise<Answer[]> {
    this.#check(() => this.#checker.onRequest(caller, request));
    if (carriesDdl(request)) {
      caller.ddlIsIssued = true;
      if (request.kind === 'batch') caller.ddlEndedAt = this.now;
    }
    caller.requests++;
    const sentAt = this.now;
    const role = request.kind === 'statement' ? roleOf(request.statement) : undefined;
    if (role === 'release') caller.releasingSince ??= sentAt;
    else if (role === 'claim') [caller.releasingSince, caller.busyReleaseMs] = [undefined, 0];
    return new Promise((resolve, reject) => {
      this.#pending.push({
        id: ++caller.ids,
        caller,
        request,
        at: this.now,
        isDelayed: false,
        isOrphan: false,
        settle: (reply) => {
          caller.requests--;
          if ('error' in reply) {
            if (carriesDdl(request)) caller.ddlFailures.add(reply.error);
            if (role === 'release' && contentionErrors.has(reply.error)) {
              caller.busyReleaseMs = this.now - caller.releasingSince!;
            }
            return reject(reply.error);
          }
          if (role === 'claim') caller.unrenewedMs = 0;
          if (role === 'renew') {
            caller.unrenewedMs = Math.max(caller.unrenewedMs, sentAt - caller.renewedAt);
          }
          if (role === 'claim' || role === 'renew') caller.renewedAt = sentAt;
          resolve(reply.answers);
        },
      });
    });
  }

  async #message(pending: Pending, fault: Fault | undefined): Promise<void> {
    const { caller, request } = pending;
    this.now = Math.max(this.now, pending.at, pending.reply ? caller.frozenUntil : 0);
    if (pending.reply) {
      this.#note(caller.name, `answer to: ${describe(request)}`);
      return await this.#answer(pending);
    }
    const { leaseMs, waitTimeoutMs } = this.#scenario;
    const slowMs = leaseMs * 2.5;
    const session = 'session' in request ? request.session : undefined;
    const cutOff = () => {
      if (session?.transaction) this.server.breakOff(session);
      return this.server.lost();
    };
    const note = () => this.#note(caller.name, describe(request), fault && FAULT_WORDS[fault]);
    switch (fault) {
      case 'die-before':
        note();
        return this.#kill(caller);
      case 'die-after':
        this.#noteLanding(pending, this.#execute(pending), fault);
        return this.#kill(caller);
      case 'die-sent':
        note();
        pending.isOrphan = true;
        return this.#kill(caller);
      case 'lost':
        this.#noteLanding(pending, this.#execute(pending), fault);
        return await this.#reply(pending, { error: cutOff() });
      case 'late':
        note();
        this.#pending.push({ ...pending, id: ++caller.ids, isOrphan: true, settle: () => {} });
        return await this.#reply(pending, { error: this.server.lost() });
      case 'fail':
        note();
        return await this.#reply(pending, { error: cutOff() });
      case 'busy':
        note();
        return await this.#reply(pending, { error: this.#refuse(session, request.kind) });
      case 'evicted':
        note();
        return await this.#reply(pending, { error: this.server.evict(session!) });
      case 'slow':
      case 'stuck':
        note();
        pending.isDelayed = true;
        pending.at = this.now + (fault === 'slow' ? slowMs : waitTimeoutMs * 4);
        return;
      case 'slow-answer':
      case 'freeze': {
        const landing = this.#execute(pending);
        this.#noteLanding(pending, landing, fault);
        if (fault === 'freeze') {
          caller.frozenUntil = this.now + slowMs;
          caller.frozenMs += slowMs;
        }
        if (landing.kind === 'blocked') return this.#block(pending, landing.timeoutMs);
        pending.reply = replyOf(landing);
        pending.isDelayed = true;
        pending.at = this.now + slowMs;
        return;
      }
      case 'ddl-error': {
        const error = new Error('near "oops": syntax error');
        if (request.kind === 'batch') {
          const at = request.statements.findIndex((one) => roleOf(one) === 'ddl') + 1;
          const landing = this.server.batch(caller.name, request.statements, false, { at, error });
          // It may have failed, or have been blocked, before it came to the DDL.
          if ('error' in landing && landing.error === error) caller.ddlError = { error };
          return await this.#land(pending, landing, fault);
        }
        caller.ddlError = { error };
        this.server.abort(session!);
        return await this.#land(pending, { kind: 'error', error }, fault);
      }
      case 'ddl-throw': {
        const landing = this.#execute(pending);
        // Where the statement fails, the DDL does not come to throw an error of its own.
        if (landing.kind === 'answer') {
          const error = new Error('thrown by the DDL itself');
          caller.ddlError = { error };
          caller.throwNext = error;
        }
        return await this.#land(pending, landing, fault);
      }
      default:
        return await this.#land(pending, this.#execute(pending, fault === 'stale'), fault);
    }
  }

  #refuse(session: Session | undefined, kind: Request['kind']): Error {
    if (!this.server.isPostgres || kind === 'statement' || kind === 'batch') {
      if (session) this.server.abort(session);
      return this.server.busy();
    }
    if (session) this.server.rollback(session);
    const text = 'could not serialize access due to concurrent update';
    const error = Object.assign(new Error(text), { code: '40001' });
    contentionErrors.add(error);
    return error;
  }

  #execute({ request, caller, blockedUntil }: Pending, isStale = false): Landing {
    const wasBlocked = blockedUntil !== undefined;
    const { server } = this;
    try {
      switch (request.kind) {
        case 'statement':
          if (isStale) return server.readStale(request.statement, 1 + (this.#steps % 2));
          return server.execute(request.session, request.statement, wasBlocked);
        case 'batch':
          return server.batch(caller.name, request.statements, wasBlocked);
        default:
          if (request.session.isBroken) return { kind: 'error', error: server.lost() };
          return server.control(request.kind, request.session);
      }
    } catch (error) {
      this.#violate(error);
      return { kind: 'answer', answers: [] };
    }
  }

  async #land(pending: Pending, landing: Landing, fault?: Fault): Promise<void> {
    this.#noteLanding(pending, landing, fault);
    if (landing.kind === 'blocked') return this.#block(pending, landing.timeoutMs);
    await this.#reply(pending, replyOf(landing));
  }

  #block(pending: Pending, timeoutMs: number | undefined): void {
    pending.blockedUntil ??= timeoutMs === undefined ? Infinity : this.now + timeoutMs;
    pending.caller.history.add(`blocked ${pending.id}`);
  }

  async #reply(pending: Pending, reply: NonNullable<Pending['reply']>): Promise<void> {
    pending.reply = reply;
    if (pending.caller.frozenUntil > this.now) {
      pending.isDelayed = true;
      pending.at = pending.caller.frozenUntil;
      return;
    }
    await this.#answer(pending);
  }

  async #answer(pending: Pending): Promise<void> {
    const { caller, reply, isOrphan } = pending;
    this.#pending.splice(this.#pending.indexOf(pending), 1);
    if (isOrphan || !caller.isAlive) return;
    const seen = 'error' in reply! ? reply.error.message : JSON.stringify(
      reply!.answers,
      (_, value) => typeof value === 'bigint' ? `${value}` : value,
    );
    await this.#on(caller, `${pending.id} ${seen}`, () => pending.settle(reply!));
  }

  async #fire(caller: Caller, timer: Timer): Promise<void> {
    this.now = Math.max(this.now, timer.due, caller.frozenUntil);
    if (timer.everyMs === undefined) caller.timers.delete(timer);
    else timer.due = this.now + Math.max(Math.ceil(timer.everyMs), 1);
    await this.#on(caller, `timer ${timer.id}`, timer.callback);
  }

  #kill(caller: Caller): void {
    caller.state = 'dead';
    caller.history.add('dead');
    caller.timers.clear();
    for (const pending of this.#pending.filter((one) => one.caller === caller && !one.isOrphan)) {
      this.#pending.splice(this.#pending.indexOf(pending), 1);
    }
    for (const session of this.server.open) {
      if (session.caller === caller.name) this.#gone.push(session);
    }
  }

  /** Lets a caller go on, and everything that follows from it without time passing. */
  async #on(caller: Caller, event: string, work: () => void): Promise<void> {
    caller.history.add(`${this.now} ${event}`);
    await within(this.#surroundings(caller), work);
  }

  #surroundings(caller: Caller): Surroundings {
    const offMs = (caller.index + 1) * 10_000;
    return {
      monotonicMs: () => this.now + offMs,
      wallClockMs: () => EPOCH_MS + this.now + (caller.plan.clockMs ?? 0),
      random: this.#randoms[caller.index] ??= this.#scenario.random?.(caller.name) ?? (() => 0.5),
      uuid: () => `${caller.name}-${++caller.tries}`,
      setTimer: (callback, ms, everyMs) => {
        // Whole milliseconds, so that sums of them are exact.
        const delay = Math.ceil(Math.max(Number.isFinite(ms) ? ms : 0, 0));
        const timer: Timer = { id: ++caller.ids, caller, due: this.now + delay, everyMs, callback };
        if (caller.isAlive) caller.timers.set(timer, timer);
        return timer;
      },
      clearTimer: (timer) => caller.timers.delete(timer),
    };
  }

  readonly #randoms: (() => number)[] = [];

  #onUnit(unit: Unit): void {
    for (const { sql, parameters, at } of unit.effects) {
      this.#log.add(`${sql}${parameters.join()}${at}`);
    }
    this.#checker.onUnit(unit);
  }

  #check(check: () => void): void {
    if (this.#violation) return;
    try {
      check();
    } catch (error) {
      this.#violate(error);
    }
  }

  #violate(error: unknown): void {
    if (!(error instanceof Violation)) throw error;
    this.#violation ??= error;
  }

  // What is told

  #note(who: string, text: string, result?: string): void {
    if (!this.#conduct.isTraced) return;
    this.#lines.push({ at: this.now, who, text: result ? `${text}: ${result}` : text });
  }

  #noteLanding({ caller, request }: Pending, landing: Landing, fault?: Fault): void {
    if (!this.#conduct.isTraced) return;
    const result = landing.kind === 'blocked'
      ? 'waits for another writer'
      : landing.kind === 'error'
      ? `error: ${landing.error.message}`
      : describeAnswers(landing.answers);
    const words = fault ? `${FAULT_WORDS[fault]} (${result})` : result;
    this.#note(caller.name, describe(request), words);
  }
}

function replyOf(landing: Exclude<Landing, { kind: 'blocked' }>): NonNullable<Pending['reply']> {
  return landing.kind === 'error' ? { error: landing.error } : { answers: landing.answers };
}
