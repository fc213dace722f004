import { formatSocketAddr } from "../../addr/socket-addr.ts";
import type { Load } from "../../balance/load.ts";
import { PeakEwma } from "../../balance/peak-ewma.ts";
import { PenaltyPeakEwma } from "../../balance/penalty-peak-ewma.ts";
import { ReconnectingH2 } from "../../http/client/reconnecting-h2.ts";
import { EndpointMetrics } from "../../http/endpoint-metrics.ts";
import { EnforceTimeouts } from "../../http/enforce-timeouts.ts";
import type { H2Options } from "../../http/h2-options.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../../http/message.ts";
import { OrigProtoUpgrade } from "../../http/orig-proto.ts";
import { H1Pool } from "../../http/pool.ts";
import { RescueService } from "../../http/respond.ts";
import type { TracePoint, TracePoints } from "../../http/trace-requests.ts";
import type { Log } from "../../log/log.ts";
import type { Families } from "../../metrics/families.ts";
import { outboundEndpointLabels, type OutboundEndpoint } from "../../metrics/labels.ts";
import type { LoadParams } from "../../policy/client-policy.ts";
import type { Endpoint, Http2Overrides } from "../../policy/endpoint.ts";
import { outboundTapPoint } from "../../tap/point.ts";
import type { TapRegistry } from "../../tap/registry.ts";
import { TappedService } from "../../tap/tapped-service.ts";
import type { BackoffParams } from "../../time/backoff.ts";
import type { Clock } from "../../time/clock.ts";
import type { Dialer } from "../dial.ts";
import { CLIENT_RESCUE, ORIG_PROTO_RESCUE } from "../rescue.ts";
import { BalancedExchange } from "./balanced-exchange.ts";
import type { HttpEndpoint } from "./balancer.ts";
import { EndpointBreaker, type BreakerPolicy } from "./breaker.ts";
import { JudgedExchange, type Judgement } from "./judged-exchange.ts";
import { ProxyHeaders } from "./proxy-headers.ts";

export interface EndpointContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly families: Families;
  readonly dialer: Dialer;
  readonly backoff: BackoffParams;
  readonly http2: H2Options;
  readonly maxIdleHttp1: number;
  readonly http1IdleTimeoutMs: number;
  /** Whether responses of our own tell why. */
  readonly informationalHeaders: boolean;
  /** Undefined where no traces are gathered. */
  readonly trace?: TracePoints | undefined;
  /** Undefined in a proxy that cannot be tapped. */
  readonly taps?: TapRegistry | undefined;
}

/** What an endpoint stack is built for. */
export interface EndpointTarget {
  readonly endpoint: Endpoint;
  /** What the application speaks. */
  readonly version: 1 | 2;
  readonly load: LoadParams;
  /** Undefined where the policy wants no circuit breaker, and for a single endpoint, which has no others to stand in. */
  readonly breaker?: BreakerPolicy | undefined;
  /** `name:port` of the balancer, for metrics; undefined for a single endpoint. */
  readonly authority: OutboundEndpoint["authority"];
}

/**
 * One endpoint of an HTTP backend. From the outside in: the span of the attempt where traces are gathered, what is
 * measured and judged, what taps see, what becomes of its failures, which headers of the proxies stay with the proxies, and
 * the client.
 *
 * Which client: HTTP/2 requests, and HTTP/1 requests to a peer that takes them over HTTP/2, share one connection that is
 * made eagerly; until it stands the endpoint is not ready. Other HTTP/1 endpoints are always ready and connect per
 * request. Upgrades and CONNECT always travel as HTTP/1. An endpoint whose circuit breaker is shut is not ready either.
 *
 * The breaker stands outside of the rescue: a server that cannot be reached answers with a 502 and is judged by it.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/endpoint.rs.
 */
export class EndpointStack implements HttpEndpoint {
  readonly #metrics: EndpointMetrics;
  readonly #load: Load;
  readonly #clock: Clock;
  readonly #trace: TracePoint | undefined;
  readonly #breaker: EndpointBreaker | undefined;
  /** Undefined where nothing asks about answers. */
  readonly #judgement: Judgement | undefined;
  readonly #h2: ReconnectingH2 | undefined;
  readonly #http1: H1Pool | undefined;
  readonly #service: HttpService;
  /** The same for requests with timeouts. */
  readonly #timed: HttpService;

