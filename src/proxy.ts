/**
 * The data plane, put together: what is built from what, in which order it starts, and in which order it ends.
 *
 * Start: bind every port, serve the admin port, ask for a certificate; with the first one, accept. Nothing in it waits
 * for the network, so that a wrong setting is told at once and a late control plane only delays readiness.
 *
 * Source: linkerd2-proxy, linkerd/app/src/lib.rs.
 */
import { getFips } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AdminServer } from "./admin/admin-server.ts";
import { formatAddr, isLoopbackAddr, type Addr } from "./addr/name-addr.ts";
import { portRangesContain } from "./addr/port-ranges.ts";
import { formatSocketAddr, type SocketAddr } from "./addr/socket-addr.ts";
import { BUILD } from "./config/build-info.ts";
import type { Config, ControlAddr, Http2ServerConfig, TransportConfig } from "./config/config.ts";
import { runCertifyLoop } from "./control/certify.ts";
import { ControlClient } from "./control/control-client.ts";
import type { ControlPlane } from "./control/control-plane.ts";
import { GrpcControlPlane } from "./control/grpc-control-plane.ts";
import type { StreamContext } from "./control/stream-context.ts";
import type { H2ServerOptions } from "./http/h2-options.ts";
import { generateKeyAndCsr, parseKeyAndCsr, type KeyAndCsr } from "./identity/key.ts";
import { parseTrustRoots } from "./identity/trust-roots.ts";
import { ApplicationClients } from "./inbound/application.ts";
import type { InboundContext } from "./inbound/context.ts";
import { acceptForOwnServer } from "./inbound/own-server.ts";
import { PolicyStore } from "./inbound/policy-store.ts";
import { listenInbound } from "./inbound/stack.ts";
import type { Logging } from "./log/create-log.ts";
import { createFamilies, type Families } from "./metrics/families.ts";
import { buildInfoLabels, tlsInfoLabels } from "./metrics/labels.ts";
import { MetricRegistry } from "./metrics/metric-registry.ts";
import { registerProcessMetrics } from "./metrics/process-metrics.ts";
import { BalancerMetricsFactory } from "./outbound/balancer-metrics.ts";
import { DIALS_AHEAD_MAX, TargetCache, type OutboundContext } from "./outbound/context.ts";
import { Dialer } from "./outbound/dial.ts";
import { RouteMetricsFactory } from "./outbound/http/route-metrics.ts";
import { listenForward, listenOutbound } from "./outbound/stack.ts";
import type { Target } from "./outbound/target.ts";
import { defaultServerPolicy, opaqueServerPolicy } from "./policy/default-policies.ts";
import { ConcurrencyLimit } from "./stack/concurrency-limit.ts";
import { Drain } from "./stack/drain.ts";
import { systemClock, wallMs } from "./time/clock.ts";
import { CredentialsStore } from "./tls/credentials.ts";
import { HandshakePacer } from "./tls/handshake-pacer.ts";
import { Originator } from "./tls/originate.ts";
import { TLS_INFO } from "./tls/parameters.ts";
import { Terminator } from "./tls/terminate.ts";
import { listen, type Listener } from "./transport/listen.ts";
import { chooseOrigDst } from "./transport/orig-dst/choose.ts";
import { poisonFreedBuffers } from "./transport/poison.ts";
import { probeReadMode } from "./transport/shared-reads.ts";
import { TransportMetrics } from "./transport/transport-metrics.ts";
import { WatchCell, type Watch } from "./watch/watch.ts";

export interface ProxyDependencies {
  readonly logging: Logging;
  /** All variables that the process was started with, for the admin endpoint that shows them. */
  readonly environment: ReadonlyMap<string, string>;
}

/** A proxy that is running. */
export interface RunningProxy {
  /** Drains and ends; later calls do nothing. Resolves when it is over. */
  shutdown(reason: string): Promise<void>;
  /** Resolves when the proxy has ended, for whatever reason. */
  readonly done: Promise<void>;
  /** Where it really listens. */
  readonly addrs: {
    readonly inbound: SocketAddr;
    readonly outbound: readonly SocketAddr[];
    readonly admin: SocketAddr;
  };
}

