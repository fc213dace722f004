import { Distributor, type Weighted } from "../../balance/distribution.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import {
  DiscardSink,
  type HttpService,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
  type Sink,
} from "../../http/message.ts";
import { ObservedExchange } from "../../http/observed-exchange.ts";
import { PassingResponse } from "../../http/passing-response.ts";
import { applyRequestFilters, applyResponseFilters, changesResponse } from "../../policy/apply-filters.ts";
import type { Distribution, FailureAccrual, RouteBackend } from "../../policy/client-policy.ts";
import type { Filter } from "../../policy/filter.ts";
import { formatMeta, type Meta } from "../../policy/meta.ts";
import type { ConcurrencyLimit } from "../../stack/concurrency-limit.ts";
import type { Clock } from "../../time/clock.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import type { BackendCache } from "../backend-cache.ts";
import type { HttpBackend } from "./backend.ts";
import { breakerPolicy, type BreakerPolicy } from "./breaker.ts";
import { needsExtensions, RequestExtensions, type RetriedRule } from "./request-extensions.ts";
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

interface Arm {
  readonly backend: HttpBackend;
  readonly filters: readonly Filter[];
}

/**
 * One rule of a route: metrics; timeouts and retries, where it has any; then for each attempt its filters, and one of its
 * backends.
 *
 * Retries are outside of the filters, so that each attempt starts from the request as it came, and inside of the metrics,
 * which count the requests of the application.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route.rs.
 */
export class RouteStack implements HttpService {
  readonly #target: RouteTarget;
  readonly #prefix: string;
  readonly #filters: readonly Filter[];
  readonly #random: () => number;
  readonly #distributor: Distributor<Arm>;
  readonly #metrics: RouteMetrics;
  readonly #inFlight: ConcurrencyLimit;
  readonly #send: HttpService;

  constructor(target: RouteTarget, backends: BackendCache<HttpBackend>, context: RouteStackContext) {
    this.#target = target;
    this.#prefix = `logical service ${target.logical}: route ${formatMeta(target.route)}`;
    this.#filters = target.rule.filters;
    this.#random = context.random;
    this.#distributor = distributor(target.rule.distribution, backends, breakerPolicy(target));
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
    const exchange = new RoutedExchange(this.#metrics, this.#prefix, this.#inFlight, head, response);
    if (exchange.admitted) return exchange.start(this.#send, head, last);
    exchange.reset(new ProxyError("loadshed", "too many requests in flight", { side: "proxy" }));
    return new DiscardSink(response);
  }

  close(): void {
    this.#metrics.close();
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
    const { backend, filters } = arm;
    if (filters.length > 0) {
      const answered = this.#answer(filters, head, response);
      if (answered !== undefined) return answered;
    }
    // A response meets the filters on its way back: first those of the backend, then those of the route.
    let inner = response;
    if (changesResponse(this.#filters)) inner = new ResponseFilterSink(this.#filters, inner);
    if (changesResponse(filters)) inner = new ResponseFilterSink(filters, inner);
    return backend.call(head, last, inner);
  }

  /** Applies filters; a request that one of them answers goes no further. */
  #answer(filters: readonly Filter[], head: RequestHead, response: ResponseSink): Sink | undefined {
    const error = applyRequestFilters(filters, head, this.#target.prefixLength, this.#random);
    if (error === undefined) return undefined;
    response.reset(error);
    return new DiscardSink(response);
  }
}

function isAvailable(arm: Arm): boolean {
  return arm.backend.available;
}

function distributor(
  distribution: Distribution,
  backends: BackendCache<HttpBackend>,
  breaker: BreakerPolicy | undefined,
): Distributor<Arm> {
  const arm = ({ backend, filters }: RouteBackend): Arm => ({
    backend: backends.get(backend, breaker),
    filters,
  });
  switch (distribution.kind) {
    case "empty":
      return new Distributor<Arm>("first_available", []);
    case "first_available": {
      const arms: Weighted<Arm>[] = distribution.backends.map((b) => ({ item: arm(b), weight: 1 }));
      return new Distributor("first_available", arms);
    }
    case "random_available": {
      const arms: Weighted<Arm>[] = distribution.backends.map((b) => ({ item: arm(b), weight: b.weight }));
      return new Distributor("random_available", arms);
    }
    default:
      return distribution satisfies never;
  }
}

/** Measures an exchange for its route, and names the route in what goes wrong within. */
class RoutedExchange extends ObservedExchange {
  readonly #metrics: RouteMetrics;
  readonly #prefix: string;
  readonly #inFlight: ConcurrencyLimit;
  readonly #startedAtMs: number;
  /** Whether it may go on; it then holds a place among the requests in flight until its response begins. */
  readonly admitted: boolean;
  #holdsPlace: boolean;
  #status = 0;
  #grpcStatus: string | undefined = undefined;

  constructor(
    metrics: RouteMetrics,
    prefix: string,
    inFlight: ConcurrencyLimit,
    head: RequestHead,
    response: ResponseSink,
  ) {
    super(response);
    this.#metrics = metrics;
    this.#prefix = prefix;
    this.#inFlight = inFlight;
    this.#startedAtMs = head.startedAtMs;
    this.admitted = inFlight.tryAcquire();
    this.#holdsPlace = this.admitted;
  }

  override reset(error: ProxyError): void {
    // What a filter answers is told to the client word for word.
    const verbatim = error.code === "redirected" || error.code === "injected_failure";
    super.reset(verbatim ? error : error.within(this.#prefix));
  }

  protected override onHead(head: ResponseHead): void {
    this.#leave();
    this.#status = head.status;
    if (this.#metrics.isGrpc) this.#grpcStatus = this.#metrics.grpcStatusOf(head.fields);
  }
  protected override onFirstByte(): void {}
  protected override onTrailers(fields: readonly HeaderField[]): void {
    if (this.#metrics.isGrpc) this.#grpcStatus = this.#metrics.grpcStatusOf(fields) ?? this.#grpcStatus;
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    this.#leave();
    this.#metrics.count(this.#startedAtMs, this.#status, this.#grpcStatus, error, canceled);
  }

  #leave(): void {
    if (!this.#holdsPlace) return;
    this.#holdsPlace = false;
    this.#inFlight.release();
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
