import type { ProxyError } from "../../errors/proxy-error.ts";
import { GRPC_STATUS } from "../../headers.ts";
import type { Families, RouteFamilies } from "../../metrics/families.ts";
import { routeLabels, withLast } from "../../metrics/labels.ts";
import type { Counter, Histogram, Labels } from "../../metrics/registry.ts";
import { GRPC_UNKNOWN, grpcStatusName } from "../../classify/grpc.ts";
import type { Meta } from "../../policy/meta.ts";
import { findField, headerName, type HeaderField } from "../../wire/header-field.ts";

/** Makes the metrics of routes. */
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
  readonly #families: RouteFamilies;
  readonly #labels: Labels;
  readonly #nowMs: () => number;
  readonly #duration: Histogram;
  readonly #byStatus: (Counter | undefined)[] = [];
  readonly #others = new Map<string, Counter>();
  readonly #held: Labels[] = [];
  #retries: RetryCounters | undefined = undefined;
  #closed = false;

  constructor(families: RouteFamilies, labels: Labels, isGrpc: boolean, nowMs: () => number) {
    this.isGrpc = isGrpc;
    this.#families = families;
    this.#labels = labels;
    this.#nowMs = nowMs;
    this.#duration = families.requestDurationSeconds.cell(labels);
  }

  grpcStatusOf(fields: readonly HeaderField[]): string | undefined {
    return findField(fields, GRPC_STATUS_NAME)?.value;
  }

  /** @param status 0 if there was no response head. */
  count(
    startedAtMs: number,
    status: number,
    grpcStatus: string | undefined,
    error: ProxyError | undefined,
    canceled: boolean,
  ): void {
    this.#duration.observe((this.#nowMs() - startedAtMs) / 1000);
    if (!this.isGrpc && error === undefined) {
      const cell = (this.#byStatus[status] ??= this.#cell("http_status", String(status), ""));
      cell.value++;
      return;
    }
    const label = this.isGrpc ? "grpc_status" : "http_status";
    const outcome = this.isGrpc
      ? grpcStatusName(Number(grpcStatus ?? error?.detail.grpcStatus ?? GRPC_UNKNOWN))
      : status === 0
        ? statusOfError(error)
        : String(status);
    const errorText = canceled ? "CANCEL" : error === undefined ? "" : errorName(error);
    const key = `${outcome} ${errorText}`;
    let cell = this.#others.get(key);
    if (cell === undefined) {
      cell = this.#cell(label, outcome, errorText);
      this.#others.set(key, cell);
    }
    cell.value++;
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
    for (const labels of this.#held) this.#families.requestStatusesTotal.release(labels);
    this.#held.length = 0;
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

  #cell(label: string, outcome: string, error: string): Counter {
    const labels = withLast(withLast(this.#labels, label, outcome), "error", error);
    const cell = this.#families.requestStatusesTotal.cell(labels);
    // Nobody will close it again: the series lives on for its retention only.
    if (this.#closed) this.#families.requestStatusesTotal.release(labels);
    else this.#held.push(labels);
    return cell;
  }
}

/** A filter that answers gives a status, not an error. */
function statusOfError(error: ProxyError | undefined): string {
  return error?.detail.status === undefined ? "" : String(error.detail.status);
}

function errorName(error: ProxyError): string {
  switch (error.code) {
    case "failfast":
      return "FAIL_FAST";
    case "loadshed":
      return "LOAD_SHED";
    case "redirected":
    case "injected_failure":
      return "";
    case "response_headers_timeout":
      return "RESPONSE_HEADERS_TIMEOUT";
    case "response_timeout":
      return "RESPONSE_STREAM_TIMEOUT";
    case "request_timeout":
      return "REQUEST_TIMEOUT";
    case "stream_idle_timeout":
      return "IDLE_TIMEOUT";
    case "h2_reset":
      return H2_NAMES.get(error.detail.h2Code ?? 0) ?? "RESET";
    case "h2_goaway":
      return "GO_AWAY";
    case "io":
    case "connect_timeout":
    case "upstream_closed":
    case "tls_identity":
      return "IO";
    default:
      return "UNKNOWN";
  }
}

/** Reset codes with a name of their own (RFC 9113 section 7). */
const H2_NAMES: ReadonlyMap<number, string> = new Map([
  [0x7, "REFUSED"],
  [0x8, "CANCEL"],
  [0xb, "ENHANCE_YOUR_CALM"],
]);

const GRPC_STATUS_NAME = headerName(GRPC_STATUS);