/** Starts the data plane. Throws if a port cannot be bound, or if no trust anchor is usable. */
export async function startProxy(config: Config, dependencies: ProxyDependencies): Promise<RunningProxy> {
  const { logging } = dependencies;
  const log = logging.log;
  const clock = systemClock;
  const random = Math.random;
  poisonFreedBuffers(config.debugBuffers);
  const registry = new MetricRegistry(clock, config.metrics.retainIdleMs);
  const families = createFamilies(registry);
  registerProcessMetrics(registry, clock);
  families.proxyBuildInfo.cell(buildInfoLabels(BUILD)).value = 1;
  families.rustlsInfo.cell(
    tlsInfoLabels(TLS_INFO.suites, TLS_INFO.groups, "openssl", getFips() === 1),
  ).value = 1;
  const transportMetrics = new TransportMetrics(families);
  registry.beforeScrape(() => transportMetrics.refresh());
  const drain = new Drain();
  const stop = new AbortController();
  const ready = new WatchCell(false);

  const anchors = parseTrustRoots(config.identity.trustAnchorsPem);
  if (!anchors.ok) throw new Error(`trust anchors: ${anchors.problem}`);
  for (const warning of anchors.value.warnings) log.warn(warning);
  const store = new CredentialsStore(config.identity.id, config.identity.serverName, anchors.value.roots);
  const { credentials } = store;
  const keys = await keyAndCsr(config.identity.dir, config.identity.id.text);
  const pacer = new HandshakePacer();
  const reads = await probeReadMode();
  log.target("linkerd2_proxy").debug(`Sockets are read by ${reads.mode}`, { reason: reads.reason });
  const origDst = chooseOrigDst(config.origDst);
  if (origDst.problem !== undefined) log.warn(origDst.problem);

  const controlClient = (service: string, { addr, name }: ControlAddr): ControlClient => {
    const { connectTimeoutMs, connectBackoff: backoff } = sideOf(config, addr);
    const tls = name === undefined ? undefined : { serverName: name, credentials };
    const controlLog = log.target("linkerd_app_core").span("controller", { addr: formatAddr(addr) });
    return new ControlClient({
      service,
      address: addr,
      tls,
      connectTimeoutMs,
      backoff,
      clock,
      log: controlLog,
    });
  };
  const control = controlPlane(config, controlClient, logging);

  const policies = new PolicyStore({
    clock,
    control,
    defaultPolicy: (port) => {
      const { defaultPolicy: name, detectTimeoutMs, clusterNetworks, opaquePorts } = config.inbound;
      const policy = defaultServerPolicy(name, { detectTimeoutMs, clusterNetworks });
      return portRangesContain(opaquePorts, port) ? opaqueServerPolicy(policy) : policy;
    },
    permanentPorts: config.inbound.ports,
    idleTimeoutMs: config.inbound.discoveryIdleTimeoutMs,
  });
  const inboundLog = log.target("linkerd_app_inbound").span("inbound");
  const base = { clock, random, families, transportMetrics };
  const applications = new ApplicationClients(
    { ...base, log: inboundLog },
    {
      connectTimeoutMs: config.inbound.connectTimeoutMs,
      connectKeepAliveMs: config.inbound.connectKeepAliveMs,
      connectUserTimeoutMs: config.inbound.connectUserTimeoutMs,
      connectBackoff: config.inbound.connectBackoff,
      http2Client: http2Client(config.inbound),
      maxIdleHttp1: config.inbound.maxIdleConnsPerEndpoint,
      http1IdleTimeoutMs: config.inbound.http1PoolIdleTimeoutMs,
      queueCapacity: config.inbound.httpQueueCapacity,
      maxInFlight: config.inbound.maxInFlightRequests,
      failfastTimeoutMs: config.inbound.httpFailfastTimeoutMs,
      idleTimeoutMs: config.inbound.discoveryIdleTimeoutMs,
    },
    () => inboundListener.addrs[0]?.port ?? 0,
  );
  const inbound: InboundContext = {
    ...base,
    log: inboundLog,
    origDst: origDst.provider,
    credentials,
    terminator: new Terminator({ credentials, pacer, clock }),
    policies,
    applications,
    drain,
    options: {
      ips: config.inbound.ips,
      detectTimeoutMs: config.inbound.detectTimeoutMs,
      http2Server: http2Server(config.inbound.http2Server),
    },
  };
  const outbound = outboundContext(config, inbound, control, pacer, logging);
  registry.beforeScrape(() => outbound.balancerMetrics.refresh());

  const inboundListener = await listenInbound(inbound, {
    addr: config.inbound.listen,
    ...accepting(config.inbound),
  });
  const listeners: Listener[] = [inboundListener];
  const outboundListener = await bindNext(listeners, () =>
    listenOutbound(outbound, { addrs: config.outbound.listen, ...accepting(config.outbound) }),
  );
  for (const { listen: addr, target } of config.forwards) {
    const options = { addrs: [addr], ...accepting(config.outbound) };
    await bindNext(listeners, () => listenForward(outbound, options, targetOf(target)));
  }
  const serving = [...listeners];

  const admin = new AdminServer({
    isReady: () => ready.value,
    scrape: () => registry.scrape(),
    environment: dependencies.environment,
    logging,
    shutdownEnabled: config.admin.shutdownEndpoint,
    shutdown: () => void end("admin"),
  });
  const adminContext: InboundContext = { ...inbound, log: log.target("linkerd_app_admin").span("admin") };
  const adminListener = await bindNext(listeners, () =>
    listen([config.admin.listen], {
      ...accepting(config.inbound),
      acceptNow: true,
      onError: (error) => log.warn("Failed to accept", { error: error.message }),
      onConnection: (accepted) => {
        const at = adminListener.addrs[0] ?? config.admin.listen;
        void acceptForOwnServer(adminContext, accepted, at, admin.serviceFor(accepted.peerAddr));
      },
    }),
  );
  // Watched from the start: probes come before anything else.
  for (const { port } of adminListener.addrs) policies.acquire(port);

  logStart(config, { inbound: inboundListener, outbound: outboundListener, admin: adminListener }, logging);
  const certified = keepCertified(config, keys, store, controlClient, families, logging, stop.signal);
  void whenFirst(certified, stop.signal).then(() => {
    for (const listener of serving) listener.accept();
    ready.publish(true);
    log.target("linkerd_app").info("Certified identity", { id: config.identity.id.text });
  });
  warnWhileWaiting(ready, stop.signal, logging);

  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  let ending: Promise<void> | undefined;
  const end = (reason: string): Promise<void> => {
    ending ??= drainAndStop(reason);
    return ending;
  };
  const drainAndStop = async (reason: string): Promise<void> => {
    for (const listener of listeners) listener.close();
    const { gracePeriodMs } = config.shutdown;
    const graceful = await Promise.race([
      drain.begin().then(() => true),
      new Promise<boolean>((resolve) => clock.after(gracePeriodMs, () => resolve(false))),
    ]);
    if (graceful) log.debug("Shutdown completed gracefully", { reason });
    else log.warn(`Graceful shutdown did not complete in ${gracePeriodMs / 1000}s, terminating now`);
    stop.abort();
    policies.close();
    applications.close();
    outbound.targets.close();
    finish();
  };
  const [inboundAddr = config.inbound.listen] = inboundListener.addrs;
  const [adminAddr = config.admin.listen] = adminListener.addrs;
  return {
    shutdown: end,
    done,
    addrs: { inbound: inboundAddr, outbound: outboundListener.addrs, admin: adminAddr },
  };
}

