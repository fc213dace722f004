import type { Families, RouteFamilies } from "../../metrics/families.ts";
import { routeBackendLabels, routeLabels } from "../../metrics/labels.ts";
import type { Counter, Histogram, Labels } from "../../metrics/registry.ts";
import type { Meta } from "../../policy/meta.ts";
import { OutcomeCounters } from "./outcome-counters.ts";
import { RouteBackendMetrics } from "./route-backend-metrics.ts";

const MS_PER_SECOND = 1000;

/** Makes the metrics of routes and of their backends. */
export class RouteMetricsFactory {
  readonly #families: Families;
  readonly #nowMs: () => number;

  constructor(families: Families, nowMs: () => number) {
    this.#families = families;
    this.#nowMs = nowMs;
  }

  forRoute(parent: Meta, route: Meta, isGrpc: boolean): RouteMetrics {
    const families = isGrpc ? this.#families.outboundGrpcRoute : this.#families.outboundHttpRoute;
    return new RouteMetrics(families, routeLabels(parent, route, ""), isGrpc, this.#nowMs);
  }

  forBackend(parent: Meta, route: Meta, backend: Meta, isGrpc: boolean): RouteBackendMetrics {
    const families = isGrpc
      ? this.#families.outboundGrpcRouteBackend
      : this.#families.outboundHttpRouteBackend;
    return new RouteBackendMetrics(families, routeBackendLabels(parent, route, backend), isGrpc, this.#nowMs);
  }
}

/** `outbound_{http,grpc}_route_retry_*` of one route. */
export interface RetryCounters {
  /** Retries sent. */
  readonly requests: Counter;
  /** Retries whose response was passed on because it was not worth another. */
  readonly successes: Counter;
  /** Outcomes still worth a retry when all were used up. */
  readonly limitExceeded: Counter;
  /** Retries that found no backend ready. */
  readonly overflow: Counter;
}

/**
 * Counts the requests of one route: `outbound_{http,grpc}_route_request_*`, once per request of the application whatever
 * happened to it below.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/metrics.rs.
 */
export class RouteMetrics {
  readonly isGrpc: boolean;
  readonly nowMs: () => number;
  readonly outcomes: OutcomeCounters;
  readonly #families: RouteFamilies;
  readonly #labels: Labels;
  readonly #duration: Histogram;
  readonly #frames: Histogram;
  #retries: RetryCounters | undefined = undefined;
  #closed = false;

  constructor(families: RouteFamilies, labels: Labels, isGrpc: boolean, nowMs: () => number) {
    this.isGrpc = isGrpc;
    this.#families = families;
    this.#labels = labels;
    this.nowMs = nowMs;
    this.#duration = families.requestDurationSeconds.cell(labels);
    this.#frames = families.requestFrameSizeBytes.cell(labels);
    this.outcomes = new OutcomeCounters(families.requestStatusesTotal, labels, isGrpc);
  }

  observeDuration(ms: number): void {
    this.#duration.observe(ms / MS_PER_SECOND);
  }

  /** One piece of a request body as it passes: a frame, or the part of it that a read brought. */
  observeFrame(bytes: number): void {
    this.#frames.observe(bytes);
  }

  /** Made when first asked for: routes without retries show none. */
  get retries(): RetryCounters {
    if (this.#retries !== undefined) return this.#retries;
    const { retryRequestsTotal, retrySuccessesTotal, retryLimitExceededTotal, retryOverflowTotal } =
      this.#families;
    this.#retries = {
      requests: retryRequestsTotal.cell(this.#labels),
      successes: retrySuccessesTotal.cell(this.#labels),
      limitExceeded: retryLimitExceededTotal.cell(this.#labels),
      overflow: retryOverflowTotal.cell(this.#labels),
    };
    if (this.#closed) this.#releaseRetries();
    return this.#retries;
  }

  /** Requests that are still under way go on being counted. */
  close(): void {
    this.#closed = true;
    if (this.#retries !== undefined) this.#releaseRetries();
    this.#families.requestDurationSeconds.release(this.#labels);
    this.#families.requestFrameSizeBytes.release(this.#labels);
    this.outcomes.close();
  }

  #releaseRetries(): void {
    const { retryRequestsTotal, retrySuccessesTotal, retryLimitExceededTotal, retryOverflowTotal } =
      this.#families;
    for (const family of [
      retryRequestsTotal,
      retrySuccessesTotal,
      retryLimitExceededTotal,
      retryOverflowTotal,
    ])
      family.release(this.#labels);
  }
}
