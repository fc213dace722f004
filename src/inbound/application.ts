import { parseAddr, type NameAddr } from "../addr/name-addr.ts";
import { formatSocketAddr, type SocketAddr } from "../addr/socket-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { ReconnectingH2 } from "../http/client/reconnecting-h2.ts";
import { EndpointMetrics } from "../http/endpoint-metrics.ts";
import type { HttpService, RequestHead, ResponseSink, Sink } from "../http/message.ts";
import { H1Pool } from "../http/pool.ts";
import { QueuedService } from "../http/queued-service.ts";
import { TraceRequests, type TracePoints } from "../http/trace-requests.ts";
import type { Log } from "../log/log.ts";
import type { Families } from "../metrics/families.ts";
import { authorityText, INBOUND_DIALLED_LABELS, inboundEndpointLabels } from "../metrics/labels.ts";
import { formatMeta, type Meta } from "../policy/meta.ts";
import { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import { IdleCache, type Handle } from "../stack/idle-cache.ts";
import { inboundTapPoint } from "../tap/point.ts";
import type { TapRegistry } from "../tap/registry.ts";
import { TappedService } from "../tap/tapped-service.ts";
import type { Clock } from "../time/clock.ts";
import { connectTcp } from "../transport/connect.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { TransportMetrics } from "../transport/transport-metrics.ts";
import { ApplicationService, CountDispatched } from "./application-service.ts";
import { clientIdOf, type InboundConnection } from "./connection.ts";
import type { ApplicationConnection, ApplicationOptions, Applications } from "./context.ts";
import type { InboundProfiles } from "./profiles.ts";
import { InboundRequestMetrics } from "./request-metrics.ts";

/**
 * What a client stack towards the application is built for. Connections to the application are never shared between
 * clients of different identity, nor between what different routes and authorizations let in.
 */
export interface ApplicationTarget {
  readonly connection: InboundConnection;
  /** What the application speaks: the protocol of the request after any downgrade. */
  readonly version: 1 | 2;
  /** The authority of the request: applications may tell virtual hosts apart by connection. */
  readonly authority: string;
  /** What the client's proxy calls this workload, by `l5d-dst-canonical`. */
  readonly canonical: string | undefined;
  readonly server: { readonly meta: Meta; readonly port: number };
  readonly route: Meta;
  /** The route is one of gRPC. */
  readonly isGrpc: boolean;
  readonly authorization: Meta;
}

/** Stacks that nobody has used for a while are bounded: clients choose authorities. */
const IDLE_STACKS_MAX = 1024;

/** Client stacks towards the applications of this workload, shared by all connections. */
export class ApplicationClients implements Applications {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Log;
  readonly #families: Families;
  readonly #transportMetrics: TransportMetrics;
  readonly #trace: TracePoints | undefined;
  readonly #taps: TapRegistry | undefined;
  readonly #profiles: InboundProfiles | undefined;
  readonly #options: ApplicationOptions;
  readonly #isOwnPort: (port: number) => boolean;
  readonly #inFlight: ConcurrencyLimit;
  readonly #stacks: IdleCache<string, ApplicationStack>;

  /**
   * @param isOwnPort tells the ports that this proxy listens on itself. To dial them would be a loop, or a way around the
   * policy that guards them (DT-06).
   */
  constructor(
    base: {
      readonly clock: Clock;
      readonly random: () => number;
      readonly log: Log;
      readonly families: Families;
      readonly transportMetrics: TransportMetrics;
      readonly trace?: TracePoints | undefined;
      readonly taps?: TapRegistry | undefined;
      /** Undefined: nobody is asked for profiles. */
      readonly profiles?: InboundProfiles | undefined;
    },
    options: ApplicationOptions,
    isOwnPort: (port: number) => boolean,
  ) {
    this.#clock = base.clock;
    this.#random = base.random;
    this.#log = base.log;
    this.#families = base.families;
    this.#transportMetrics = base.transportMetrics;
    this.#trace = base.trace;
    this.#taps = base.taps;
    this.#profiles = base.profiles;
    this.#options = options;
    this.#isOwnPort = isOwnPort;
    this.#inFlight = new ConcurrencyLimit(options.maxInFlight);
    this.#stacks = new IdleCache({
      clock: base.clock,
      idleTimeoutMs: options.idleTimeoutMs,
      maxIdle: IDLE_STACKS_MAX,
      dispose: (stack) => stack.close(),
    });
  }

  get hasRoom(): boolean {
    return this.#inFlight.hasRoom;
  }

  acquire(target: ApplicationTarget): Handle<HttpService> {
    return this.#stacks.acquire(keyOf(target), () => this.#build(target));
  }

  /** A connection of its own for bytes that are not HTTP. Throws ProxyError `io`, `connect_timeout` or `loop`. */
  async connect(addr: SocketAddr): Promise<ApplicationConnection> {
    return { server: await this.#dial(addr), ended: undefined };
  }

  close(): void {
    this.#stacks.clear();
    this.#profiles?.close();
  }

  async #dial(addr: SocketAddr): Promise<SocketTransport> {
    if (this.#isOwnPort(addr.port)) {
      throw new ProxyError("loop", `${formatSocketAddr(addr)} is a port of the proxy itself`, {
        side: "proxy",
      });
    }
    const { connectTimeoutMs: timeoutMs, connectKeepAliveMs, connectUserTimeoutMs } = this.#options;
    const transport = await connectTcp(addr, {
      clock: this.#clock,
      timeoutMs,
      keepAliveMs: connectKeepAliveMs,
      userTimeoutMs: connectUserTimeoutMs,
    });
    this.#transportMetrics.track(transport, INBOUND_DIALLED_LABELS);
    return transport;
  }

  #build(target: ApplicationTarget): ApplicationStack {
    const { connection, server, route, authorization } = target;
    const logical = logicalName(target);
    const labels = inboundEndpointLabels({
      authority:
        this.#options.authorityLabels === true && logical !== undefined ? authorityText(logical) : undefined,
      target: connection.target,
      tls: connection.tls,
      server,
      route,
      authorization,
    });
    const metrics = new EndpointMetrics(this.#families, labels, () => this.#clock.nowMs());
    const client =
      target.version === 1
        ? this.#http1(connection.target, metrics)
        : this.#http2(connection.target, metrics);
    const requests = new InboundRequestMetrics(this.#families, server, route, target.isGrpc);
    const tapped = this.#tapped(target, client.service);
    const counted = new ApplicationService(metrics, requests, this.#inFlight, tapped);
    const traced = this.#trace === undefined ? counted : new TraceRequests(counted, this.#trace.client);
    const profile = logical && this.#profiles?.acquire(logical);
    return new ApplicationStack(profile?.value.around(traced) ?? traced, () => {
      profile?.release();
      client.close();
      metrics.close();
    });
  }

  /** Taps see what reaches the application: requests that were let in, with the headers that it gets. */
  #tapped({ connection, server, route, authorization }: ApplicationTarget, inner: HttpService): HttpService {
    if (this.#taps === undefined) return inner;
    const { tls, target } = connection;
    const point = inboundTapPoint({ tls, target, server: server.meta, route, authorization });
    return new TappedService(this.#taps, point, inner);
  }

  #http1(addr: SocketAddr, metrics: EndpointMetrics): Client {
    const pool = new H1Pool({
      clock: this.#clock,
      maxIdle: this.#options.maxIdleHttp1,
      idleTimeoutMs: this.#options.http1IdleTimeoutMs,
      connect: () => this.#dial(addr),
    });
    return { service: new CountDispatched(metrics, pool), close: () => pool.close() };
  }

  /** One connection, made before it is needed; while the application is down requests wait until failfast. */
  #http2(addr: SocketAddr, metrics: EndpointMetrics): Client {
    const { connectBackoff, http2Client, queueCapacity, failfastTimeoutMs } = this.#options;
    const h2 = new ReconnectingH2({
      clock: this.#clock,
      random: this.#random,
      backoff: connectBackoff,
      http2: http2Client,
      connect: () => this.#dial(addr),
      onReadiness: () => {
        if (h2.ready) queue.onReady();
      },
      onConnectError: (error, isFirst) => {
        const fields = { "server.addr": formatSocketAddr(addr), error: error.message };
        this.#log[isFirst ? "warn" : "debug"]("Failed to connect", fields);
      },
    });
    const queue = new QueuedService({
      clock: this.#clock,
      capacity: queueCapacity,
      failfastTimeoutMs,
      name: formatSocketAddr(addr),
      isReady: () => h2.ready,
      inner: new CountDispatched(metrics, h2),
    });
    h2.start();
    return {
      service: queue,
      close: () => {
        queue.close();
        h2.close();
      },
    };
  }
}

