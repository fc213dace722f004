import type { ProxyError, ErrorCode } from "../errors/proxy-error.ts";
import { L5D_PROXY_CONNECTION, L5D_PROXY_ERROR } from "../headers.ts";
import { CountedExchange, type EndpointMetrics } from "../http/endpoint-metrics.ts";
import { grpcCodeOf } from "../http/grpc-code.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../http/message.ts";
import { ObservedRequest } from "../http/observed-exchange.ts";
import { isGrpcRequest } from "../http/respond.ts";
import { tooManyInFlight } from "../http/too-many-in-flight.ts";
import type { ConcurrencyLimit, Place } from "../stack/concurrency-limit.ts";
import { headerName, removeFields, type HeaderField } from "../wire/header-field.ts";
import { SAID_BY_PROXIES } from "./client-headers.ts";
import { unreachableAs } from "./rescue.ts";
import type { InboundRequestMetrics } from "./request-metrics.ts";

/**
 * What surrounds each request to the application: it is counted, there are at most so many at once, and the application
 * cannot speak to the peer proxy in the name of this one.
 */
export class ApplicationService implements HttpService {
  readonly #metrics: EndpointMetrics;
  readonly #requests: InboundRequestMetrics | undefined;
  readonly #inFlight: ConcurrencyLimit;
  readonly #inner: HttpService;

  /**
   * @param requests undefined for services that are no application.
   * @param inFlight shared by all applications; a request leaves it when its response begins.
   * @param inner counts what it sends: `CountDispatched`.
   */
  constructor(
    metrics: EndpointMetrics,
    requests: InboundRequestMetrics | undefined,
    inFlight: ConcurrencyLimit,
    inner: HttpService,
  ) {
    this.#metrics = metrics;
    this.#requests = requests;
    this.#inFlight = inFlight;
    this.#inner = inner;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const place = this.#inFlight.enter();
    if (place === undefined) {
      response.reset(tooManyInFlight());
      return new DiscardSink(response);
    }
    const exchange = new ApplicationExchange(this.#metrics, this.#requests, place, head, response);
    return exchange.start(this.#inner, head, last);
  }
}

/** Counts requests where they are sent: below the queue, because what dies there never reached the application. */
export class CountDispatched implements HttpService {
  readonly #metrics: EndpointMetrics;
  readonly #inner: HttpService;

  constructor(metrics: EndpointMetrics, inner: HttpService) {
    this.#metrics = metrics;
    this.#inner = inner;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    this.#metrics.countRequest();
    return this.#inner.call(head, last, response);
  }
}

/** What the queue says: the request was not sent. */
const NOT_SENT: ReadonlySet<ErrorCode> = new Set(["failfast", "loadshed", "pool_failed"]);

/** How a request ends that the application did not answer. */
const Unanswered = {
  /** It was answered, or its client left. */
  no: 0,
  /** Its failure is a response to the client, and counts as one. */
  rescued: 1,
  /** It was never sent. */
  notSent: 2,
} as const;
type Unanswered = (typeof Unanswered)[keyof typeof Unanswered];

class ApplicationExchange extends CountedExchange {
  readonly #requests: InboundRequestMetrics | undefined;
  readonly #place: Place;
  readonly #isGrpcHttp2: boolean;
  #unanswered: Unanswered = Unanswered.no;
  #requestEndedAtMs: number | undefined = undefined;
  /** Of the trailers, which have the last word. */
  #lastGrpcCode: number | undefined = undefined;

  constructor(
    metrics: EndpointMetrics,
    requests: InboundRequestMetrics | undefined,
    place: Place,
    head: RequestHead,
    response: ResponseSink,
  ) {
    super(metrics, head, response);
    this.#requests = requests;
    this.#place = place;
    this.#isGrpcHttp2 = this.isGrpc && isGrpcRequest(head);
    if (requests !== undefined) requests.requests.value++;
  }

  protected override observe(request: Sink): Sink {
    if (this.#requests === undefined) return super.observe(request);
    return new ApplicationRequest(this.#requests, this, request);
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#requests?.observeResponseFrame(end - start);
    super.data(buffer, start, end, last);
  }

  /** Failures to reach the application are responses to its client, and count as such (see `rescue.ts`). */
  override reset(error: ProxyError): void {
    if (this.status === 0) {
      const answer = unreachableAs(error.code);
      if (answer !== undefined) {
        this.#unanswered = Unanswered.rescued;
        this.status = this.#isGrpcHttp2 ? 200 : answer.status;
        if (this.isGrpc) this.grpcCode = answer.grpcStatus;
      } else if (NOT_SENT.has(error.code)) {
        this.#unanswered = Unanswered.notSent;
      }
    }
    super.reset(error);
  }

  override onRequestEnd(): void {
    this.#requestEndedAtMs ??= this.metrics.nowMs();
  }

  protected override onHead(head: ResponseHead): void {
    this.#place.leave();
    super.onHead(head);
    // The peer acts on these, so only a proxy may set them.
    removeFields(head.fields, PROXY_ERROR);
    removeFields(head.fields, PROXY_CONNECTION);
  }

  protected override onFirstByte(): void {
    if (this.#unanswered !== Unanswered.notSent) super.onFirstByte();
  }

  protected override onTrailers(fields: readonly HeaderField[]): void {
    super.onTrailers(fields);
    if (this.#requests?.isGrpc === true) this.#lastGrpcCode = grpcCodeOf(fields);
  }

  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    this.#place.leave();
    if (this.#requests !== undefined) this.#countEnd(this.#requests, canceled);
    if (this.#unanswered === Unanswered.notSent) return;
    super.onEnd(this.#unanswered === Unanswered.rescued ? undefined : error, canceled);
  }

  #countEnd(requests: InboundRequestMetrics, canceled: boolean): void {
    // A client that leaves before there is a response leaves nothing to count.
    if (canceled && this.status === 0) return;
    const nowMs = this.metrics.nowMs();
    const endedAtMs = this.#requestEndedAtMs ?? nowMs;
    const code = requests.isGrpc ? (this.#lastGrpcCode ?? this.grpcCode) : this.status || undefined;
    requests.countEnd(code, nowMs - this.startedAtMs, nowMs - endedAtMs);
  }
}

/** Measures the body of a request, and lets nobody say in trailers what only proxies say in heads. */
class ApplicationRequest extends ObservedRequest {
  readonly #requests: InboundRequestMetrics;

  constructor(requests: InboundRequestMetrics, exchange: ApplicationExchange, request: Sink) {
    super(exchange, request);
    this.#requests = requests;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#requests.observeRequestFrame(end - start);
    super.data(buffer, start, end, last);
  }
  override trailers(fields: HeaderField[]): void {
    for (const name of SAID_BY_PROXIES) removeFields(fields, name);
    super.trailers(fields);
  }
}

const PROXY_ERROR = headerName(L5D_PROXY_ERROR);
const PROXY_CONNECTION = headerName(L5D_PROXY_CONNECTION);
