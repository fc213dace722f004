import { respondWith, type RescueRow } from "../http/respond.ts";

/**
 * Errors of an inbound HTTP request, as the client sees them. Codes without a row become 500, closing.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/{server,router}.rs.
 */
export const INBOUND_RESCUE: readonly RescueRow[] = [
  { code: "unauthorized", rescue: respondWith(403, 7, "keep") },
  { code: "route_not_found", rescue: respondWith(404, 5, "keep") },
  { code: "gateway_domain_invalid", rescue: respondWith(404, 5, "keep") },
  { code: "gateway_loop", rescue: respondWith(508, 10, "close") },
  { code: "rate_limited", rescue: respondWith(429, 8, "keep") },
  { code: "redirected", rescue: respondWith(302, 5, "keep") },
  { code: "injected_failure", rescue: respondWith(500, 9, "keep") },
  { code: "failfast", rescue: respondWith(504, 4, "close") },
  { code: "loadshed", rescue: respondWith(503, 14, "close") },
  { code: "invalid_policy", rescue: respondWith(500, 13, "close") },
  { code: "io", rescue: respondWith(502, 14, "close") },
  { code: "bad_message", rescue: respondWith(502, 14, "close") },
  { code: "upstream_closed", rescue: respondWith(502, 14, "close") },
  { code: "connect_timeout", rescue: respondWith(504, 4, "close") },
  { code: "h2_reset", rescue: { kind: "reset" } },
  { code: "h2_goaway", rescue: { kind: "reset" } },
];
