import type { Clock } from "../time/clock.ts";
import { Failfast, type GateStats } from "./failfast.ts";
import { Queue, type Place } from "./queue.ts";

/**
 * Why a request is refused.
 *
 * - `failfast`: it was waiting when the wait became too long.
 * - `loadshed`: it came when the queue was full or failing fast, and never waited.
 * - `closed`: the service is gone.
 */
export type Refusal = "failfast" | "loadshed" | "closed";

/** What becomes of a request. Exactly one of the two is called, unless it is cancelled while it waits. */
export interface Dispatchable {
  /** The service is ready: go. Called synchronously from `submit` or `onReady`. */
  dispatch(): void;
  refuse(reason: Refusal): void;
}

export interface DispatchQueueParams {
  /** Requests that may wait. */
  readonly capacity: number;
  /** The longest that the service may stay unready while somebody waits. */
  readonly failfastTimeoutMs: number;
  readonly clock: Clock;
  /** Whether the service can take one more request now. Asked before each dispatch. */
  readonly isReady: () => boolean;
  readonly observer?: DispatchQueueObserver | undefined;
}

/** Told of what metrics count. */
export interface DispatchQueueObserver {
  /** A request has left the queue to be dispatched; 0 for one that never waited. */
  onDispatch(waitedMs: number): void;
  /** The gate has opened (ready again) or shut (failfast). */
  onGate(isOpen: boolean): void;
}

export interface DispatchQueueStats extends GateStats {
  /** Requests waiting now. */
  readonly length: number;
  /** Requests that were taken, whether they had to wait or not. */
  readonly acceptedTotal: number;
}

interface Waiting {
  readonly request: Dispatchable;
  readonly sinceMs: number;
}

/**
 * Requests in front of a service that is not always ready: a balancer without connected endpoints, a client that is
 * still connecting.
 *
 * While it is ready, requests pass at once and nothing is allocated. Otherwise they wait in order, until it is ready or
 * until failfast: then all who wait are refused, and all who come later too, until `onReady`.
 *
 * Source: linkerd2-proxy, linkerd/proxy/balance/queue/src/worker.rs.
 */
export class DispatchQueue {
  readonly #params: DispatchQueueParams;
  readonly #queue: Queue<Waiting>;
  readonly #failfast: Failfast;
  #acceptedTotal = 0;
  #isClosed = false;
  #isDraining = false;

  constructor(params: DispatchQueueParams) {
    const { observer } = params;
    this.#params = params;
    this.#queue = new Queue(params.capacity);
    this.#failfast = new Failfast(
      params.clock,
      params.failfastTimeoutMs,
      () => this.#refuseAll("failfast"),
      observer === undefined ? undefined : (isOpen) => observer.onGate(isOpen),
    );
  }

  /** Whether a request that came now would be taken. A distribution asks before it chooses this backend. */
  isAvailable(): boolean {
    return !this.#isClosed && this.#failfast.isOpen && this.#queue.hasRoom;
  }

  get length(): number {
    return this.#queue.length;
  }

  get stats(): DispatchQueueStats {
    return {
      ...this.#failfast.stats,
      length: this.#queue.length,
      acceptedTotal: this.#acceptedTotal,
    };
  }

  /**
   * Dispatches or refuses the request before it returns, or lets it wait.
   *
   * @returns the place of a request that waits, undefined if its fate is decided. Cancelling frees the place; the
   * failfast timer runs on.
   */
  submit(request: Dispatchable): Place | undefined {
    if (this.#isClosed) {
      request.refuse("closed");
      return undefined;
    }
    // Nobody overtakes those who wait: while they are being served, newcomers queue up behind them.
    if (this.#queue.length === 0 && this.#params.isReady()) {
      this.#failfast.ready();
      this.#acceptedTotal++;
      this.#params.observer?.onDispatch(0);
      request.dispatch();
      return undefined;
    }
    const place = this.#failfast.isOpen
      ? this.#queue.push({ request, sinceMs: this.#params.clock.nowMs() })
      : undefined;
    if (place === undefined) {
      request.refuse("loadshed");
      return undefined;
    }
    this.#acceptedTotal++;
    this.#failfast.wait();
    // Ready without having said so: those in front go first, and this one with them if there is room.
    if (this.#params.isReady()) this.onReady();
    return place;
  }

  /** The service may have become ready. Call it whenever that is so, even if nobody waits: it ends failfast. */
  onReady(): void {
    // A dispatch may make the service ready again: the loop that is already running goes on by itself.
    if (this.#isDraining || this.#isClosed) return;
    this.#isDraining = true;
    try {
      while (this.#params.isReady()) {
        this.#failfast.ready();
        const waiting = this.#queue.shift();
        if (waiting === undefined) return;
        this.#params.observer?.onDispatch(this.#params.clock.nowMs() - waiting.sinceMs);
        waiting.request.dispatch();
      }
      // The wait of those who are left starts anew: the service has just served others.
      if (this.#queue.length > 0) this.#failfast.wait();
    } finally {
      this.#isDraining = false;
    }
  }

  /** Refuses all who wait and all who come: the service is dropped. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#failfast.close();
    this.#refuseAll("closed");
  }

  #refuseAll(reason: Refusal): void {
    for (let waiting = this.#queue.shift(); waiting !== undefined; waiting = this.#queue.shift()) {
      waiting.request.refuse(reason);
    }
  }
}
