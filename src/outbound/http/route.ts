import { Distributor, type Weighted } from "../../balance/distribution.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import { grpcCodeOf } from "../../http/grpc-code.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import { ObservedExchange, ObservedRequest } from "../../http/observed-exchange.ts";
import { PassingResponse } from "../../http/passing-response.ts";
import { tooManyInFlight } from "../../http/too-many-in-flight.ts";
import { applyRequestFilters, applyResponseFilters, changesResponse } from "../../policy/apply-filters.ts";
import type { Distribution, FailureAccrual, RouteBackend } from "../../policy/client-policy.ts";
import type { Filter } from "../../policy/filter.ts";
import { formatMeta, type Meta } from "../../policy/meta.ts";
import type { ConcurrencyLimit, Place } from "../../stack/concurrency-limit.ts";
import type { Clock } from "../../time/clock.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import type { BackendCache } from "../backend-cache.ts";
import type { HttpBackend } from "./backend.ts";
import { breakerPolicy } from "./breaker.ts";
import { needsExtensions, RequestExtensions, type RetriedRule } from "./request-extensions.ts";
import { BackendExchange, type RouteBackendMetrics } from "./route-backend-metrics.ts";
import type { RouteMetrics, RouteMetricsFactory } from "./route-metrics.ts";

/** What all routes of a proxy share. */
export interface RouteStackContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly metrics: RouteMetricsFactory;
  /** Requests of the whole proxy that wait for response headers (LIM-23). */
  readonly inFlight: ConcurrencyLimit;
}

/** The route that a stack is built for. */
export interface RouteTarget {
  /** What the application addressed, for messages. */
  readonly logical: string;
  readonly parent: Meta;
  readonly route: Meta;
  readonly rule: RetriedRule;
  readonly prefixLength: number | undefined;
  readonly isGrpc: boolean;
  readonly failureAccrual: FailureAccrual | undefined;
}

/**
 * One rule of a route: metrics; timeouts and retries, where it has any; then for each attempt its filters, and one of its
 * backends.
 *
 * Retries are outside of the filters, so that each attempt starts from the request as it came, and inside of the metrics of
 * the route, which count the requests of the application. Those of a backend are inside and count attempts.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route.rs.
 */
export class RouteStack implements HttpService {
  readonly #prefix: string;
  readonly #filters: readonly Filter[];
  readonly #answer: FilterAnswer;
  readonly #random: () => number;
  readonly #distributor: Distributor<Arm>;
  readonly #metrics: RouteMetrics;
  readonly #backendMetrics: readonly RouteBackendMetrics[];
  readonly #inFlight: ConcurrencyLimit;
  readonly #send: HttpService;

