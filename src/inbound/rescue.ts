import type { ErrorCode } from "../errors/proxy-error.ts";
import { respondWith, type Responding, type RescueRow } from "../http/respond.ts";

/**
 * An application that cannot be reached, or that leaves: the client gets a response, which counts as the application's own.
 * Such errors are therefore not counted once more as errors of the proxy.
 *
 * Source: linkerd2-proxy, linkerd/app/inbound/src/http/router.rs (ClientRescue).
 */
const UNREACHABLE: ReadonlyMap<ErrorCode, Responding> = new Map([
  ["io", respondWith(502, 14, "close")],
  ["bad_message", respondWith(502, 14, "close")],
  ["upstream_closed", respondWith(502, 14, "close")],
  ["connect_timeout", respondWith(504, 4, "close")],
]);

/** What the client gets for such an error; undefined for errors of any other kind. */
export function unreachableAs(code: ErrorCode): Responding | undefined {
  return UNREACHABLE.get(code);
}

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
  ...[...UNREACHABLE].map(([code, rescue]) => ({ code, rescue })),
  { code: "h2_reset", rescue: { kind: "reset" } },
  { code: "h2_goaway", rescue: { kind: "reset" } },
];