  constructor(target: EndpointTarget, context: EndpointContext, readinessChanged: () => void) {
    const { endpoint, version, load, authority, breaker } = target;
    const { clock, dialer, random } = context;
    this.#clock = clock;
    this.#trace = context.trace?.client;
    const at: OutboundEndpoint = {
      authority,
      addr: endpoint.addr,
      tls: dialer.tlsOf(endpoint),
      labels: endpoint.metadata.labels,
    };
    this.#metrics = new EndpointMetrics(context.families, outboundEndpointLabels(at), () => clock.nowMs());
    this.#load = loadFor(load, clock.nowMs());
    const local = dialer.isLocal(endpoint.addr);
    const overHttp2 = version === 2 || (endpoint.metadata.protocolHint === "h2" && !local);
    const name = formatSocketAddr(endpoint.addr);
    this.#breaker =
      breaker === undefined
        ? undefined
        : new EndpointBreaker({
            accrual: breaker.accrual,
            clock,
            random,
            log: context.log,
            name,
            onReadiness: readinessChanged,
          });
    const penalizes = load.kind === "penalty_peak_ewma";
    this.#judgement =
      breaker !== undefined || penalizes
        ? { breaker: this.#breaker, isAlwaysGrpc: breaker?.isGrpc === true, penalizes }
        : undefined;
    this.#h2 = overHttp2
      ? new ReconnectingH2({
          clock,
          random,
          backoff: context.backoff,
          http2: http2Options(context.http2, endpoint),
          connect: (signal) => dialer.dial(endpoint, "http2", at, signal),
          onReadiness: readinessChanged,
          // Once per outage for everybody; each attempt for whoever looks closely.
          onConnectError: (error, isFirst) =>
            context.log[isFirst ? "warn" : "debug"]("Failed to connect", {
              "endpoint.addr": name,
              error: error.message,
            }),
        })
      : undefined;
    this.#http1 =
      version === 1
        ? new H1Pool({
            clock,
            maxIdle: context.maxIdleHttp1,
            idleTimeoutMs: context.http1IdleTimeoutMs,
            connect: () => dialer.dial(endpoint, "http1", at),
          })
        : undefined;
    const client = clientFor(this.#h2, this.#http1);
    const authorityOverride = local ? undefined : endpoint.metadata.authorityOverride;
    const headers = new ProxyHeaders(client, {
      name: `endpoint ${name}`,
      tls: dialer.tlsOf(endpoint),
      authorityOverride,
      followsClose: authority === undefined && at.tls.kind === "established",
    });
    const rescued = new RescueService(headers, {
      table: version === 1 && overHttp2 ? ORIG_PROTO_RESCUE : CLIENT_RESCUE,
      outermost: false,
      informationalHeaders: context.informationalHeaders,
      onError: (error) =>
        context.log.debug("Request failed", { "endpoint.addr": name, error: error.message }),
    });
    const timed = new EnforceTimeouts(rescued, clock, `endpoint ${name}`);
    const { taps } = context;
    if (taps === undefined) {
      this.#service = rescued;
      this.#timed = timed;
    } else {
      const point = outboundTapPoint({ ...at, tls: dialer.tlsOf(endpoint), authorityOverride });
      this.#service = new TappedService(taps, point, rescued);
      this.#timed = new TappedService(taps, point, timed);
    }
    this.#h2?.start();
  }

  get ready(): boolean {
    if (this.#breaker?.admits === false) return false;
    return this.#h2 === undefined || this.#h2.ready;
  }

  load(nowMs: number): number {
    return this.#load.load(nowMs);
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    this.#metrics.countRequest();
    const traced = this.#trace === undefined ? response : this.#trace.begin(head, response);
    const exchange =
      this.#judgement === undefined
        ? new BalancedExchange(this.#metrics, this.#load, this.#clock, head, traced)
        : new JudgedExchange(this.#judgement, this.#metrics, this.#load, this.#clock, head, traced);
    return exchange.start(head.timeouts === undefined ? this.#service : this.#timed, head, last);
  }

  close(): void {
    this.#breaker?.close();
    this.#h2?.close();
    this.#http1?.close();
    this.#metrics.close();
  }
}

function loadFor(params: LoadParams, nowMs: number): Load {
  return params.kind === "penalty_peak_ewma"
    ? new PenaltyPeakEwma(params, nowMs)
    : new PeakEwma(params.defaultRttMs, params.decayMs, nowMs);
}

/** Discovery may set the HTTP/2 parameters of an endpoint; groups it leaves out stay as they are configured. */
function http2Options(own: H2Options, { metadata: { http2 } }: Endpoint): H2Options {
  if (http2 === undefined) return own;
  const { flowControl, keepAlive, maxFrameSize, maxConcurrentResetStreams, maxSendBufferSize } = http2;
  return {
    ...own,
    ...(flowControl === undefined ? {} : windowsOf(flowControl)),
    ...(keepAlive === undefined ? {} : { keepAlive }),
    ...(maxFrameSize === undefined ? {} : { frameBytes: maxFrameSize }),
    ...(maxConcurrentResetStreams === undefined ? {} : { resetStreams: maxConcurrentResetStreams }),
    ...(maxSendBufferSize === undefined ? {} : { sendBufferBytes: maxSendBufferSize }),
  };
}

function windowsOf(flowControl: NonNullable<Http2Overrides["flowControl"]>): H2Options {
  if (flowControl.kind === "adaptive") return { adaptiveWindows: true };
  const { streamWindow, connectionWindow } = flowControl;
  return { adaptiveWindows: false, streamWindowBytes: streamWindow, connectionWindowBytes: connectionWindow };
}

function clientFor(h2: ReconnectingH2 | undefined, http1: H1Pool | undefined): HttpService {
  if (h2 === undefined) {
    if (http1 === undefined) throw new Error("an endpoint needs a client");
    return http1;
  }
  return http1 === undefined ? h2 : new OrigProtoUpgrade(h2, http1);
}
