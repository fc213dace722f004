import type { CounterFamily, GaugeFamily, HistogramFamily } from "./family.ts";
import type { MetricRegistry } from "./metric-registry.ts";

/** Bounds of the `*_response_latency_ms` families. Source: linkerd2-proxy, linkerd/metrics/src/latency.rs. */
const LATENCY_MS = [
  1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10_000, 20_000,
  30_000, 40_000, 50_000,
];
const DETECT_SECONDS = [0.001, 0.1];
const DURATION_SECONDS = [0.05, 0.5, 1, 10];
const FINE_DURATION_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 10];
const FRAME_BYTES = [128, 1024, 10_240];
const QUEUE_SECONDS = [0.0005, 0.005, 0.05, 0.5, 1, 3];

const EXPIRES = { expires: true } as const;
const EXPIRING_SECONDS = { expires: true, unit: "seconds" } as const;
const EXPIRING_BYTES = { expires: true, unit: "bytes" } as const;
const SECONDS = { unit: "seconds", float: true } as const;

/** `<prefix>_endpoints`, `<prefix>_p2c_*`, `<prefix>_queue_*`: one balancer's view of its endpoints and queue. */
export interface BalancerFamilies {
  /** First label `endpoint_state`: `ready` or `pending`. */
  readonly endpoints: GaugeFamily;
  readonly p2cEndpoints: GaugeFamily;
  /** First label `op`: `Reset`, `Add`, `Remove`. */
  readonly p2cUpdatesTotal: CounterFamily;
  readonly queueLength: GaugeFamily;
  readonly queueRequestsTotal: CounterFamily;
  readonly queueLatencySeconds: HistogramFamily;
  readonly queueGateOpenTotal: CounterFamily;
  readonly queueGateShutTotal: CounterFamily;
  /** Unix seconds, 0 while shut. */
  readonly queueGateOpenTimeSeconds: GaugeFamily;
  /** Unix seconds, 0 while open. */
  readonly queueGateShutTimeSeconds: GaugeFamily;
  readonly queueGateTimeoutSeconds: GaugeFamily;
}

/** `inbound_http_*` or `inbound_grpc_*`, by the kind of the policy route. Labels: `inboundRequestLabels`. */
export interface InboundRequestFamilies {
  readonly requestsTotal: CounterFamily;
  readonly requestDurationSeconds: HistogramFamily;
  readonly responseDurationSeconds: HistogramFamily;
  readonly requestFrameSizeBytes: HistogramFamily;
  readonly responseFrameSizeBytes: HistogramFamily;
  /** Last label `status`. */
  readonly statusesTotal: CounterFamily;
}

/** `outbound_http_route_*` or `outbound_grpc_route_*`. Labels: `routeLabels`. */
export interface RouteFamilies {
  readonly requestDurationSeconds: HistogramFamily;
  /** Last labels `http_status` or `grpc_status`, then `error`. */
  readonly requestStatusesTotal: CounterFamily;
  readonly requestFrameSizeBytes: HistogramFamily;
  readonly retryRequestsTotal: CounterFamily;
  readonly retrySuccessesTotal: CounterFamily;
  readonly retryLimitExceededTotal: CounterFamily;
  readonly retryOverflowTotal: CounterFamily;
}

/** `outbound_http_route_backend_*` or `outbound_grpc_route_backend_*`. Labels: `routeBackendLabels`. */
export interface RouteBackendFamilies {
  readonly requestsTotal: CounterFamily;
  readonly responseDurationSeconds: HistogramFamily;
  /** Last labels `http_status` or `grpc_status`, then `error`. */
  readonly responseStatusesTotal: CounterFamily;
  readonly responseFrameSizeBytes: HistogramFamily;
}

/** All families by name. A family without series prints nothing, so having one costs nothing. */
export type Families = ReturnType<typeof createFamilies>;

/**
 * Registers every family of the proxy, in the order in which they are printed.
 *
 * Properties are the sample names in camel case; sets of families that several protocols share are records. Which labels
 * a family takes, and in which order, is said by the builder in `labels.ts` that names it.
 */