interface Client {
  readonly service: HttpService;
  readonly close: () => void;
}

class ApplicationStack implements HttpService {
  readonly #service: HttpService;
  readonly close: () => void;

  constructor(service: HttpService, close: () => void) {
    this.#service = service;
    this.close = close;
  }

  call(head: RequestHead, last: boolean, response: ResponseSink): Sink {
    return this.#service.call(head, last, response);
  }
}

/**
 * The name under which the client knows this workload: what its proxy says, else the authority of the request. None for
 * addresses.
 */
function logicalName({ canonical, authority }: ApplicationTarget): NameAddr | undefined {
  const told = canonical === undefined ? undefined : parseAddr(canonical);
  if (told?.ok === true && told.value.kind === "name") return told.value.name;
  const asked = parseAddr(authority, HTTP_PORT);
  return asked.ok && asked.value.kind === "name" ? asked.value.name : undefined;
}

const HTTP_PORT = 80;

function keyOf({
  connection,
  version,
  authority,
  canonical,
  server,
  route,
  authorization,
}: ApplicationTarget): string {
  const { tls, target } = connection;
  const client = tls.kind === "established" ? `id ${clientIdOf(connection) ?? ""}` : tls.kind;
  const policy = `${formatMeta(server.meta)} ${formatMeta(route)} ${formatMeta(authorization)}`;
  // What the client chose comes last, so that no choice of it reads as somebody else's key.
  return `${formatSocketAddr(target)} h${version} ${client} ${policy} ${authority} ${canonical ?? ""}`;
}