  constructor(target: RouteTarget, backends: BackendCache<HttpBackend>, context: RouteStackContext) {
    this.#prefix = `logical service ${target.logical}: route ${formatMeta(target.route)}`;
    this.#filters = target.rule.filters;
    this.#answer = filterAnswer(target.prefixLength, context.random);
    this.#random = context.random;
    const arms = armsOf(target, backends, context.metrics, this.#answer);
    this.#backendMetrics = arms.map(({ item }) => item.metrics);
    this.#distributor = distributor(target.rule.distribution.kind, arms);
    this.#metrics = context.metrics.forRoute(target.parent, target.route, target.isGrpc);
    this.#inFlight = context.inFlight;
    const attempts: HttpService = {
      call: (head, last, response) => this.#dispatch(head, last, response),
    };
    this.#send = needsExtensions(target.rule)
      ? new RequestExtensions(target.rule, {
          attempts,
          clock: context.clock,
          random: context.random,
          metrics: this.#metrics,
        })
      : attempts;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    const place = this.#inFlight.enter();
    const exchange = new RoutedExchange(this.#metrics, this.#prefix, place, head, last, response);
    if (place !== undefined) return exchange.start(this.#send, head, last);
    exchange.reset(tooManyInFlight());
    return new DiscardSink(response);
  }

  close(): void {
    this.#metrics.close();
    for (const metrics of this.#backendMetrics) metrics.close();
  }

  #dispatch(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#filters.length > 0) {
      const answered = this.#answer(this.#filters, head, response);
      if (answered !== undefined) return answered;
    }
    const arm = this.#distributor.pick(isAvailable, this.#random);
    if (arm === undefined) {
      response.reset(new ProxyError("loadshed", "service unavailable", { side: "proxy" }));
      return new DiscardSink(response);
    }
    const { metrics } = arm;
    metrics.countRequest();
    if (!(response instanceof RoutedExchange)) {
      return new BackendExchange(metrics, response).start(arm, head, last);
    }
    // There is no other attempt, so the exchange of the route is that of the backend as well.
    response.backend = metrics;
    return arm.call(head, last, response);
  }
}

/** One backend of a rule, behind its own filters. */
class Arm implements HttpService {
  readonly backend: HttpBackend;
  readonly metrics: RouteBackendMetrics;
  readonly #filters: readonly Filter[];
  readonly #routeFilters: readonly Filter[];
  readonly #answer: FilterAnswer;

  constructor(
    backend: HttpBackend,
    metrics: RouteBackendMetrics,
    filters: readonly Filter[],
    routeFilters: readonly Filter[],
    answer: FilterAnswer,
  ) {
    this.backend = backend;
    this.metrics = metrics;
    this.#filters = filters;
    this.#routeFilters = routeFilters;
    this.#answer = answer;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    if (this.#filters.length > 0) {
      const answered = this.#answer(this.#filters, head, response);
      if (answered !== undefined) return answered;
    }
    // A response meets the filters on its way back: first those of the backend, then those of the route.
    let inner = response;
    if (changesResponse(this.#routeFilters)) inner = new ResponseFilterSink(this.#routeFilters, inner);
    if (changesResponse(this.#filters)) inner = new ResponseFilterSink(this.#filters, inner);
    return this.backend.call(head, last, inner);
  }
}

/** Applies filters; a request that one of them answers goes no further, and its rest is for the sink that comes back. */
type FilterAnswer = (
  filters: readonly Filter[],
  head: RequestHead,
  response: ResponseSink,
) => Sink | undefined;

function filterAnswer(prefixLength: number | undefined, random: () => number): FilterAnswer {
  return (filters, head, response) => {
    const error = applyRequestFilters(filters, head, prefixLength, random);
    if (error === undefined) return undefined;
    response.reset(error);
    return new DiscardSink(response);
  };
}

function isAvailable(arm: Arm): boolean {
  return arm.backend.available;
}

/** The backends of a rule, each with its weight: 1 where weights do not matter. */
function armsOf(
  target: RouteTarget,
  backends: BackendCache<HttpBackend>,
  metrics: RouteMetricsFactory,
  answer: FilterAnswer,
): Weighted<Arm>[] {
  const { parent, route, rule, isGrpc } = target;
  const { distribution } = rule;
  const breaker = breakerPolicy(target);
  const arm = ({ backend, filters }: RouteBackend): Arm =>
    new Arm(
      backends.get(backend, breaker),
      metrics.forBackend(parent, route, backend.meta, isGrpc),
      filters,
      rule.filters,
      answer,
    );
  switch (distribution.kind) {
    case "empty":
      return [];
    case "first_available":
      return distribution.backends.map((b) => ({ item: arm(b), weight: 1 }));
    case "random_available":
      return distribution.backends.map((b) => ({ item: arm(b), weight: b.weight }));
    default:
      return distribution satisfies never;
  }
}

function distributor(kind: Distribution["kind"], arms: readonly Weighted<Arm>[]): Distributor<Arm> {
  return new Distributor(kind === "empty" ? "first_available" : kind, arms);
}

/** Measures an exchange for its route, and names the route in what goes wrong within. */
class RoutedExchange extends ObservedExchange {
  /** Where it was sent, if it cannot be sent again and is measured for that as well. */
  backend: RouteBackendMetrics | undefined = undefined;
  readonly #metrics: RouteMetrics;
  readonly #prefix: string;
  /** Held until its response begins; undefined if it may not go on. */
  readonly #place: Place | undefined;
  readonly #startedAtMs: number;
  #requestEndedAtMs: number | undefined;
  #status = 0;
  #grpcCode: number | undefined = undefined;

  constructor(
    metrics: RouteMetrics,
    prefix: string,
    place: Place | undefined,
    head: RequestHead,
    last: boolean,
    response: ResponseSink,
  ) {
    super(response);
    this.#metrics = metrics;
    this.#prefix = prefix;
    this.#place = place;
    this.#startedAtMs = head.startedAtMs;
    this.#requestEndedAtMs = last ? head.startedAtMs : undefined;
  }

  override reset(error: ProxyError): void {
    // What a filter answers is told to the client word for word.
    const verbatim = error.code === "redirected" || error.code === "injected_failure";
    super.reset(verbatim ? error : error.within(this.#prefix));
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.backend?.observeFrame(end - start);
    super.data(buffer, start, end, last);
  }

  protected override observe(request: Sink): Sink {
    return new RoutedRequest(this.#metrics, this, request);
  }

  override onRequestEnd(): void {
    this.#requestEndedAtMs ??= this.#metrics.nowMs();
  }
  protected override onHead(head: ResponseHead): void {
    this.#place?.leave();
    this.#status = head.status;
    if (this.#metrics.isGrpc) this.#grpcCode = grpcCodeOf(head.fields);
  }
  protected override onFirstByte(): void {}
  protected override onTrailers(fields: readonly HeaderField[]): void {
    if (this.#metrics.isGrpc) this.#grpcCode = grpcCodeOf(fields) ?? this.#grpcCode;
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    this.#place?.leave();
    const metrics = this.#metrics;
    const nowMs = metrics.nowMs();
    metrics.observeDuration(nowMs - this.#startedAtMs);
    metrics.outcomes.count(this.#status, this.#grpcCode, error, canceled);
    const { backend } = this;
    if (backend === undefined) return;
    backend.observeDuration(this.#requestEndedAtMs, nowMs);
    backend.outcomes.count(this.#status, this.#grpcCode, error, canceled);
  }
}

/** Measures the body of a request for its route, once however often it is sent. */
class RoutedRequest extends ObservedRequest {
  readonly #metrics: RouteMetrics;

  constructor(metrics: RouteMetrics, exchange: RoutedExchange, request: Sink) {
    super(exchange, request);
    this.#metrics = metrics;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#metrics.observeFrame(end - start);
    super.data(buffer, start, end, last);
  }
}

/** Applies response header modifiers on the way back. */
class ResponseFilterSink extends PassingResponse {
  readonly #filters: readonly Filter[];

  constructor(filters: readonly Filter[], response: ResponseSink) {
    super(response);
    this.#filters = filters;
  }

  override head(head: ResponseHead, last: boolean): void {
    applyResponseFilters(this.#filters, head.fields);
    this.response.head(head, last);
  }
}