export function createFamilies(registry: MetricRegistry) {
  return { ...legacyFamilies(registry), ...openFamilies(registry) };
}

function legacyFamilies(r: MetricRegistry) {
  const latencyHelp = (of: string): string =>
    `Milliseconds from dispatching ${of} to the first byte of its response body or its end`;
  return {
    requestTotal: r.counter("legacy", "request_total", "Total count of HTTP requests", EXPIRES),
    responseTotal: r.counter("legacy", "response_total", "Total count of HTTP responses", EXPIRES),
    responseLatencyMs: r.histogram(
      "legacy",
      "response_latency_ms",
      latencyHelp("a request"),
      LATENCY_MS,
      EXPIRES,
    ),
    routeRequestTotal: r.counter(
      "legacy",
      "route_request_total",
      "Total count of HTTP requests per profile route",
      EXPIRES,
    ),
    routeResponseTotal: r.counter(
      "legacy",
      "route_response_total",
      "Total count of HTTP responses per profile route",
      EXPIRES,
    ),
    routeResponseLatencyMs: r.histogram(
      "legacy",
      "route_response_latency_ms",
      latencyHelp("a request of a profile route"),
      LATENCY_MS,
      EXPIRES,
    ),
    routeActualRequestTotal: r.counter(
      "legacy",
      "route_actual_request_total",
      "Total count of HTTP requests per profile route, retries included",
      EXPIRES,
    ),
    routeActualResponseTotal: r.counter(
      "legacy",
      "route_actual_response_total",
      "Total count of HTTP responses per profile route, retries included",
      EXPIRES,
    ),
    routeRetryableTotal: r.counter(
      "legacy",
      "route_retryable_total",
      "Total count of retryable responses per profile route, and of those not retried",
      EXPIRES,
    ),
    controlRequestTotal: r.counter(
      "legacy",
      "control_request_total",
      "Total count of requests to controllers",
      EXPIRES,
    ),
    controlResponseTotal: r.counter(
      "legacy",
      "control_response_total",
      "Total count of responses of controllers",
      EXPIRES,
    ),
    controlResponseLatencyMs: r.histogram(
      "legacy",
      "control_response_latency_ms",
      latencyHelp("a request to a controller"),
      LATENCY_MS,
      EXPIRES,
    ),
    tcpOpenTotal: r.counter("legacy", "tcp_open_total", "Total count of opened connections", EXPIRES),
    tcpOpenConnections: r.gauge("legacy", "tcp_open_connections", "Connections open now", EXPIRES),
    tcpReadBytesTotal: r.counter("legacy", "tcp_read_bytes_total", "Total bytes read from the peer", EXPIRES),
    tcpWriteBytesTotal: r.counter(
      "legacy",
      "tcp_write_bytes_total",
      "Total bytes written to the peer",
      EXPIRES,
    ),
    tcpCloseTotal: r.counter("legacy", "tcp_close_total", "Total count of closed connections", EXPIRES),
    inboundHttpAuthzAllowTotal: r.counter(
      "legacy",
      "inbound_http_authz_allow_total",
      "Total count of inbound HTTP requests that were authorized",
    ),
    inboundHttpAuthzDenyTotal: r.counter(
      "legacy",
      "inbound_http_authz_deny_total",
      "Total count of inbound HTTP requests that were denied",
    ),
    inboundHttpRouteNotFoundTotal: r.counter(
      "legacy",
      "inbound_http_route_not_found_total",
      "Total count of inbound HTTP requests that matched no route",
    ),
    inboundHttpLocalRatelimitTotal: r.counter(
      "legacy",
      "inbound_http_local_ratelimit_total",
      "Total count of inbound HTTP requests that exceeded a rate limit",
    ),
    inboundHttpErrorsTotal: r.counter(
      "legacy",
      "inbound_http_errors_total",
      "Total count of inbound HTTP requests that failed in the proxy",
    ),
    inboundTcpAuthzAllowTotal: r.counter(
      "legacy",
      "inbound_tcp_authz_allow_total",
      "Total count of inbound connections that were authorized",
    ),
    inboundTcpAuthzDenyTotal: r.counter(
      "legacy",
      "inbound_tcp_authz_deny_total",
      "Total count of inbound connections that were denied",
    ),
    inboundTcpAuthzTerminateTotal: r.counter(
      "legacy",
      "inbound_tcp_authz_terminate_total",
      "Total count of inbound connections that a policy change cut",
    ),
    inboundTcpErrorsTotal: r.counter(
      "legacy",
      "inbound_tcp_errors_total",
      "Total count of inbound connections that failed in the proxy",
    ),
    outboundHttpErrorsTotal: r.counter(
      "legacy",
      "outbound_http_errors_total",
      "Total count of outbound HTTP requests that failed in the proxy",
    ),
    outboundTcpErrorsTotal: r.counter(
      "legacy",
      "outbound_tcp_errors_total",
      "Total count of outbound connections that failed in the proxy",
    ),
    opentelemetrySpanExportStreams: r.counter(
      "legacy",
      "opentelemetry_span_export_streams",
      "Total count of times that span export began",
    ),
    opentelemetrySpanExportRequests: r.counter(
      "legacy",
      "opentelemetry_span_export_requests",
      "Total count of span export messages that a collector answered",
    ),
    opentelemetrySpanExports: r.counter(
      "legacy",
      "opentelemetry_span_exports",
      "Total count of spans exported",
    ),
  };
}

