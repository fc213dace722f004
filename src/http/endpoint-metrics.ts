import { classifyGrpc, GRPC_UNKNOWN } from "../classify/grpc.ts";
import { classifyHttp, type Classification } from "../classify/http.ts";
import type { ProxyError } from "../errors/proxy-error.ts";
import { GRPC_CONTENT_TYPE } from "../headers.ts";
import type { Families } from "../metrics/families.ts";
import { latencyLabels, responseLabels } from "../metrics/labels.ts";
import type { Counter, Family, Histogram, Labels } from "../metrics/registry.ts";
import { findField, headerName, type HeaderField } from "../wire/header-field.ts";
import { h2CodeName } from "../wire/http2/error-code.ts";
import { grpcCodeOf } from "./grpc-code.ts";
import type { RequestHead, ResponseHead, ResponseSink } from "./message.ts";
import { ObservedExchange } from "./observed-exchange.ts";

/**
 * Counts exchanges with one endpoint: `request_total`, `response_total`, `response_latency_ms`.
 *
 * Cells are asked for once per outcome and kept, so that a request costs additions. Latency runs to the first byte of
 * the response body, or to the end of a response that has none: that is what the model measures.
 *
 * Source: linkerd2-proxy, linkerd/http/metrics/src/requests/service.rs.
 */
export class EndpointMetrics {
  readonly #families: Families;
  readonly #labels: Labels;
  readonly nowMs: () => number;
  readonly #requests: Counter;
  /** By status, for responses that ended well and were no gRPC: almost all of them. */
  readonly #plain: (Counter | undefined)[] = [];
  /** By code, for gRPC responses of status 200 that ended well and with a code. */
  readonly #coded: (Counter | undefined)[] = [];
  readonly #others = new Map<string, Counter>();
  readonly #latency: (Histogram | undefined)[] = [];
  /** What to let go of on close. */
  readonly #held: { readonly family: Family<unknown>; readonly labels: Labels }[] = [];
  #closed = false;

  constructor(families: Families, labels: Labels, nowMs: () => number) {
    this.#families = families;
    this.#labels = labels;
    this.nowMs = nowMs;
    this.#requests = this.#hold(families.requestTotal, labels);
  }

  /** One request is sent to the endpoint. */
  countRequest(): void {
    this.#requests.value++;
  }

  /** Exchanges that are still under way go on being counted. */
  close(): void {
    this.#closed = true;
    for (const { family, labels } of this.#held) family.release(labels);
    this.#held.length = 0;
  }

  /** @param status 0 if there was no response head. */
  observeLatency(status: number, startedAtMs: number): void {
    let cell = this.#latency[status];
    if (cell === undefined) {
      const labels = latencyLabels(this.#labels, status === 0 ? undefined : status);
      cell = this.#hold(this.#families.responseLatencyMs, labels);
      this.#latency[status] = cell;
    }
    cell.observe(this.nowMs() - startedAtMs);
  }

  /**
   * @param grpcCode of `grpcCodeOf`; undefined where the exchange is no gRPC, or had no code.
   * @param error undefined where the response ended well.
   */
  countResponse(
    status: number,
    isGrpc: boolean,
    grpcCode: number | undefined,
    error: ProxyError | undefined,
  ): void {
    if (error === undefined && !isGrpc) {
      const cell = (this.#plain[status] ??= this.#response(status, classifyHttp(status), "", ""));
      cell.value++;
      return;
    }
    if (error === undefined && status === 200 && grpcCode !== undefined) {
      const cell = (this.#coded[grpcCode] ??= this.#response(
        status,
        classifyGrpc(grpcCode),
        String(grpcCode),
        "",
      ));
      cell.value++;
      return;
    }
    const errorText = error === undefined ? "" : errorLabel(error);
    // A gRPC response that ended without a code is shown as UNKNOWN, yet is a success, as when the client left early.
    const isOpen = isGrpc && grpcCode === undefined && error === undefined;
    const shown = isOpen ? String(GRPC_UNKNOWN) : grpcCode === undefined ? "" : String(grpcCode);
    const classification = error === undefined ? classifyGrpc(grpcCode) : "failure";
    const key = `${status} ${classification} ${shown} ${errorText}`;
    let cell = this.#others.get(key);
    if (cell === undefined) {
      cell = this.#response(status, classification, shown, errorText);
      this.#others.set(key, cell);
    }
    cell.value++;
  }

  /** @param status 0 if there was no response head. */
  #response(status: number, classification: Classification, grpcStatus: string, error: string): Counter {
    const known = status === 0 ? undefined : status;
    const labels = responseLabels(this.#labels, { status: known, classification, grpcStatus, error });
    return this.#hold(this.#families.responseTotal, labels);
  }

  #hold<Cell>(family: Family<Cell>, labels: Labels): Cell {
    const cell = family.cell(labels);
    // Nobody will close it again: the series lives on for its retention only.
    if (this.#closed) family.release(labels);
    else this.#held.push({ family, labels });
    return cell;
  }
}

/**
 * An exchange whose outcome is counted; whoever makes one counts the request itself, with `countRequest`. A balancer extends
 * it, to measure load by the same events.
 */
export class CountedExchange extends ObservedExchange {
  protected readonly metrics: EndpointMetrics;
  protected readonly isGrpc: boolean;
  protected readonly startedAtMs: number;
  /** 0 until there is a response head. */
  protected status = 0;
  /** Of the head, else of the trailers. */
  protected grpcCode: number | undefined = undefined;

  constructor(metrics: EndpointMetrics, head: RequestHead, response: ResponseSink) {
    super(response);
    this.metrics = metrics;
    this.isGrpc = isGrpc(head);
    this.startedAtMs = metrics.nowMs();
  }

  protected override onHead(head: ResponseHead): void {
    this.status = head.status;
    if (this.isGrpc) this.grpcCode = grpcCodeOf(head.fields);
  }
  protected override onFirstByte(): void {
    this.metrics.observeLatency(this.status, this.startedAtMs);
  }
  protected override onTrailers(fields: readonly HeaderField[]): void {
    if (this.isGrpc) this.grpcCode ??= grpcCodeOf(fields);
  }
  protected override onEnd(error: ProxyError | undefined, canceled: boolean): void {
    // There is no response to count if the client left before any came.
    if (canceled && this.status === 0) return;
    // A client that leaves is no failure of the endpoint: its response counts as far as it came.
    const counted = canceled ? undefined : error;
    this.metrics.countResponse(this.status, this.isGrpc, this.grpcCode, counted);
  }
}

function errorLabel(error: ProxyError): string {
  if (error.code === "h2_reset" && error.detail.h2Code !== undefined) {
    return `h2(${h2CodeName(error.detail.h2Code)})`;
  }
  return error.code === "response_timeout" ? "timeout" : "unclassified";
}

function isGrpc(head: RequestHead): boolean {
  return findField(head.fields, CONTENT_TYPE)?.value.startsWith(GRPC_CONTENT_TYPE) === true;
}

const CONTENT_TYPE = headerName("content-type");