/** Binds one more port; if that fails, those that are bound already are given back. */
async function bindNext(listeners: Listener[], bind: () => Promise<Listener>): Promise<Listener> {
  try {
    const listener = await bind();
    listeners.push(listener);
    return listener;
  } catch (error) {
    for (const listener of listeners) listener.close();
    throw error;
  }
}

/** Controllers on loopback are applications of this pod: reached as fast, and given up as fast, as those. */
function sideOf(config: Config, addr: Addr): TransportConfig {
  return isLoopbackAddr(addr) ? config.inbound : config.outbound;
}

function controlPlane(
  { control, inbound, outbound }: Config,
  client: (service: string, at: ControlAddr) => ControlClient,
  { log }: Logging,
): ControlPlane {
  const stream = (service: string, at: ControlAddr): StreamContext => {
    const local = isLoopbackAddr(at.addr);
    return {
      client: client(service, at),
      clock: systemClock,
      log: log.target("linkerd_app_core"),
      backoff: (local ? inbound : outbound).connectBackoff,
      limits: {
        initialMs: local ? undefined : control.streamInitialTimeoutMs,
        idleMs: local ? undefined : control.streamIdleTimeoutMs,
        lifetimeMs: local ? undefined : control.streamLifetimeMs,
      },
    };
  };
  return new GrpcControlPlane({
    destination: stream("destination", control.destination),
    policy: stream("policy", control.policy),
    contextToken: control.destinationContext,
    workload: control.policyWorkload,
    outboundDetectTimeoutMs: outbound.detectTimeoutMs,
    inboundDetectTimeoutMs: inbound.detectTimeoutMs,
    peersOnLoopback: outbound.allowLoopback,
  });
}

function outboundContext(
  config: Config,
  inbound: InboundContext,
  control: ControlPlane,
  pacer: HandshakePacer,
  { log }: Logging,
): OutboundContext {
  const { clock, random, families, transportMetrics, credentials, origDst, drain } = inbound;
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
    log: log.target("linkerd_app_outbound").span("outbound"),
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

function accepting({ listenBacklog, acceptKeepAliveMs, acceptUserTimeoutMs }: TransportConfig) {
  return { backlog: listenBacklog, keepAliveMs: acceptKeepAliveMs, userTimeoutMs: acceptUserTimeoutMs };
}

function http2Client({ http2Client: { streamWindow, connectionWindow } }: TransportConfig) {
  return { streamWindowBytes: streamWindow, connectionWindowBytes: connectionWindow };
}

function http2Server(config: Http2ServerConfig): H2ServerOptions {
  const { keepAlive, maxConcurrentStreams, maxFrameSize, maxHeaderListSize, flowControl } = config;
  return {
    ...(keepAlive === undefined ? {} : { keepAlive: { ...keepAlive, whileIdle: true } }),
    ...(maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams }),
    ...(maxFrameSize === undefined ? {} : { frameBytes: maxFrameSize }),
    ...(maxHeaderListSize === undefined ? {} : { headerListBytes: maxHeaderListSize }),
    ...(flowControl.kind === "fixed"
      ? { streamWindowBytes: flowControl.streamWindow, connectionWindowBytes: flowControl.connectionWindow }
      : {}),
  };
}