function openFamilies(r: MetricRegistry) {
  return {
    proxyBuildInfo: r.gauge("open", "proxy_build_info", "What this proxy was built from"),
    rustlsInfo: r.gauge("open", "rustls_info", "What the TLS library of this proxy offers"),
    controlDnsResolutionsTotal: r.counter(
      "open",
      "control_dns_resolutions_total",
      "Lookups of the names of controllers",
    ),
    controlIdentityCertExpirationTimestampSeconds: r.gauge(
      "open",
      "control_identity_cert_expiration_timestamp_seconds",
      "When the current certificate expires, in Unix seconds",
      SECONDS,
    ),
    controlIdentityCertRefreshTimestampSeconds: r.gauge(
      "open",
      "control_identity_cert_refresh_timestamp_seconds",
      "When the current certificate was installed, in Unix seconds",
      SECONDS,
    ),
    controlIdentityCertRefreshesTotal: r.counter(
      "open",
      "control_identity_cert_refreshes_total",
      "Certificate refreshes by result",
    ),
    controlIdentityBalancer: balancer(r, "control_identity_balancer"),
    controlDestinationBalancer: balancer(r, "control_destination_balancer"),
    controlPolicyBalancer: balancer(r, "control_policy_balancer"),
    inboundTcpDetectHttpDurationSeconds: r.histogram(
      "open",
      "inbound_tcp_detect_http_duration_seconds",
      "Time until the protocol of an inbound connection was known",
      DETECT_SECONDS,
      { unit: "seconds" },
    ),
    inboundTcpDetectHttpResultsTotal: r.counter(
      "open",
      "inbound_tcp_detect_http_results_total",
      "Inbound connections by detected protocol",
    ),
    inboundTcpTransportHeaderConnectionsTotal: r.counter(
      "open",
      "inbound_tcp_transport_header_connections_total",
      "Direct connections that carried a transport header",
      EXPIRES,
    ),
    inboundHttp: inboundRequests(r, "inbound_http"),
    inboundGrpc: inboundRequests(r, "inbound_grpc"),
    outboundTcpProtocolConnectionsTotal: r.counter(
      "open",
      "outbound_tcp_protocol_connections_total",
      "Outbound connections by configured protocol",
      EXPIRES,
    ),
    outboundTcpDetectHttpDurationSeconds: r.histogram(
      "open",
      "outbound_tcp_detect_http_duration_seconds",
      "Time until the protocol of an outbound connection was known",
      DETECT_SECONDS,
      EXPIRING_SECONDS,
    ),
    outboundTcpDetectHttpResultsTotal: r.counter(
      "open",
      "outbound_tcp_detect_http_results_total",
      "Outbound connections by detected protocol",
      EXPIRES,
    ),
    outboundHttpRoute: route(r, "outbound_http_route"),
    outboundGrpcRoute: route(r, "outbound_grpc_route"),
    outboundHttpRouteBackend: routeBackend(r, "outbound_http_route_backend"),
    outboundGrpcRouteBackend: routeBackend(r, "outbound_grpc_route_backend"),
    outboundHttpBalancer: balancer(r, "outbound_http_balancer"),
    outboundTcpBalancer: balancer(r, "outbound_tcp_balancer"),
    outboundTlsBalancer: balancer(r, "outbound_tls_balancer"),
    outboundTcpRouteOpenTotal: r.counter(
      "open",
      "outbound_tcp_route_open_total",
      "Opaque connections opened per route",
      EXPIRES,
    ),
    outboundTcpRouteCloseTotal: r.counter(
      "open",
      "outbound_tcp_route_close_total",
      "Opaque connections closed per route",
      EXPIRES,
    ),
    outboundTlsRouteOpenTotal: r.counter(
      "open",
      "outbound_tls_route_open_total",
      "TLS connections opened per route",
      EXPIRES,
    ),
    outboundTlsRouteCloseTotal: r.counter(
      "open",
      "outbound_tls_route_close_total",
      "TLS connections closed per route",
      EXPIRES,
    ),
    outriggerOutboundDialAheadTotal: r.counter(
      "open",
      "outrigger_outbound_dial_ahead_total",
      "Servers that were dialled while their client was silent, by what became of it",
      EXPIRES,
    ),
    outboundTcpTransferCostBytesTotal: r.counter(
      "open",
      "outbound_tcp_transfer_cost_bytes_total",
      "Bytes exchanged with peers by how far away their zone is",
      { unit: "bytes" },
    ),
    outriggerSpansDroppedTotal: r.counter(
      "open",
      "outrigger_spans_dropped_total",
      "Spans that the trace collector was never told of, by reason",
    ),
    outriggerTlsHandshakesTotal: r.counter(
      "open",
      "outrigger_tls_handshakes_total",
      "Completed mesh TLS handshakes by key exchange group and version",
    ),
    outriggerTlsHandshakeFailuresTotal: r.counter(
      "open",
      "outrigger_tls_handshake_failures_total",
      "Mesh TLS handshakes that failed, by what was wrong",
    ),
    outriggerAccessLogDroppedLinesTotal: r.counter(
      "open",
      "outrigger_access_log_dropped_lines_total",
      "Lines of the access log that nobody read",
    ),
    outriggerHttpRejectedTotal: r.counter(
      "open",
      "outrigger_http_rejected_total",
      "HTTP messages that were refused for what they were, before any policy",
    ),
    outriggerTapEventsLostTotal: r.counter(
      "open",
      "outrigger_tap_events_lost_total",
      "Events of tapped requests that were not told because the observer was slow",
    ),
  };
}

