import type { Ip } from "../addr/ip.ts";
import type { AccessLogOutput } from "../http/access-log.ts";
import type { NameAddr } from "../addr/name-addr.ts";
import type { H2Options, H2ServerOptions } from "../http/h2-options.ts";
import type { Log } from "../log/log.ts";
import type { Families } from "../metrics/families.ts";
import type { TapRegistry } from "../tap/registry.ts";
import type { BackoffParams } from "../time/backoff.ts";
import type { Clock } from "../time/clock.ts";
import type { Credentials } from "../tls/credentials.ts";
import type { Terminator } from "../tls/terminate.ts";
import type { OrigDst } from "../transport/orig-dst/orig-dst.ts";
import type { TransportMetrics } from "../transport/transport-metrics.ts";
import type { Watch } from "../watch/watch.ts";
import type { Drain } from "../stack/drain.ts";
import type { SocketAddr } from "../addr/socket-addr.ts";
import type { HttpService } from "../http/message.ts";
import type { TracePoints } from "../http/trace-requests.ts";
import type { Handle } from "../stack/idle-cache.ts";
import type { ForwardEnd } from "../transport/forward.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { ApplicationTarget } from "./application.ts";
import type { InboundConnection } from "./connection.ts";
import type { PolicyStore } from "./policy-store.ts";

/** What the parts of the inbound proxy share. */
export interface InboundContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly families: Families;
  readonly transportMetrics: TransportMetrics;
  readonly origDst: OrigDst;
  readonly credentials: Watch<Credentials>;
  readonly terminator: Terminator;
  readonly policies: PolicyStore;
  readonly applications: Applications;
  readonly drain: Drain;
  /** Undefined: no access log, and no layer for it. */
  readonly accessLog?: AccessLogOutput | undefined;
  /** Absent: this proxy takes connections for its own workload only. */
  readonly gateway?: Gateway;
  /** Undefined where no traces are gathered. */
  readonly trace?: TracePoints | undefined;
  /** Undefined in a proxy that cannot be tapped. */
  readonly taps?: TapRegistry | undefined;
  readonly options: InboundOptions;
}

/** Where connections go that are for somebody else: peers of other clusters reach the services of this one through it. */
export interface Gateway {
  /**
   * Serves a connection whose transport header names a target. The policy of the inbound port, which `connection` has,
   * decides what may pass: a connection of bytes before anything else happens, HTTP request by request.
   *
   * @throws ProxyError why the connection is to be closed.
   */
  serve(
    context: InboundContext,
    connection: InboundConnection,
    named: NamedTarget,
    transport: SocketTransport,
    prefix: Buffer,
  ): Promise<void>;
}

/** What a transport header says to a gateway. */
export interface NamedTarget {
  readonly name: NameAddr;
  /** What travels on the connection; undefined for bytes. */
  readonly session: 1 | 2 | undefined;
}

/** Where authorized traffic goes. */
export interface Applications {
  /** Whether one more request may be in flight. Asked before policy: what is shed costs nothing, also of a rate limit. */
  readonly hasRoom: boolean;
  /** A service for the requests of one client, kept while it is held. */
  acquire(target: ApplicationTarget): Handle<HttpService>;
  /** A connection for bytes that are not HTTP. Rejects with a ProxyError. */
  connect(addr: SocketAddr): Promise<ApplicationConnection>;
}

/** A connection to an application, for bytes that are not HTTP. */
export interface ApplicationConnection {
  readonly server: SocketTransport;
  /** Told once how forwarding to it ended, which its socket alone does not show; undefined where nobody counts that. */
  readonly ended: ((end: ForwardEnd) => void) | undefined;
}

/** What the inbound proxy is told at start. */
export interface InboundOptions {
  /** Original destinations that are accepted; empty accepts all. */
  readonly ips: readonly Ip[];
  readonly detectTimeoutMs: number;
  readonly http2Server: H2ServerOptions;
  /** Whether clients that are not meshed may send no `l5d-*` header at all. */
  readonly stripsL5dHeaders?: boolean;
  /** Whether requests with several, malformed or differing hosts are passed on as they came, as the model does (DEV-3). */
  readonly anyHost?: boolean;
}

/** How applications are reached. */
export interface ApplicationOptions {
  readonly connectTimeoutMs: number;
  readonly connectKeepAliveMs: number | undefined;
  readonly connectUserTimeoutMs: number | undefined;
  readonly connectBackoff: BackoffParams;
  readonly http2Client: H2Options;
  readonly maxIdleHttp1: number;
  readonly http1IdleTimeoutMs: number;
  readonly queueCapacity: number;
  /** Requests that may wait for response headers, all applications together (LIM-23). */
  readonly maxInFlight: number;
  readonly failfastTimeoutMs: number;
  /** Whether metrics show the name that a request asks for, which clients choose. */
  readonly authorityLabels?: boolean;
  readonly idleTimeoutMs: number;
}
