import { respondWith, type RescueRow } from "../http/respond.ts";

/**
 * The edge of one endpoint: failures to reach or to keep a server become responses here, below the balancer, so that
 * they count as that endpoint's answers.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/endpoint.rs (ClientRescue).
 */
export const CLIENT_RESCUE: readonly RescueRow[] = [
  { code: "io", rescue: respondWith(502, 14, "close") },
  { code: "tls_identity", rescue: respondWith(502, 14, "close") },
  { code: "bad_message", rescue: respondWith(502, 14, "close") },
  { code: "upstream_closed", rescue: respondWith(502, 14, "close") },
  { code: "connect_timeout", rescue: respondWith(504, 4, "close") },
];

/**
 * On a hop where HTTP/1 travels over HTTP/2, the application must not see the peer's stream errors: it never spoke HTTP/2.
 *
 * Source: linkerd2-proxy, linkerd/proxy/http/src/orig_proto.rs (DowngradedH2Error).
 */
export const ORIG_PROTO_RESCUE: readonly RescueRow[] = [
  { code: "h2_reset", rescue: respondWith(502, 14, "close") },
  { code: "h2_goaway", rescue: respondWith(502, 14, "close") },
  ...CLIENT_RESCUE,
];

/**
 * The edge towards the application. Codes without a row become 500, closing.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/server.rs (ServerRescue).
 */
export const SERVER_RESCUE: readonly RescueRow[] = [
  { code: "failfast", rescue: respondWith(504, 4, "close") },
  { code: "loadshed", rescue: respondWith(503, 14, "close") },
  // A policy's timeouts leave the connection open: the application was told in time. A body that breaks off is another matter.
  { code: "request_timeout", rescue: respondWith(504, 4, "keep"), onlyBeforeHead: true },
  { code: "response_timeout", rescue: respondWith(504, 4, "keep"), onlyBeforeHead: true },
  { code: "response_headers_timeout", rescue: respondWith(504, 4, "keep"), onlyBeforeHead: true },
  { code: "stream_idle_timeout", rescue: respondWith(504, 4, "keep"), onlyBeforeHead: true },
  // Unlike those of a policy, the timeout of a profile ends the connection, as it always has.
  { code: "profile_timeout", rescue: respondWith(504, 4, "close") },
  { code: "require_id", rescue: respondWith(502, 14, "close") },
  { code: "fail_dispatcher", rescue: respondWith(502, 14, "close") },
  { code: "route_not_found", rescue: respondWith(404, 5, "keep") },
  { code: "redirected", rescue: respondWith(302, 5, "keep") },
  { code: "injected_failure", rescue: respondWith(500, 9, "keep") },
  { code: "h2_reset", rescue: { kind: "reset" } },
  { code: "h2_goaway", rescue: { kind: "reset" } },
  // CONNECT dials here, without the client edge in between.
  { code: "tls_identity", rescue: respondWith(502, 14, "close") },
  { code: "connect_timeout", rescue: respondWith(504, 4, "close") },
  { code: "unauthorized", rescue: respondWith(403, 7, "keep") },
  // And a body that broke off after the client edge had passed its head on.
  { code: "io", rescue: respondWith(502, 14, "close") },
  { code: "upstream_closed", rescue: respondWith(502, 14, "close") },
  { code: "bad_message", rescue: respondWith(502, 14, "close") },
];