function balancer(r: MetricRegistry, prefix: string): BalancerFamilies {
  const seconds = { ...SECONDS, ...EXPIRES };
  return {
    endpoints: r.gauge("open", `${prefix}_endpoints`, "Endpoints by readiness", EXPIRES),
    p2cEndpoints: r.gauge("open", `${prefix}_p2c_endpoints`, "Endpoints known", EXPIRES),
    p2cUpdatesTotal: r.counter("open", `${prefix}_p2c_updates_total`, "Updates of the endpoint set", EXPIRES),
    queueLength: r.gauge("open", `${prefix}_queue_length`, "Requests waiting in the queue", EXPIRES),
    queueRequestsTotal: r.counter(
      "open",
      `${prefix}_queue_requests_total`,
      "Requests that entered the queue",
      EXPIRES,
    ),
    queueLatencySeconds: r.histogram(
      "open",
      `${prefix}_queue_latency_seconds`,
      "Time requests waited in the queue",
      QUEUE_SECONDS,
      EXPIRING_SECONDS,
    ),
    queueGateOpenTotal: r.counter(
      "open",
      `${prefix}_queue_gate_open_total`,
      "Times the queue opened",
      EXPIRES,
    ),
    queueGateShutTotal: r.counter(
      "open",
      `${prefix}_queue_gate_shut_total`,
      "Times the queue went into failfast",
      EXPIRES,
    ),
    queueGateOpenTimeSeconds: r.gauge(
      "open",
      `${prefix}_queue_gate_open_time_seconds`,
      "When the queue opened, in Unix seconds",
      seconds,
    ),
    queueGateShutTimeSeconds: r.gauge(
      "open",
      `${prefix}_queue_gate_shut_time_seconds`,
      "When the queue went into failfast, in Unix seconds",
      seconds,
    ),
    queueGateTimeoutSeconds: r.gauge(
      "open",
      `${prefix}_queue_gate_timeout_seconds`,
      "How long requests wait before failfast",
      seconds,
    ),
  };
}

