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
import type { Clock } from "../../time/clock.ts";
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
  readonly #queue: QueuedService;
  readonly #onClose: () => void;
  #failure: ProxyError | undefined = undefined;

  constructor(params: BalancerParams) {
    const { clock, queueCapacity, failfastTimeoutMs, name } = params;
    this.#onClose = params.onClose;
    this.#queue = new QueuedService({
      clock,
      capacity: queueCapacity,
      failfastTimeoutMs,
      name,
      isReady: () => this.#pool.readyCount > 0,
      inner: { call: (head, last, response) => this.#send(head, last, response, clock.nowMs()) },
    });
    this.#pool = new EndpointPool(params.makeEndpoint, params.random, () => this.#queue.onReady());
  }

  get available(): boolean {
    return this.#queue.available;
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
    if (this.#failure === undefined) return this.#queue.call(head, last, response);
    response.reset(this.#failure);
    return new DiscardSink(response);
  }

  close(): void {
    this.#onClose();
    this.#queue.close();
    this.#pool.close();
  }

  #send(head: RequestHead, last: boolean, response: ResponseSink, nowMs: number): Sink {
    const endpoint = this.#pool.pick(nowMs);
    if (endpoint !== undefined) return endpoint.call(head, last, response);
    response.reset(new ProxyError("loadshed", "no endpoint is ready", { side: "proxy" }));
    return new DiscardSink(response);
  }
}
