import type { Cidr } from "../addr/cidr.ts";
import type { DnsName } from "../addr/dns-name.ts";
import type { Ip } from "../addr/ip.ts";
import type { Addr } from "../addr/name-addr.ts";
import type { PortRanges } from "../addr/port-ranges.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { Id } from "../identity/id.ts";
import type { BackoffParams } from "../time/backoff.ts";

/** Everything the data plane is told at start. Immutable; nothing is re-read later except the files it names. */
export interface Config {
  readonly inbound: InboundConfig;
  readonly outbound: OutboundConfig;
  readonly admin: AdminConfig;
  /** Undefined: nobody can watch requests. */
  readonly tap: TapConfig | undefined;
  readonly identity: IdentityConfig;
  readonly control: ControlConfig;
  readonly log: LogConfig;
  readonly shutdown: ShutdownConfig;
  readonly metrics: MetricsConfig;
  /** Undefined: no traces are gathered. */
  readonly trace: TraceConfig | undefined;
  /** Listeners of our own that lead to one name each (`OUTRIGGER_FORWARD`). */
  readonly forwards: readonly ForwardConfig[];
  /** How the original destination of a redirected connection is found (`OUTRIGGER_ORIG_DST`). */
  readonly origDst: "auto" | "so_original_dst" | "local";
  /** Whether buffers are overwritten when they are freed (`OUTRIGGER_DEBUG_BUFFERS`). */
  readonly debugBuffers: boolean;
  /** Names of what was set in vain or by default and deserves a line at start: WARN texts. */
  readonly warnings: readonly string[];
}

/** Accepting and dialling on one side of the proxy. Undefined times leave the system's own. */
export interface TransportConfig {
  readonly listenBacklog: number | undefined;
  readonly acceptKeepAliveMs: number | undefined;
  readonly acceptUserTimeoutMs: number | undefined;
  readonly connectTimeoutMs: number;
  readonly connectKeepAliveMs: number | undefined;
  readonly connectUserTimeoutMs: number | undefined;
  readonly connectBackoff: BackoffParams;
  /** Idle HTTP/1 connections kept per endpoint. */
  readonly maxIdleConnsPerEndpoint: number;
  readonly http1PoolIdleTimeoutMs: number;
  readonly http2Client: Http2ClientConfig;
  readonly http2Server: Http2ServerConfig;
  readonly detectTimeoutMs: number;
  readonly httpQueueCapacity: number;
  readonly httpFailfastTimeoutMs: number;
  readonly maxInFlightRequests: number;
  readonly discoveryIdleTimeoutMs: number;
}

export interface Http2ClientConfig {
  readonly streamWindow: number;
  readonly connectionWindow: number;
}

/** Undefined leaves what the HTTP/2 server chooses by itself. */
export interface Http2ServerConfig {
  readonly keepAlive: { readonly intervalMs: number; readonly timeoutMs: number } | undefined;
  readonly maxConcurrentStreams: number | undefined;
  readonly maxFrameSize: number | undefined;
  readonly maxHeaderListSize: number | undefined;
  readonly maxPendingAcceptResetStreams: number | undefined;
  readonly maxSendBufferSize: number | undefined;
  readonly flowControl:
    | { readonly kind: "adaptive" }
    | { readonly kind: "fixed"; readonly streamWindow: number; readonly connectionWindow: number };
}

/** What a port does until the policy controller says more. */
export type DefaultPolicy =
  | "deny"
  | "all-authenticated"
  | "all-unauthenticated"
  | "cluster-authenticated"
  | "cluster-unauthenticated"
  | "audit";

export interface InboundConfig extends TransportConfig {
  readonly listen: SocketAddr;
  readonly defaultPolicy: DefaultPolicy;
  /** Ports whose policy is watched from start. The admin port is not added here. */
  readonly ports: PortRanges;
  readonly opaquePorts: PortRanges;
  /** Original destinations that are accepted; empty accepts all. */
  readonly ips: readonly Ip[];
  /** Empty: no gateway. */
  readonly gatewaySuffixes: readonly string[];
  readonly clusterNetworks: readonly Cidr[];
  readonly profileInitialTimeoutMs: number;
  /** Whether inbound metrics show the authority, which clients choose. */
  readonly authorityLabels: boolean;
  readonly accessLog: "off" | "apache" | "json";
  /** Whether clients that are not meshed may send no `l5d-*` header at all (`OUTRIGGER_INBOUND_STRIP_L5D_HEADERS`). */
  readonly stripsL5dHeaders: boolean;
  /** Whether requests with several, malformed or differing hosts are passed on (`OUTRIGGER_INBOUND_ANY_HOST`). */
  readonly anyHost: boolean;
}

