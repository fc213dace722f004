import { ProxyError } from "../errors/proxy-error.ts";
import { L5D_PROXY_CONNECTION, L5D_PROXY_ERROR } from "../headers.ts";
import { CountedExchange, type EndpointMetrics } from "../http/endpoint-metrics.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import type { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import { headerName, removeFields } from "../wire/header-field.ts";

/**
 * What surrounds each request to the application: it is counted, there are at most so many at once, and the application
 * cannot speak to the peer proxy in the name of this one.
 */
export class ApplicationService implements HttpService {
  readonly #metrics: EndpointMetrics;
  readonly #inFlight: ConcurrencyLimit;
  readonly #inner: HttpService;

  /** @param inFlight shared by all applications; a request leaves it when its response begins. */
  constructor(metrics: EndpointMetrics, inFlight: ConcurrencyLimit, inner: HttpService) {
    this.#metrics = metrics;
    this.#inFlight = inFlight;
    this.#inner = inner;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#inFlight.tryAcquire()) {
      return new ApplicationExchange(this.#metrics, this.#inFlight, head, response).start(
        this.#inner,
        head,
        last,
      );
    }
    response.reset(new ProxyError("loadshed", "too many requests in flight", { side: "proxy" }));
    return new DiscardSink(response);
  }
}

class ApplicationExchange extends CountedExchange {
  readonly #inFlight: ConcurrencyLimit;
  #holdsPlace = true;

  constructor(
    metrics: EndpointMetrics,
    inFlight: ConcurrencyLimit,
    head: RequestHead,
    response: ResponseSink,
  ) {
    super(metrics, head, response);
    this.#inFlight = inFlight;
  }

  protected override onHead(head: ResponseHead): void {
    this.#leave();
    super.onHead(head);
    // The peer acts on these, so only a proxy may set them.
    removeFields(head.fields, PROXY_ERROR);
    removeFields(head.fields, PROXY_CONNECTION);
  }

  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    this.#leave();
    super.onEnd(error, canceled);
  }

  #leave(): void {
    if (!this.#holdsPlace) return;
    this.#holdsPlace = false;
    this.#inFlight.release();
  }
}

const PROXY_ERROR = headerName(L5D_PROXY_ERROR);
const PROXY_CONNECTION = headerName(L5D_PROXY_CONNECTION);
