import { formatNameAddr, type NameAddr } from "../addr/name-addr.ts";
import { withoutTrailingDot, type DnsName } from "../addr/dns-name.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import type { Id } from "../identity/id.ts";
import { assertNever } from "../parsed.ts";
import {
  metaGroup,
  metaKind,
  metaName,
  metaNamespace,
  metaPort,
  metaSection,
  type Meta,
} from "../policy/meta.ts";
import type { Labels } from "./registry.ts";

/** What the labels need to know of the TLS status of an accepted connection (`ServerTls` of src/tls fits). */
export type AcceptedTls =
  | { readonly kind: "established"; readonly clientId: Id | undefined }
  | { readonly kind: "passthru"; readonly sni: DnsName }
  | { readonly kind: "none"; readonly reason: string };

/** What the labels need to know of the TLS status of a dialled connection (`ClientTls` of src/tls fits). */
export type DialledTls =
  | { readonly kind: "established"; readonly serverId: Id }
  | { readonly kind: "none"; readonly reason: string };

/** An inbound server with the port it was reached on, which policy metadata does not carry for defaults. */
export interface ServerRef {
  readonly meta: Meta;
  readonly port: number;
}

/** `target_addr`, `target_ip`, `target_port`. */
export function targetLabels(addr: SocketAddr): Labels {
  return [
    ["target_addr", formatSocketAddr(addr)],
    ["target_ip", addr.ip.text],
    ["target_port", String(addr.port)],
  ];
}

/** `tls`, then `client_id`, `no_tls_reason` or `sni`. */
export function acceptedTlsLabels(tls: AcceptedTls): Labels {
  switch (tls.kind) {
    case "established":
      return [
        ["tls", "true"],
        ["client_id", tls.clientId?.text ?? ""],
      ];
    case "passthru":
      return [
        ["tls", "opaque"],
        ["sni", tls.sni],
      ];
    case "none":
      return noTlsLabels(tls.reason);
    default:
      return assertNever(tls);
  }
}

/** `tls`, then `server_id` or `no_tls_reason`. */
export function dialledTlsLabels(tls: DialledTls): Labels {
  if (tls.kind === "none") return noTlsLabels(tls.reason);
  return [
    ["tls", "true"],
    ["server_id", tls.serverId.text],
  ];
}

function noTlsLabels(reason: string): Labels {
  if (reason === "disabled") return [["tls", "disabled"]];
  return [
    ["tls", "no_identity"],
    ["no_tls_reason", reason],
  ];
}

/** `srv_group`, `srv_kind`, `srv_name`, `srv_port`. */
export function serverLabels(server: ServerRef): Labels {
  return [...metaLabels("srv", server.meta), ["srv_port", String(server.port)]];
}

/** `route_group`, `route_kind`, `route_name` of an inbound route. */
export function inboundRouteLabels(route: Meta): Labels {
  return metaLabels("route", route);
}

/** `authz_group`, `authz_kind`, `authz_name`. */
export function authorizationLabels(authorization: Meta): Labels {
  return metaLabels("authz", authorization);
}

/** `route_group`, `route_kind`, `route_namespace`, `route_name` of an outbound route. */
export function outboundRouteLabels(route: Meta): Labels {
  return [
    ["route_group", metaGroup(route)],
    ["route_kind", metaKind(route)],
    ["route_namespace", metaNamespace(route)],
    ["route_name", metaName(route)],
  ];
}

/** The six `parent_*` labels of outbound metrics. */
export function parentLabels(parent: Meta): Labels {
  return resourceLabels("parent", parent);
}

/** The six `backend_*` labels of outbound metrics. */
export function backendLabels(backend: Meta): Labels {
  return resourceLabels("backend", backend);
}

function metaLabels(prefix: string, meta: Meta): Labels {
  return [
    [`${prefix}_group`, metaGroup(meta)],
    [`${prefix}_kind`, metaKind(meta)],
    [`${prefix}_name`, metaName(meta)],
  ];
}

function resourceLabels(prefix: string, meta: Meta): Labels {
  return [
    [`${prefix}_group`, metaGroup(meta)],
    [`${prefix}_kind`, metaKind(meta)],
    [`${prefix}_namespace`, metaNamespace(meta)],
    [`${prefix}_name`, metaName(meta)],
    [`${prefix}_port`, metaPort(meta)],
    [`${prefix}_section_name`, metaSection(meta)],
  ];
}