export interface OutboundConfig extends TransportConfig {
  /** One or two. */
  readonly listen: readonly SocketAddr[];
  readonly tcpQueueCapacity: number;
  readonly tcpFailfastTimeoutMs: number;
  readonly ingressMode: boolean;
  /** Whether our own responses tell why in `l5d-proxy-error` and its like. */
  readonly informationalHeaders: boolean;
  readonly hostnameLabels: boolean;
  /** How long a client is silent before its server is dialled (`OUTRIGGER_DIAL_AHEAD_AFTER`); undefined: never. */
  readonly dialAheadAfterMs: number | undefined;
  /** Whether loopback addresses may be dialled as destinations (`OUTRIGGER_ALLOW_LOOPBACK`). */
  readonly allowLoopback: boolean;
}

export interface AdminConfig {
  readonly listen: SocketAddr;
  readonly shutdownEndpoint: boolean;
}

export interface TapConfig {
  readonly listen: SocketAddr;
  /** The one client that is let in. */
  readonly service: Id;
}

/** Who we are and how we come by a certificate: from the identity service, or from a SPIRE agent. */
export type IdentityConfig = CertifyConfig | SpireConfig;

interface OwnIdentity {
  readonly id: Id;
  /** SNI that peers use for us. */
  readonly serverName: DnsName;
  /** PEM text of one or more certificates, not yet read. */
  readonly trustAnchorsPem: string;
}

export interface CertifyConfig extends OwnIdentity {
  readonly kind: "certify";
  readonly service: ControlAddr;
  /** Directory that may hold `key.p8` and `csr.der` (both DER). */
  readonly dir: string;
  /** Read again for every certification. */
  readonly tokenFile: string;
  readonly minRefreshMs: number;
  readonly maxRefreshMs: number;
}

/** The id is a SPIFFE URI here. */
export interface SpireConfig extends OwnIdentity {
  readonly kind: "spire";
  /** The agent's Unix socket. */
  readonly socketPath: string;
  readonly backoff: BackoffParams;
}

/** A controller. Without a name it is on loopback and spoken to in clear text; with one, that is both SNI and expected identity. */
export interface ControlAddr {
  readonly addr: Addr;
  readonly name: DnsName | undefined;
}

export interface ControlConfig {
  readonly destination: ControlAddr;
  /** Sent byte for byte with destination lookups. */
  readonly destinationContext: string;
  readonly policy: ControlAddr;
  /** Sent byte for byte with policy lookups. */
  readonly policyWorkload: string;
  /** Names that profiles may be asked for; "." is every name. */
  readonly profileSuffixes: readonly string[];
  /** Addresses that profiles may be asked for. */
  readonly profileNetworks: readonly Cidr[];
  /** Undefined is no limit. Limits hold for controllers that are not on loopback. */
  readonly streamInitialTimeoutMs: number | undefined;
  readonly streamIdleTimeoutMs: number | undefined;
  readonly streamLifetimeMs: number | undefined;
  readonly dnsMinTtlMs: number | undefined;
  readonly dnsMaxTtlMs: number | undefined;
}

export interface LogConfig {
  /** Undefined: logging is off, and with it the endpoint that would change it. */
  readonly filter: string | undefined;
  readonly format: "plain" | "json";
}

export interface ShutdownConfig {
  readonly gracePeriodMs: number;
}

export interface MetricsConfig {
  readonly retainIdleMs: number;
}

/** Who is told of spans, and what they tell of this process. Texts are unread. */
export interface TraceConfig {
  readonly collector: ControlAddr;
  readonly serviceName: string | undefined;
  readonly attributesPath: string | undefined;
  readonly extraAttributes: string | undefined;
  readonly otelAttributes: string | undefined;
  readonly hostName: string | undefined;
}

export interface ForwardConfig {
  readonly listen: SocketAddr;
  readonly target: Addr;
}
