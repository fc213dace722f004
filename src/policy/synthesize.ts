import type { NameAddr } from "../addr/name-addr.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type {
  ClientPolicy,
  Dispatcher,
  Distribution,
  HttpClientRoutes,
  LoadParams,
  Timeouts,
} from "./client-policy.ts";
import { NO_METADATA, type Endpoint } from "./endpoint.ts";
import { metaDefault } from "./meta.ts";

/** Why there is a policy although the controller had none; the name it carries in metrics. */
export type SynthesizedName = "endpoint" | "fallback" | "profile" | "gateway";

/** No limit of any kind. */
export const NO_TIMEOUTS: Timeouts = { requestMs: undefined, responseMs: undefined, idleMs: undefined };

/** Source: linkerd2-proxy, linkerd/app/outbound/src/http/concrete/balance.rs (default RTT and decay). */
export const DEFAULT_LOAD: LoadParams = { kind: "peak_ewma", defaultRttMs: 30, decayMs: 10_000 };

/**
 * A policy that forwards everything to one endpoint: one that a profile describes, or the address that the application
 * dialled (see `unknownEndpoint`).
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/sidecar.rs and ingress.rs.
 */
export function synthesizeForward(
  name: SynthesizedName,
  endpoint: Endpoint,
  detectTimeoutMs: number,
): ClientPolicy {
  return synthesize(name, { kind: "forward", endpoint }, detectTimeoutMs);
}

/** A policy that balances everything over the endpoints of a name. */
export function synthesizeBalance(
  name: SynthesizedName,
  path: NameAddr,
  detectTimeoutMs: number,
): ClientPolicy {
  return synthesize(name, { kind: "balance", path, load: DEFAULT_LOAD }, detectTimeoutMs);
}

/** An address of which discovery knows nothing: clear text, no hints. */
export function unknownEndpoint(addr: SocketAddr): Endpoint {
  return { addr, metadata: NO_METADATA };
}

function synthesize(name: SynthesizedName, dispatcher: Dispatcher, detectTimeoutMs: number): ClientPolicy {
  const meta = metaDefault(name);
  const distribution: Distribution<never> = {
    kind: "first_available",
    backends: [{ backend: { meta, dispatcher }, filters: [] }],
  };
  const routes: HttpClientRoutes = {
    routes: [
      {
        meta,
        hosts: [],
        rules: [
          {
            matches: [],
            filters: [],
            distribution,
            timeouts: NO_TIMEOUTS,
            retry: undefined,
            allowL5dRequestHeaders: false,
          },
        ],
      },
    ],
    failureAccrual: undefined,
  };
  return {
    parent: meta,
    protocol: {
      kind: "detect",
      timeoutMs: detectTimeoutMs,
      http1: routes,
      http2: routes,
      opaque: { meta, filters: [], distribution },
    },
  };
}