/** The `authority` of a balanced name: no trailing dot, and no port where it is 80. */
export function authorityText(addr: NameAddr): string {
  return addr.port === 80 ? withoutTrailingDot(addr.name) : formatNameAddr(addr);
}

/** An `authority` label, or none where the authority is not known or not to be shown. */
function authorityLabels(authority: string | undefined): Labels {
  return authority === undefined ? [] : [["authority", authority]];
}

/** Labels of discovery with their `dst_` prefix. `labels` is sorted by name. */
export function destinationLabels(labels: readonly (readonly [string, string])[]): Labels {
  return labels.map(([name, value]) => [`dst_${name}`, value]);
}

/** What an inbound request is counted under in `request_total` and its kin. */
export interface InboundEndpoint {
  /** Only with `LINKERD2_PROXY_INBOUND_METRICS_AUTHORITY_LABELS=unsafe`: clients choose it. */
  readonly authority: string | undefined;
  readonly target: SocketAddr;
  readonly tls: AcceptedTls;
  readonly server: ServerRef;
  readonly route: Meta;
  readonly authorization: Meta;
}

/** Labels of `request_total`, `response_total`, `response_latency_ms`, inbound. */
export function inboundEndpointLabels(at: InboundEndpoint): Labels {
  return [
    ["direction", "inbound"],
    ...authorityLabels(at.authority),
    ...targetLabels(at.target),
    ...acceptedTlsLabels(at.tls),
    ...serverLabels(at.server),
    ...inboundRouteLabels(at.route),
    ...authorizationLabels(at.authorization),
  ];
}

/** What a request or connection to an endpoint is counted under. */
export interface OutboundEndpoint {
  /** Of `authorityText`; undefined when not balanced by name. */
  readonly authority: string | undefined;
  readonly addr: SocketAddr;
  readonly tls: DialledTls;
  /** Labels of discovery, without prefix, sorted by name. */
  readonly labels: readonly (readonly [string, string])[];
}

/** Labels of `request_total`, `response_total`, `response_latency_ms`, outbound. */
export function outboundEndpointLabels(at: OutboundEndpoint): Labels {
  return [["direction", "outbound"], ...endpointRest(at)];
}

function endpointRest(at: OutboundEndpoint): Labels {
  return [
    ...authorityLabels(at.authority),
    ...targetLabels(at.addr),
    ...dialledTlsLabels(at.tls),
    ...destinationLabels(at.labels),
  ];
}

/** Labels of `tcp_*` for a connection that the inbound proxy accepted. */
export function inboundAcceptedLabels(target: SocketAddr, tls: AcceptedTls, server: ServerRef): Labels {
  return [
    ["direction", "inbound"],
    ["peer", "src"],
    ...targetLabels(target),
    ...acceptedTlsLabels(tls),
    ...serverLabels(server),
  ];
}

/** Labels of `tcp_*` for connections to the application: one series for all. */
export const INBOUND_DIALLED_LABELS: Labels = [
  ["direction", "inbound"],
  ["peer", "dst"],
  ...noTlsLabels("loopback"),
];

/** Labels of `tcp_*` for a connection that the outbound proxy accepted; `target` is its original destination. */
export function outboundAcceptedLabels(target: SocketAddr): Labels {
  return [["direction", "outbound"], ["peer", "src"], ...targetLabels(target), ...noTlsLabels("loopback")];
}

/** Labels of `tcp_*` for a connection to an endpoint. */
export function outboundDialledLabels(at: OutboundEndpoint): Labels {
  return [["direction", "outbound"], ["peer", "dst"], ...endpointRest(at)];
}

/** Adds `errno` for `tcp_close_total`: "" for a clean or unknown close. */
export function closeLabels(transport: Labels, errno: string): Labels {
  return [...transport, ["errno", errno]];
}

/** How a response of the legacy families ended. */
export interface ResponseOutcome {
  /** Undefined when there was no response head: the label is then left out. */
  readonly status: number | undefined;
  readonly classification: "success" | "failure";
  /** Decimal code for gRPC, else "". */
  readonly grpcStatus: string;
  /** "", `timeout`, `h2(CANCEL)` and the like, or `unclassified`. */
  readonly error: string;
}

/** Labels of `response_total`, `route_response_total`, `control_response_total`. */
export function responseLabels(base: Labels, outcome: ResponseOutcome): Labels {
  return [
    ...latencyLabels(base, outcome.status),
    ["classification", outcome.classification],
    ["grpc_status", outcome.grpcStatus],
    ["error", outcome.error],
  ];
}

