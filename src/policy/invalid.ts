import type { ClientPolicy, HttpClientRoutes } from "./client-policy.ts";
import type { Filter } from "./filter.ts";
import { metaDefault } from "./meta.ts";
import type { ServerPolicy } from "./server-policy.ts";

/** How a policy that could not be understood is named in metrics. */
export const INVALID_POLICY_META = metaDefault("invalid");

/**
 * Stands in for a server policy that could not be understood. It authorizes nobody, not even localhost: HTTP requests
 * get 403, other connections are closed.
 *
 * Source: linkerd2-proxy, linkerd/proxy/server-policy/src/lib.rs (ServerPolicy::invalid).
 */
export function invalidServerPolicy(detectTimeoutMs: number): ServerPolicy {
  const route = {
    meta: INVALID_POLICY_META,
    hosts: [],
    rules: [{ matches: [], filters: [internalError("invalid server policy configuration")] }],
    authorizations: [],
  };
  return {
    meta: INVALID_POLICY_META,
    protocol: { kind: "detect", timeoutMs: detectTimeoutMs, routes: [route], rateLimit: undefined },
    authorizations: [],
  };
}

/**
 * Stands in for a client policy that could not be understood: requests fail with 500, other connections are closed.
 *
 * Source: linkerd2-proxy, linkerd/proxy/client-policy/src/lib.rs (ClientPolicy::invalid).
 */
export function invalidClientPolicy(detectTimeoutMs: number): ClientPolicy {
  const message = "invalid client policy configuration";
  const routes: HttpClientRoutes = {
    routes: [
      {
        meta: INVALID_POLICY_META,
        hosts: [],
        rules: [
          {
            matches: [],
            filters: [internalError(message)],
            distribution: { kind: "empty" },
            timeouts: { requestMs: undefined, responseMs: undefined, idleMs: undefined },
            retry: undefined,
            allowL5dRequestHeaders: false,
          },
        ],
      },
    ],
    failureAccrual: undefined,
  };
  return {
    parent: INVALID_POLICY_META,
    protocol: {
      kind: "detect",
      timeoutMs: detectTimeoutMs,
      http1: routes,
      http2: routes,
      opaque: {
        meta: INVALID_POLICY_META,
        filters: [{ kind: "internal_error", message }],
        distribution: { kind: "empty" },
      },
    },
  };
}

function internalError(message: string): Filter {
  return { kind: "internal_error", message };
}