function inboundRequests(r: MetricRegistry, prefix: string): InboundRequestFamilies {
  const seconds = { unit: "seconds" } as const;
  const bytes = { unit: "bytes" } as const;
  return {
    requestsTotal: r.counter("open", `${prefix}_requests_total`, "Permitted requests dispatched"),
    requestDurationSeconds: r.histogram(
      "open",
      `${prefix}_request_duration_seconds`,
      "Time from the start of a request to the end of its response",
      FINE_DURATION_SECONDS,
      seconds,
    ),
    responseDurationSeconds: r.histogram(
      "open",
      `${prefix}_response_duration_seconds`,
      "Time from the end of a request to the end of its response",
      DURATION_SECONDS,
      seconds,
    ),
    requestFrameSizeBytes: r.histogram(
      "open",
      `${prefix}_request_frame_size_bytes`,
      "Sizes of request body chunks",
      FRAME_BYTES,
      bytes,
    ),
    responseFrameSizeBytes: r.histogram(
      "open",
      `${prefix}_response_frame_size_bytes`,
      "Sizes of response body chunks",
      FRAME_BYTES,
      bytes,
    ),
    statusesTotal: r.counter("open", `${prefix}_statuses_total`, "Completed responses by status"),
  };
}

function route(r: MetricRegistry, prefix: string): RouteFamilies {
  return {
    requestDurationSeconds: r.histogram(
      "open",
      `${prefix}_request_duration_seconds`,
      "Time from the start of a request to the end of its response, retries included",
      DURATION_SECONDS,
      EXPIRING_SECONDS,
    ),
    requestStatusesTotal: r.counter(
      "open",
      `${prefix}_request_statuses_total`,
      "Completed requests by status and error",
      EXPIRES,
    ),
    requestFrameSizeBytes: r.histogram(
      "open",
      `${prefix}_request_frame_size_bytes`,
      "Sizes of request body chunks",
      FRAME_BYTES,
      EXPIRING_BYTES,
    ),
    retryRequestsTotal: r.counter("open", `${prefix}_retry_requests_total`, "Retries sent", EXPIRES),
    retrySuccessesTotal: r.counter(
      "open",
      `${prefix}_retry_successes_total`,
      "Retries that ended the retrying with a response",
      EXPIRES,
    ),
    retryLimitExceededTotal: r.counter(
      "open",
      `${prefix}_retry_limit_exceeded_total`,
      "Responses still worth a retry after the last attempt",
      EXPIRES,
    ),
    retryOverflowTotal: r.counter(
      "open",
      `${prefix}_retry_overflow_total`,
      "Retries not sent because the backend was not ready",
      EXPIRES,
    ),
  };
}

function routeBackend(r: MetricRegistry, prefix: string): RouteBackendFamilies {
  return {
    requestsTotal: r.counter("open", `${prefix}_requests_total`, "Requests dispatched to a backend", EXPIRES),
    responseDurationSeconds: r.histogram(
      "open",
      `${prefix}_response_duration_seconds`,
      "Time from the end of a request to the end of a backend's response",
      FINE_DURATION_SECONDS,
      EXPIRING_SECONDS,
    ),
    responseStatusesTotal: r.counter(
      "open",
      `${prefix}_response_statuses_total`,
      "Completed responses of a backend by status and error",
      EXPIRES,
    ),
    responseFrameSizeBytes: r.histogram(
      "open",
      `${prefix}_response_frame_size_bytes`,
      "Sizes of response body chunks",
      FRAME_BYTES,
      EXPIRING_BYTES,
    ),
  };
}