/** Labels of the `*_response_latency_ms` families: the base, and `status_code` where there was a response head. */
export function latencyLabels(base: Labels, status: number | undefined): Labels {
  return status === undefined ? base : [...base, ["status_code", String(status)]];
}

/** Labels of `route_*`: a profile's route. `labels` are the route's own, without prefix, sorted by name. */
export function profileRouteLabels(
  direction: "inbound" | "outbound",
  profile: NameAddr,
  labels: readonly (readonly [string, string])[],
): Labels {
  return [
    ["direction", direction],
    ["dst", formatNameAddr(profile)],
    ...labels.map(([name, value]): readonly [string, string] => [`rt_${name}`, value]),
  ];
}

/** Labels of `control_request_total` and its kin. `addr` is `name:port` without trailing dot, or `ip:port`. */
export function controlLabels(addr: string, tls: DialledTls): Labels {
  return [["addr", addr], ...dialledTlsLabels(tls)];
}

/** Where an inbound policy decision was made. */
export interface InboundDecision {
  readonly target: SocketAddr;
  readonly server: ServerRef;
  readonly tls: AcceptedTls;
}

/** Labels of `inbound_http_authz_allow_total`. */
export function httpAllowLabels(at: InboundDecision, route: Meta, authorization: Meta): Labels {
  return [
    ...targetLabels(at.target),
    ...serverLabels(at.server),
    ...inboundRouteLabels(route),
    ...authorizationLabels(authorization),
    ...acceptedTlsLabels(at.tls),
  ];
}

/** Labels of `inbound_http_authz_deny_total`. */
export function httpDenyLabels(at: InboundDecision, route: Meta): Labels {
  return [
    ...targetLabels(at.target),
    ...serverLabels(at.server),
    ...inboundRouteLabels(route),
    ...acceptedTlsLabels(at.tls),
  ];
}

/** Labels of `inbound_tcp_authz_allow_total`. */
export function tcpAllowLabels(at: InboundDecision, authorization: Meta): Labels {
  return [
    ...targetLabels(at.target),
    ...serverLabels(at.server),
    ...authorizationLabels(authorization),
    ...acceptedTlsLabels(at.tls),
  ];
}

/** Labels of `inbound_http_route_not_found_total`, `inbound_tcp_authz_deny_total`, `inbound_tcp_authz_terminate_total`. */
export function inboundDecisionLabels(at: InboundDecision): Labels {
  return [...targetLabels(at.target), ...serverLabels(at.server), ...acceptedTlsLabels(at.tls)];
}

/** Labels of `inbound_http_local_ratelimit_total`. `limit` is undefined where no resource names it. */
export function rateLimitLabels(
  at: InboundDecision,
  limit: Meta | undefined,
  scope: "total" | "identity",
): Labels {
  return [
    ...targetLabels(at.target),
    ...serverLabels(at.server),
    ...(limit === undefined ? [] : metaLabels("ratelimit", limit)),
    ["ratelimit_scope", scope],
    ...acceptedTlsLabels(at.tls),
  ];
}

/** Labels of `inbound_http_errors_total`. */
export function inboundHttpErrorLabels(error: string, target: SocketAddr, server: ServerRef): Labels {
  return [["error", error], ...targetLabels(target), ...serverLabels(server)];
}

/** Labels of `inbound_tcp_errors_total`. */
export function inboundTcpErrorLabels(error: string, target: SocketAddr): Labels {
  return [["error", error], ...targetLabels(target)];
}

/** Labels of `outbound_tcp_errors_total`, whose order differs from the inbound one. */
export function outboundTcpErrorLabels(target: SocketAddr, error: string): Labels {
  return [...targetLabels(target), ["error", error]];
}

/** RI: labels of `inbound_http_requests_total` and its kin. The parent is the server. */
export function inboundRequestLabels(server: ServerRef, route: Meta): Labels {
  return [
    ...metaLabels("parent", server.meta),
    ["parent_port", String(server.port)],
    ...inboundRouteLabels(route),
  ];
}

/** R: labels of `outbound_http_route_request_*` and its kin. `hostname` is "" unless hostname labels are on. */
export function routeLabels(parent: Meta, route: Meta, hostname: string): Labels {
  return [...parentLabels(parent), ...outboundRouteLabels(route), ["hostname", hostname]];
}

