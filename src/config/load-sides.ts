import type { BackoffParams } from "../time/backoff.ts";
import type { Http2ClientConfig, Http2ServerConfig, InboundConfig, OutboundConfig } from "./config.ts";
import { VARIABLES } from "./env-names.ts";
import { loadBackoff } from "./load-backoff.ts";
import { shorten, type Reader } from "./reader.ts";

const INBOUND_BACKOFF: BackoffParams = { minMs: 100, maxMs: 10_000, jitter: 0.1 };
const OUTBOUND_BACKOFF: BackoffParams = { minMs: 100, maxMs: 60_000, jitter: 0.1 };

/** Windows of HTTP/2 servers unless both are set. Source: linkerd2-proxy, linkerd/app/src/env.rs; LIM-12. */
const SERVER_STREAM_WINDOW = 65_535;
const SERVER_CONNECTION_WINDOW = 1_048_576;

/** @param warnings takes what deserves a line at start without being wrong. */
export function loadInbound(r: Reader, http2Client: Http2ClientConfig, warnings: string[]): InboundConfig {
  const V = VARIABLES;
  const clusterNetworks = r.value(V.clusterNetworks);
  const defaultPolicy = r.optional(V.defaultPolicy) ?? "all-unauthenticated";
  if (!r.isSet(V.defaultPolicy)) {
    warnings.push(
      `${V.defaultPolicy.name} is not set: every port is open until the policy controller says more`,
    );
  }
  if (defaultPolicy.startsWith("cluster-") && clusterNetworks.length === 0) {
    r.invalid(
      V.defaultPolicy,
      `${V.clusterNetworks.name} names no networks`,
      `both to be set, or another policy`,
    );
  }
  return {
    listen: r.value(V.inboundListenAddr),
    listenBacklog: r.optional(V.inboundListenBacklog),
    acceptKeepAliveMs: r.optional(V.inboundAcceptKeepAlive),
    acceptUserTimeoutMs: r.optional(V.inboundAcceptUserTimeout),
    connectTimeoutMs: r.value(V.inboundConnectTimeout),
    connectKeepAliveMs: r.optional(V.inboundConnectKeepAlive),
    connectUserTimeoutMs: r.optional(V.inboundConnectUserTimeout),
    connectBackoff: loadBackoff(r, V.inboundBackoff, INBOUND_BACKOFF),
    maxIdleConnsPerEndpoint: r.value(V.inboundMaxIdleConns),
    http1PoolIdleTimeoutMs: r.value(V.inboundPoolIdleTimeout),
    http2Client,
    http2Server: loadHttp2Server(r, V.inboundHttp2Server),
    detectTimeoutMs: r.value(V.inboundDetectTimeout),
    httpQueueCapacity: r.value(V.inboundHttpQueueCapacity),
    httpFailfastTimeoutMs: r.value(V.inboundHttpFailfastTimeout),
    maxInFlightRequests: r.value(V.inboundMaxInFlight),
    discoveryIdleTimeoutMs: r.value(V.inboundDiscoveryIdleTimeout),
    defaultPolicy,
    ports: r.value(V.inboundPorts),
    opaquePorts: r.value(V.inboundOpaquePorts),
    ips: r.optional(V.inboundIps) ?? [],
    gatewaySuffixes: r.value(V.gatewaySuffixes),
    clusterNetworks,
    profileInitialTimeoutMs: r.value(V.profileInitialTimeout),
    authorityLabels: r.value(V.authorityLabels),
    accessLog: loadAccessLog(r, warnings),
    stripsL5dHeaders: r.value(V.stripL5dHeaders),
    anyHost: r.value(V.anyHost),
  };
}

/** Lenient, as the model is: an access log that nobody can read must not keep an application down. */
function loadAccessLog(r: Reader, warnings: string[]): InboundConfig["accessLog"] {
  const word = (r.optional(VARIABLES.accessLog) ?? "").trim().toLowerCase();
  if (word === "apache" || word === "json") return word;
  if (word !== "" && word !== "off") {
    warnings.push(
      `${VARIABLES.accessLog.name}=${JSON.stringify(shorten(word))} is ignored: it may be apache or json`,
    );
  }
  return "off";
}