function targetOf(addr: Addr): Target {
  return addr.kind === "socket" ? { kind: "addr", addr: addr.socket } : { kind: "name", name: addr.name };
}

/** Asks for certificates for as long as the process lives, and tells whether there has been one. */
function keepCertified(
  { identity }: Config,
  keys: KeyAndCsr,
  store: CredentialsStore,
  client: (service: string, at: ControlAddr) => ControlClient,
  families: Families,
  { log }: Logging,
  signal: AbortSignal,
): Watch<boolean> {
  const certified = new WatchCell(false);
  const none = [] as const;
  const expiry = families.controlIdentityCertExpirationTimestampSeconds.cell(none);
  const refreshed = families.controlIdentityCertRefreshTimestampSeconds.cell(none);
  const refreshes = {
    ok: families.controlIdentityCertRefreshesTotal.cell([["result", "ok"]]),
    error: families.controlIdentityCertRefreshesTotal.cell([["result", "error"]]),
  };
  const identityLog = log.target("linkerd_identity").span("identity");
  void runCertifyLoop({
    identity: identity.id.text,
    csrDer: keys.csr,
    connect: () => client("identity", identity.service),
    readToken: () => readFile(identity.tokenFile),
    install: (issued) => {
      const { leafDer, intermediatesDer, validUntilMs } = issued;
      const installed = store.setCertificate(leafDer, intermediatesDer, keys.key, validUntilMs, wallMs());
      refreshes[installed.ok ? "ok" : "error"].value++;
      if (installed.ok) {
        expiry.value = validUntilMs / 1000;
        refreshed.value = wallMs() / 1000;
        certified.publish(true);
      }
      return installed;
    },
    bounds: { minMs: identity.minRefreshMs, maxMs: identity.maxRefreshMs },
    clock: systemClock,
    wallMs,
    log: identityLog,
    signal,
  });
  return certified;
}

/** The key that a launcher left for us, or one made in memory, which is where it stays. */
async function keyAndCsr(dir: string, identity: string): Promise<KeyAndCsr> {
  const [key, csr] = await Promise.all(
    ["key.p8", "csr.der"].map((name) => readFile(join(dir, name)).catch(() => undefined)),
  );
  if (key === undefined || csr === undefined) return generateKeyAndCsr(identity);
  const given = parseKeyAndCsr(key, csr);
  if (!given.ok) throw new Error(`${dir}: ${given.problem}`);
  return given.value;
}

function whenFirst(watch: Watch<boolean>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const seen = new AbortController();
    signal.addEventListener("abort", () => seen.abort(), { once: true });
    const check = (value: boolean): void => {
      if (!value) return;
      seen.abort();
      resolve();
    };
    watch.subscribe(seen.signal, check);
    check(watch.value);
  });
}

/** A proxy that waits in silence for its certificate looks like one that hangs. */
const WAITING_WARNING_MS = 15_000;

function warnWhileWaiting(ready: Watch<boolean>, signal: AbortSignal, logging: Logging): void {
  systemClock.after(WAITING_WARNING_MS, () => {
    if (ready.value || signal.aborted) return;
    logging.log.warn("Waiting for identity to be initialized...");
    warnWhileWaiting(ready, signal, logging);
  });
}

function logStart(
  config: Config,
  listeners: { inbound: Listener; outbound: Listener; admin: Listener },
  { log }: Logging,
): void {
  const target = log.target("linkerd2_proxy");
  for (const addr of listeners.admin.addrs) target.info(`Admin interface on ${formatSocketAddr(addr)}`);
  for (const addr of listeners.inbound.addrs) target.info(`Inbound interface on ${formatSocketAddr(addr)}`);
  for (const addr of listeners.outbound.addrs) target.info(`Outbound interface on ${formatSocketAddr(addr)}`);
  target.info("Tap DISABLED");
  target.info(`SNI is ${config.identity.serverName}`);
  target.info(`Local identity is ${config.identity.id.text}`);
  const { addr, name } = config.control.destination;
  target.info(`Destinations resolved via ${formatAddr(addr)}${name === undefined ? "" : ` (${name})`}`);
}
