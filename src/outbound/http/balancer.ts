import type { EndpointListener } from "../../control/control-plane.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import { QueuedService } from "../../http/queued-service.ts";
import type { EndpointUpdate } from "../../policy/endpoint.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import type { BalancerMetrics } from "../balancer-metrics.ts";
import { EndpointPool, type PooledEndpoint } from "../endpoint-pool.ts";
import type { HttpBackend } from "./backend.ts";

/** An endpoint that takes HTTP requests. */
export interface HttpEndpoint extends PooledEndpoint, HttpService {}

export interface BalancerParams {
  readonly clock: Clock;
  readonly random: () => number;
  readonly queueCapacity: number;
  readonly failfastTimeoutMs: number;
  /** `backend Service.shop.web:80`, for messages. */
  readonly name: string;
  readonly makeEndpoint: ConstructorParameters<typeof EndpointPool<HttpEndpoint>>[0];
  /** Undefined for a single endpoint, which is nothing that is balanced. */
  readonly metrics?: BalancerMetrics | undefined;
  /** Ends the resolution that feeds it. */
  readonly onClose: () => void;
}

/**
 * Sends each request to one of the endpoints of a backend. While none is ready, requests wait; when the wait is too
 * long they fail, and later ones at once, until an endpoint is ready again. An endpoint is ready when it is connected (or
 * connects per request) and its circuit breaker admits a request: when all breakers are shut, it is as if none were there.
 *
 * A backend of one fixed endpoint is a balancer whose set never changes.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/concrete/balance.rs.
 */
export class HttpBalancer implements HttpBackend, EndpointListener {
  readonly #pool: EndpointPool<HttpEndpoint>;
  readonly #queue: QueuedService;
  readonly #params: BalancerParams;
  #closing: Timer | undefined = undefined;
  #closed = false;
  #failure: ProxyError | undefined = undefined;

  constructor(params: BalancerParams) {
    const { clock, queueCapacity, failfastTimeoutMs, name, metrics } = params;
    this.#params = params;
    this.#queue = new QueuedService({
      clock,
      capacity: queueCapacity,
      failfastTimeoutMs,
      name,
      // Once the resolution has failed there is nothing to wait for, and an answer for all.
      isReady: () => this.#pool.readyCount > 0 || this.#failure !== undefined,
      inner: { call: (head, last, response) => this.#send(head, last, response, clock.nowMs()) },
      observer: metrics,
    });
    this.#pool = new EndpointPool(params.makeEndpoint, params.random, () => this.#queue.onReady());
    metrics?.measure(this.#pool, this.#queue);
  }

  get available(): boolean {
    return this.#queue.available;
  }

  update(update: EndpointUpdate): void {
    this.#failure = undefined;
    this.#params.metrics?.countUpdate(update.kind);
    this.#pool.apply(update);
  }

  /** The resolution is over for good: requests fail, also those that wait, until this balancer is built anew. */
  failed(error: ProxyError): void {
    this.#failure = error.within(`${this.#params.name}: pool failed`);
    this.#pool.apply({ kind: "reset", endpoints: [] });
    this.#queue.onReady();
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    return this.#queue.call(head, last, response);
  }

  /**
   * Ends new use. Requests that wait are no less under way than those that were sent: they still get an endpoint, or wait
   * in vain as they would have.
   */
  close(): void {
    if (this.#closed || this.#closing !== undefined) return;
    if (this.#queue.waiting === 0) this.#closeNow();
    else this.#closeLater();
  }

  /** Nobody waits longer than failfast allows, unless others are served meanwhile; then the look is repeated. */
  #closeLater(): void {
    const { clock, failfastTimeoutMs } = this.#params;
    this.#closing = clock.after(failfastTimeoutMs, () => {
      if (this.#queue.waiting === 0) this.#closeNow();
      else this.#closeLater();
    });
  }

  #closeNow(): void {
    this.#closed = true;
    this.#params.onClose();
    this.#queue.close();
    this.#params.metrics?.close();
    this.#pool.close();
  }

  #send(head: RequestHead, last: boolean, response: ResponseSink, nowMs: number): Sink {
    if (this.#failure !== undefined) {
      response.reset(this.#failure);
      return new DiscardSink(response);
    }
    const endpoint = this.#pool.pick(nowMs);
    if (endpoint !== undefined) return endpoint.call(head, last, response);
    response.reset(new ProxyError("loadshed", "no endpoint is ready", { side: "proxy" }));
    return new DiscardSink(response);
  }
}
