import type { DnsName } from "../addr/dns-name.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { Id } from "../identity/id.ts";

/** One socket address with what discovery knows about it. */
export interface Endpoint {
  readonly addr: SocketAddr;
  readonly metadata: EndpointMetadata;
}

export interface EndpointMetadata {
  /** Who must answer there, or why no TLS is spoken. `invalid` fails every connection: it never means clear text. */
  readonly identity:
    | { readonly kind: "mesh"; readonly serverId: Id; readonly serverName: DnsName }
    | { readonly kind: "none" }
    | { readonly kind: "invalid"; readonly problem: string };
  readonly protocolHint: "unknown" | "h2" | "opaque";
  /** The peer proxy's inbound port, to be dialled instead of the endpoint's own with a transport header. */
  readonly taggedTransportPort: number | undefined;
  /** `host` or `host:port` that replaces the request's authority (multicluster gateways). */
  readonly authorityOverride: string | undefined;
  readonly http2: Http2Overrides | undefined;
  /** Labels for metrics, set and endpoint labels merged, without the `dst_` prefix, sorted by name. */
  readonly labels: readonly (readonly [string, string])[];
  readonly zoneLocality: "unknown" | "local" | "remote";
}

/** HTTP/2 client settings that discovery gives for one endpoint; absent groups keep the proxy's own. */
export interface Http2Overrides {
  readonly flowControl:
    | { readonly kind: "adaptive" }
    | { readonly kind: "fixed"; readonly streamWindow: number; readonly connectionWindow: number }
    | undefined;
  readonly keepAlive:
    | { readonly intervalMs: number; readonly timeoutMs: number; readonly whileIdle: boolean }
    | undefined;
  readonly maxConcurrentResetStreams: number | undefined;
  readonly maxFrameSize: number | undefined;
  readonly maxSendBufferSize: number | undefined;
}

/** Metadata of an address nobody told us about: clear text, no hints. */
export const NO_METADATA: EndpointMetadata = {
  identity: { kind: "none" },
  protocolHint: "unknown",
  taggedTransportPort: undefined,
  authorityOverride: undefined,
  http2: undefined,
  labels: [],
  zoneLocality: "unknown",
};

/** Incremental change of an endpoint set. `reset` replaces all. Keys are `ip:port`. */
export type EndpointUpdate =
  | { readonly kind: "reset"; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: "add"; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: "remove"; readonly addrs: readonly SocketAddr[] };
