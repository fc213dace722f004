import type { EndpointListener } from "../../control/control-plane.ts";
import { ProxyError, type ErrorCode } from "../../errors/proxy-error.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../../http/message.ts";
import { PendingExchange } from "../../http/pending-exchange.ts";
import type { EndpointUpdate } from "../../policy/endpoint.ts";
import { DispatchQueue, type Dispatchable, type Refusal } from "../../stack/dispatch-queue.ts";
import type { Clock } from "../../time/clock.ts";
import { EndpointPool, type PooledEndpoint } from "../endpoint-pool.ts";
import type { HttpBackend } from "./backend-cache.ts";

/** An endpoint that takes HTTP requests. */
export interface HttpEndpoint extends PooledEndpoint, HttpService {}

export interface BalancerParams {
  readonly clock: Clock;
  readonly random: () => number;
  readonly queueCapacity: number;
  readonly failfastTimeoutMs: number;
  /** `Service.shop.web:80`, for messages. */
  readonly name: string;
  readonly makeEndpoint: ConstructorParameters<typeof EndpointPool<HttpEndpoint>>[0];
  /** Ends the resolution that feeds it. */
  readonly onClose: () => void;
}

/**
 * Sends each request to one of the endpoints of a backend. While none is ready, requests wait; when the wait is too
 * long they fail, and later ones at once, until an endpoint is ready again.
 *
 * A backend of one fixed endpoint is a balancer whose set never changes.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/concrete/balance.rs.
 */
export class HttpBalancer implements HttpBackend, EndpointListener {
  readonly #pool: EndpointPool<HttpEndpoint>;
  readonly #queue: DispatchQueue;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #onClose: () => void;
  #failure: ProxyError | undefined = undefined;

  constructor(params: BalancerParams) {
    this.#onClose = params.onClose;
    this.#clock = params.clock;
    this.#name = params.name;
    this.#queue = new DispatchQueue({
      capacity: params.queueCapacity,
      failfastTimeoutMs: params.failfastTimeoutMs,
      clock: params.clock,
      isReady: () => this.#pool.readyCount > 0,
    });
    this.#pool = new EndpointPool(params.makeEndpoint, params.random, () => this.#queue.onReady());
  }

  get available(): boolean {
    return this.#queue.isAvailable();
  }

  update(update: EndpointUpdate): void {
    this.#failure = undefined;
    this.#pool.apply(update);
  }

  /** The resolution is over for good: requests fail until this balancer is built anew. */
  failed(error: ProxyError): void {
    this.#failure = error;
    this.#pool.apply({ kind: "reset", endpoints: [] });
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    // Nobody overtakes those who wait; but with nobody waiting a request must not cost a place in the queue.
    const endpoint = this.#queue.length === 0 ? this.#pool.pick(this.#clock.nowMs()) : undefined;
    if (endpoint !== undefined) return endpoint.call(head, last, response);
    const pending = new PendingExchange(head, last, response);
    if (this.#failure !== undefined) {
      pending.fail(this.#failure);
      return pending;
    }
    const place = this.#queue.submit(new WaitingRequest(pending, this.#pool, this.#clock, this.#name));
    if (place !== undefined) pending.onCanceled = () => place.cancel();
    return pending;
  }

  close(): void {
    this.#onClose();
    this.#queue.close();
    this.#pool.close();
  }
}

class WaitingRequest implements Dispatchable {
  readonly #pending: PendingExchange;
  readonly #pool: EndpointPool<HttpEndpoint>;
  readonly #clock: Clock;
  readonly #name: string;

  constructor(pending: PendingExchange, pool: EndpointPool<HttpEndpoint>, clock: Clock, name: string) {
    this.#pending = pending;
    this.#pool = pool;
    this.#clock = clock;
    this.#name = name;
  }

  dispatch(): void {
    const endpoint = this.#pool.pick(this.#clock.nowMs());
    if (endpoint === undefined) this.refuse("failfast");
    else this.#pending.start(endpoint);
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

/** What a request is told that a queue does not take. */
export function refusal(reason: Refusal, name: string): ProxyError {
  const [code, text] = REFUSALS[reason];
  return new ProxyError(code, `${name}: ${text}`, { side: "proxy" });
}
