import { ProxyError, type ErrorCode } from "../errors/proxy-error.ts";
import {
  DispatchQueue,
  type Dispatchable,
  type DispatchQueueObserver,
  type Refusal,
} from "../stack/dispatch-queue.ts";
import type { Clock } from "../time/clock.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "./message.ts";
import { PendingExchange } from "./pending-exchange.ts";

export interface QueuedServiceParams {
  readonly clock: Clock;
  readonly capacity: number;
  readonly failfastTimeoutMs: number;
  /** Stands before the message of a refusal: `backend Service.shop.web:80`. */
  readonly name: string;
  readonly isReady: () => boolean;
  /** Called only while ready. */
  readonly inner: HttpService;
  /** Not told of requests that pass straight through: `passedTotal` counts those. */
  readonly observer?: DispatchQueueObserver | undefined;
}

/** A service that is not always ready, behind a queue with failfast. While it is ready requests pass straight through. */
export class QueuedService implements HttpService {
  readonly #params: QueuedServiceParams;
  readonly #queue: DispatchQueue;
  #passedTotal = 0;

  constructor(params: QueuedServiceParams) {
    const { clock, capacity, failfastTimeoutMs, isReady, observer } = params;
    this.#params = params;
    this.#queue = new DispatchQueue({ clock, capacity, failfastTimeoutMs, isReady, observer });
  }

  /** Whether a request would be taken: the queue has room and is not in failfast. */
  get available(): boolean {
    return this.#queue.isAvailable();
  }

  /** Requests that wait now. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Requests that passed straight through. */
  get passedTotal(): number {
    return this.#passedTotal;
  }

  /** Requests that were taken, those included. */
  get acceptedTotal(): number {
    return this.#passedTotal + this.#queue.stats.acceptedTotal;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const { isReady, inner, name } = this.#params;
    // Nobody overtakes those who wait; but with nobody waiting a request must not cost a place in the queue.
    if (this.#queue.length === 0 && isReady()) {
      this.#passedTotal++;
      return inner.call(head, last, response);
    }
    const pending = new PendingExchange(head, last, response);
    const place = this.#queue.submit(new WaitingRequest(pending, inner, name));
    if (place !== undefined) pending.onCanceled = () => place.cancel();
    return pending;
  }

  /** To be called whenever the inner service became ready. */
  onReady(): void {
    this.#queue.onReady();
  }

  close(): void {
    this.#queue.close();
  }
}

class WaitingRequest implements Dispatchable {
  readonly #pending: PendingExchange;
  readonly #inner: HttpService;
  readonly #name: string;

  constructor(pending: PendingExchange, inner: HttpService, name: string) {
    this.#pending = pending;
    this.#inner = inner;
    this.#name = name;
  }

  dispatch(): void {
    this.#pending.start(this.#inner);
  }

  refuse(reason: Refusal): void {
    this.#pending.fail(refusal(reason, this.#name));
  }
}

const REFUSALS: Record<Refusal, readonly [ErrorCode, string]> = {
  failfast: ["failfast", "service in fail-fast"],
  loadshed: ["loadshed", "service unavailable"],
  closed: ["pool_failed", "service closed"],
};

/** What a request or connection is told that a queue does not take. */
export function refusal(reason: Refusal, name: string): ProxyError {
  const [code, text] = REFUSALS[reason];
  return new ProxyError(code, `${name}: ${text}`, { side: "proxy" });
}