export function loadOutbound(r: Reader, http2Client: Http2ClientConfig): OutboundConfig {
  const V = VARIABLES;
  const ingressMode = r.value(V.ingressMode);
  // The older name is read even where it is not needed, so that a mistake in it is found.
  const listenOne = r.value(V.outboundListenAddr);
  return {
    listen: r.optional(V.outboundListenAddrs) ?? [listenOne],
    listenBacklog: r.optional(V.outboundListenBacklog),
    acceptKeepAliveMs: r.optional(V.outboundAcceptKeepAlive),
    acceptUserTimeoutMs: r.optional(V.outboundAcceptUserTimeout),
    connectTimeoutMs: r.value(V.outboundConnectTimeout),
    connectKeepAliveMs: r.optional(V.outboundConnectKeepAlive),
    connectUserTimeoutMs: r.optional(V.outboundConnectUserTimeout),
    connectBackoff: loadBackoff(r, V.outboundBackoff, OUTBOUND_BACKOFF),
    maxIdleConnsPerEndpoint: r.value(V.outboundMaxIdleConns),
    http1PoolIdleTimeoutMs: r.value(V.outboundPoolIdleTimeout),
    http2Client,
    http2Server: loadHttp2Server(r, V.outboundHttp2Server),
    detectTimeoutMs: r.value(V.outboundDetectTimeout),
    httpQueueCapacity: r.value(V.outboundHttpQueueCapacity),
    httpFailfastTimeoutMs: r.value(V.outboundHttpFailfastTimeout),
    maxInFlightRequests: r.value(V.outboundMaxInFlight),
    discoveryIdleTimeoutMs: r.value(V.outboundDiscoveryIdleTimeout),
    tcpQueueCapacity: r.value(V.outboundTcpQueueCapacity),
    tcpFailfastTimeoutMs: r.value(V.outboundTcpFailfastTimeout),
    ingressMode,
    informationalHeaders: !(r.optional(V.disableInformationalHeaders) ?? ingressMode),
    hostnameLabels: r.value(V.hostnameLabels),
    dialAheadAfterMs: r.value(V.dialAheadAfter),
    allowLoopback: r.value(V.allowLoopback),
  };
}

/** What all HTTP/2 clients of the proxy share. */
export function loadHttp2Client(r: Reader): Http2ClientConfig {
  return {
    streamWindow: r.value(VARIABLES.http2StreamWindow),
    connectionWindow: r.value(VARIABLES.http2ConnectionWindow),
  };
}

function loadHttp2Server(r: Reader, names: typeof VARIABLES.inboundHttp2Server): Http2ServerConfig {
  const intervalMs = r.optional(names.keepAliveInterval);
  const timeoutMs = r.optional(names.keepAliveTimeout);
  const adaptive = r.value(names.adaptiveFlowControl);
  const streamWindow = r.optional(names.streamWindow);
  const connectionWindow = r.optional(names.connectionWindow);
  const both = streamWindow !== undefined && connectionWindow !== undefined;
  const fixed = both
    ? { streamWindow, connectionWindow }
    : { streamWindow: SERVER_STREAM_WINDOW, connectionWindow: SERVER_CONNECTION_WINDOW };
  return {
    keepAlive: intervalMs !== undefined && timeoutMs !== undefined ? { intervalMs, timeoutMs } : undefined,
    maxConcurrentStreams: r.optional(names.maxConcurrentStreams),
    maxFrameSize: r.optional(names.maxFrameSize),
    maxHeaderListSize: r.optional(names.maxHeaderListSize),
    maxPendingAcceptResetStreams: r.optional(names.maxPendingAcceptResetStreams),
    maxSendBufferSize: r.optional(names.maxSendBufferSize),
    flowControl: adaptive ? { kind: "adaptive" } : { kind: "fixed", ...fixed },
  };
}
