/**
 * One caller of a simulation: its own process, with its own clock, timers and connections.
 *
 * @module
 */

import type { Request } from './driver.ts';
import type { CallerPlan } from './scenario.ts';
import type { Answer } from './store.ts';

/** A request on its way, or its answer. */
export interface Pending {
  readonly id: number;
  readonly caller: Caller;
  readonly request: Request;
  /** When it arrives: the request at the database, or the answer at the caller. */
  at: number;
  /** Set once it has arrived at the database and been answered. */
  reply?: { readonly answers: Answer[] } | { readonly error: Error };
  /** Postgres: until when it waits for another writer, from when it had to. */
  blockedUntil?: number;
  /** True once it was slowed down, so that its time is the only thing to wait for. */
  isDelayed: boolean;
  /** True if nobody waits for its answer any more. */
  isOrphan: boolean;
  settle(reply: { readonly answers: Answer[] } | { readonly error: Error }): void;
}

/** A timer that a caller has set. */
export interface Timer {
  readonly id: number;
  readonly caller: Caller;
  due: number;
  /** Set for an interval. */
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

/** How a call ended. */
export type End =
  | { readonly outcome: string; readonly installed: boolean }
  | { readonly error: unknown };

/** A caller and what is known about it. */
export class Caller {
  readonly name: string;
  readonly plan: CallerPlan;
  readonly index: number;
  readonly controller = new AbortController();
  readonly history = new History();
  readonly timers = new Map<object, Timer>();
  /** How many faults it has met, by kind. */
  readonly faults: string[] = [];
  state: 'idle' | 'running' | 'settled' | 'dead' = 'idle';
  end: End | undefined;
  startedAt = 0;
  settledAt = 0;
  /** Connections in hand. */
  held = 0;
  /** Requests on their way. */
  requests = 0;
  tries = 0;
  /** Counts its requests and timers. */
  ids = 0;
  frozenUntil = 0;
  frozenMs = 0;
  /** When it last sent a claim or a renewal that was answered well. */
  renewedAt = -Infinity;
  /** The longest time between two of them, since its last claim. */
  unrenewedMs = 0;
  /** For how long its last claim could not be released, as the database was busy. */
  busyReleaseMs = 0;
  releasingSince: number | undefined;
  /** What its DDL threw, or the database threw at it. */
  ddlError: { readonly error: unknown } | undefined;
  /** What its DDL will throw after its next statement. */
  throwNext: Error | undefined;
  /** Errors of the database that came out of a statement of the DDL. */
  readonly ddlFailures = new Set<unknown>();
  ddlIsRunning = false;
  /** Whether it had the claim when its DDL issued the last statement. */
  heldAtIssue = false;
  ddlIsIssued = false;
  ddlEndedAt = -Infinity;

  constructor(name: string, index: number, plan: CallerPlan) {
    this.name = name;
    this.index = index;
    this.plan = plan;
  }

  /** True while it is at work and nothing has stopped it. */
  get isAlive(): boolean {
    return this.state !== 'dead';
  }
}

/** A running hash of everything a caller has seen, which is what decides what it does next. */
export class History {
  #a = 0x811c9dc5;
  #b = 0x9e3779b9;

  add(text: string): void {
    let a = this.#a;
    let b = this.#b;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13);
    }
    this.#a = Math.imul(a ^ 0x1f, 0x01000193);
    this.#b = Math.imul(b ^ 0x1f, 0xc2b2ae35);
  }

  get text(): string {
    return `${(this.#a >>> 0).toString(36)}.${(this.#b >>> 0).toString(36)}`;
  }
}