/** Labels of `outbound_tcp_route_*`. `targetIp` is "" for a target that is known by name. */
export function tcpRouteLabels(parent: Meta, route: Meta, targetIp: string, targetPort: number): Labels {
  return [
    ...parentLabels(parent),
    ...outboundRouteLabels(route),
    ["target_ip", targetIp],
    ["target_port", String(targetPort)],
  ];
}

/** RB: labels of `outbound_http_route_backend_*` and its kin. */
export function routeBackendLabels(parent: Meta, route: Meta, backend: Meta): Labels {
  return [...parentLabels(parent), ...outboundRouteLabels(route), ...backendLabels(backend)];
}

/** P and BK: labels of the outbound balancer sets. */
export function balancerLabels(parent: Meta, backend: Meta): Labels {
  return [...parentLabels(parent), ...backendLabels(backend)];
}

/** Labels of `outbound_tcp_transfer_cost_bytes_total`. */
export function transferCostLabels(op: "Send" | "Recv", zoneLocality: string): Labels {
  return [
    ["op", op],
    ["zone_locality", zoneLocality],
  ];
}

/** Labels of `inbound_tcp_transport_header_connections_total`. `targetName` is "" where the header names none. */
export function transportHeaderLabels(
  sessionProtocol: "http/1" | "http/2" | "",
  targetPort: number,
  targetName: string,
  clientId: string,
): Labels {
  return [
    ["session_protocol", sessionProtocol],
    ["target_port", String(targetPort)],
    ["target_name", targetName],
    ["client_id", clientId],
  ];
}

/** Labels of `outrigger_tls_handshakes_total`. `group` and `version` as the TLS library names them: `X25519MLKEM768`, `TLSv1.3`. */
export function tlsHandshakeLabels(
  direction: "inbound" | "outbound",
  group: string,
  version: string,
): Labels {
  return [
    ["direction", direction],
    ["group", group],
    ["version", version],
  ];
}

/** Labels of `outrigger_tls_handshake_failures_total`. `reason` is one of a fixed set: `HandshakeFault` of src/tls. */
export function tlsFailureLabels(direction: "inbound" | "outbound", reason: string): Labels {
  return [
    ["direction", direction],
    ["reason", reason],
  ];
}

/** Labels of `outrigger_http_rejected_total`. `reason` is one of a fixed set: a status, or a kind of rejection. */
export function httpRejectedLabels(
  direction: "inbound" | "outbound",
  protocol: "http/1" | "http/2",
  reason: string,
): Labels {
  return [
    ["direction", direction],
    ["protocol", protocol],
    ["reason", reason],
  ];
}

/** Puts one more label in front: `result`, `op`, `endpoint_state`, `protocol`. */
export function withFirst(name: string, value: string, rest: Labels): Labels {
  return [[name, value], ...rest];
}

/** Adds one more label at the end: `status`, `error`, `skipped`. */
export function withLast(base: Labels, name: string, value: string): Labels {
  return [...base, [name, value]];
}

/** Facts of `proxy_build_info`. Unknown ones are "". */
export interface BuildInfo {
  readonly version: string;
  readonly gitSha: string;
  readonly date: string;
  readonly profile: string;
  readonly vendor: string;
}

/** Labels of `proxy_build_info`. */
export function buildInfoLabels(build: BuildInfo): Labels {
  return [
    ["date", build.date],
    ["git_sha", build.gitSha],
    ["profile", build.profile],
    ["vendor", build.vendor],
    ["version", build.version],
  ];
}

/** Labels of `rustls_info`, a name that dashboards know. The lists are comma-joined with a trailing comma. */
export function tlsInfoLabels(
  suites: readonly string[],
  groups: readonly string[],
  provider: string,
  fips: boolean,
): Labels {
  return [
    ["tls_suites", suites.map((s) => `${s},`).join("")],
    ["tls_kx_groups", groups.map((g) => `${g},`).join("")],
    ["tls_rand", provider],
    ["tls_key_provider", provider],
    ["tls_fips", String(fips)],
  ];
}

/** Values of `result` in `inbound_` and `outbound_tcp_detect_http_results_total`, by what detection found. */
export const DETECT_HTTP_RESULTS = {
  http1: "http/1",
  http2: "http/2",
  not_http: "not_http",
  stopped: "not_http",
  timeout: "read_timeout",
  closed: "error",
} as const;
