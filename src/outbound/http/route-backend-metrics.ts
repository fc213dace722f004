import type { ProxyError } from "../../errors/proxy-error.ts";
import { grpcCodeOf } from "../../http/grpc-code.ts";
import type { ResponseHead, ResponseSink } from "../../http/message.ts";
import { ObservedExchange } from "../../http/observed-exchange.ts";
import type { RouteBackendFamilies } from "../../metrics/families.ts";
import type { Counter, Histogram, Labels } from "../../metrics/registry.ts";
import type { HeaderField } from "../../wire/header-field.ts";
import { OutcomeCounters } from "./outcome-counters.ts";

const MS_PER_SECOND = 1000;

/**
 * Counts what a route sends to one of its backends, attempt by attempt:
 * `outbound_{http,grpc}_route_backend_{requests_total,response_*}`.
 *
 * A request counts once its backend is chosen, even if a filter of that backend then answers it. The time of a response runs
 * from the end of the request; of one that ended before its request did, it is 0.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/policy/route/backend/metrics.rs.
 */
export class RouteBackendMetrics {
  readonly isGrpc: boolean;
  readonly nowMs: () => number;
  readonly outcomes: OutcomeCounters;
  readonly #families: RouteBackendFamilies;
  readonly #labels: Labels;
  readonly #requests: Counter;
  readonly #duration: Histogram;
  readonly #frames: Histogram;

  constructor(families: RouteBackendFamilies, labels: Labels, isGrpc: boolean, nowMs: () => number) {
    this.isGrpc = isGrpc;
    this.nowMs = nowMs;
    this.#families = families;
    this.#labels = labels;
    this.#requests = families.requestsTotal.cell(labels);
    this.#duration = families.responseDurationSeconds.cell(labels);
    this.#frames = families.responseFrameSizeBytes.cell(labels);
    this.outcomes = new OutcomeCounters(families.responseStatusesTotal, labels, isGrpc);
  }

  countRequest(): void {
    this.#requests.value++;
  }

  observeFrame(bytes: number): void {
    this.#frames.observe(bytes);
  }

  /** @param requestEndedAtMs undefined if the request was not complete. */
  observeDuration(requestEndedAtMs: number | undefined, nowMs: number): void {
    this.#duration.observe(requestEndedAtMs === undefined ? 0 : (nowMs - requestEndedAtMs) / MS_PER_SECOND);
  }

  /** Exchanges that are still under way go on being counted. */
  close(): void {
    const { requestsTotal, responseDurationSeconds, responseFrameSizeBytes } = this.#families;
    requestsTotal.release(this.#labels);
    responseDurationSeconds.release(this.#labels);
    responseFrameSizeBytes.release(this.#labels);
    this.outcomes.close();
  }
}

/**
 * One attempt at a request, counted for its backend. Only requests that may be attempted again need it: others are counted
 * by the exchange of their route, which sees the same events.
 */
export class BackendExchange extends ObservedExchange {
  readonly #metrics: RouteBackendMetrics;
  #requestEndedAtMs: number | undefined = undefined;
  #status = 0;
  #grpcCode: number | undefined = undefined;

  constructor(metrics: RouteBackendMetrics, response: ResponseSink) {
    super(response);
    this.#metrics = metrics;
  }

  override data(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#metrics.observeFrame(end - start);
    super.data(buffer, start, end, last);
  }

  override onRequestEnd(): void {
    this.#requestEndedAtMs = this.#metrics.nowMs();
  }
  protected override onHead(head: ResponseHead): void {
    this.#status = head.status;
    if (this.#metrics.isGrpc) this.#grpcCode = grpcCodeOf(head.fields);
  }
  protected override onFirstByte(): void {}
  protected override onTrailers(fields: readonly HeaderField[]): void {
    if (this.#metrics.isGrpc) this.#grpcCode = grpcCodeOf(fields) ?? this.#grpcCode;
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    const metrics = this.#metrics;
    metrics.observeDuration(this.#requestEndedAtMs, metrics.nowMs());
    metrics.outcomes.count(this.#status, this.#grpcCode, error, canceled);
  }
}
