import type { Config } from "../config/config.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import type { TracePoints } from "../http/trace-requests.ts";
import { BalancerMetricsFactory } from "../outbound/balancer-metrics.ts";
import { DIALS_AHEAD_MAX, TargetCache, type OutboundContext } from "../outbound/context.ts";
import { Dialer } from "../outbound/dial.ts";
import { RouteMetricsFactory } from "../outbound/http/route-metrics.ts";
import { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import { Originator } from "../tls/originate.ts";
import { http2Client, http2Server } from "./options.ts";
import type { ProxyShared } from "./shared.ts";

/** @param trace where requests get spans; undefined where no traces are gathered. */
export function outboundContext(
  config: Config,
  proxy: ProxyShared,
  control: ControlPlane,
  trace: TracePoints | undefined,
): OutboundContext {
  const { clock, random, families, transportMetrics, credentials, pacer, origDst, drain, logging, taps } =
    proxy;
  const { outbound } = config;
  const { connectTimeoutMs, connectKeepAliveMs: keepAliveMs, connectUserTimeoutMs: userTimeoutMs } = outbound;
  const shared = {
    clock,
    random,
    families,
    transportMetrics,
    control,
    origDst,
    drain,
    trace,
    taps,
    log: logging.log.target("linkerd_app_outbound").span("outbound"),
    dialer: new Dialer({
      clock,
      families,
      transportMetrics,
      originator: new Originator({ credentials, pacer, connectTimeoutMs, keepAliveMs, userTimeoutMs, clock }),
      connectTimeoutMs,
      keepAliveMs,
      userTimeoutMs,
      localIps: config.inbound.ips,
      allowLoopback: outbound.allowLoopback,
    }),
    discovery: {
      profileSuffixes: config.control.profileSuffixes,
      profileNetworks: config.control.profileNetworks,
      detectTimeoutMs: outbound.detectTimeoutMs,
    },
    routeMetrics: new RouteMetricsFactory(families, () => clock.nowMs()),
    balancerMetrics: new BalancerMetricsFactory(families),
    inFlight: new ConcurrencyLimit(outbound.maxInFlightRequests),
    backoff: outbound.connectBackoff,
    http2: http2Client(outbound),
    maxIdleHttp1: outbound.maxIdleConnsPerEndpoint,
    http1IdleTimeoutMs: outbound.http1PoolIdleTimeoutMs,
    informationalHeaders: outbound.informationalHeaders,
    httpQueueCapacity: outbound.httpQueueCapacity,
    httpFailfastTimeoutMs: outbound.httpFailfastTimeoutMs,
    tcpQueueCapacity: outbound.tcpQueueCapacity,
    tcpFailfastTimeoutMs: outbound.tcpFailfastTimeoutMs,
    hostnameLabels: outbound.hostnameLabels,
    dialsAhead: new ConcurrencyLimit(DIALS_AHEAD_MAX),
    options: {
      ingressMode: outbound.ingressMode,
      dialAheadAfterMs: outbound.dialAheadAfterMs,
      detectTimeoutMs: outbound.detectTimeoutMs,
      http2Server: http2Server(outbound.http2Server),
    },
  };
  return { ...shared, targets: new TargetCache(shared, outbound.discoveryIdleTimeoutMs) };
}
