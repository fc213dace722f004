/**
 * The data plane, put together: what is built from what, in which order it starts, and in which order it ends.
 *
 * Start: bind every port, serve the admin port, ask for a certificate; with the first one, accept. Nothing in it waits
 * for the network, so that a wrong setting is told at once and a late control plane only delays readiness.
 *
 * Source: linkerd2-proxy, linkerd/app/src/lib.rs.
 */
import type { Writable } from "node:stream";
import type { SocketAddr } from "./addr/socket-addr.ts";
import { AdminServer } from "./admin/admin-server.ts";
import type { Config } from "./config/config.ts";
import type { InboundContext } from "./inbound/context.ts";
import { acceptForOwnServer } from "./inbound/own-server.ts";
import { listenInbound } from "./inbound/stack.ts";
import type { Logging } from "./log/create-log.ts";
import { listenForward, listenOutbound } from "./outbound/stack.ts";
import { controlClients, controlPlane } from "./proxy/control.ts";
import { gatewayOf } from "./proxy/gateway.ts";
import { certificateSource, keepCertified } from "./proxy/identity.ts";
import { inboundSide } from "./proxy/inbound.ts";
import { accepting, targetOf } from "./proxy/options.ts";
import { outboundContext } from "./proxy/outbound.ts";
import { warnWhileWaiting, whenFirst } from "./proxy/readiness.ts";
import { shareAcrossProxy } from "./proxy/shared.ts";
import { logStart } from "./proxy/start-log.ts";
import { startTracing } from "./proxy/tracing.ts";
import { listenTap } from "./proxy/tap.ts";
import { listen, type Listener } from "./transport/listen.ts";
import type { OrigDst } from "./transport/orig-dst/orig-dst.ts";
import { WatchCell } from "./watch/watch.ts";

export interface ProxyDependencies {
  readonly logging: Logging;
  /** All variables that the process was started with, for the admin endpoint that shows them. */
  readonly environment: ReadonlyMap<string, string>;
  /** Where the access log goes, if not to the process's stderr. */
  readonly accessLog?: Writable;
  /** What tells where intercepted connections were meant to go, if not what the configuration says: a test without a kernel's help. */
  readonly origDst?: OrigDst;
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
    /** Undefined where nobody can watch requests. */
    readonly tap: SocketAddr | undefined;
  };
}

/** Starts the data plane. Throws if a port cannot be bound, or if no trust anchor is usable. */
export async function startProxy(config: Config, dependencies: ProxyDependencies): Promise<RunningProxy> {
  const { logging } = dependencies;
  const { log } = logging;
  const shared = await shareAcrossProxy(config, logging, dependencies.origDst);
  const { clock, registry, drain } = shared;
  const stop = new AbortController();
  const ready = new WatchCell(false);
  const certificates = await certificateSource(config.identity);

  const clients = controlClients(config, shared);
  const control = controlPlane(config, clients, shared);
  const trace = await startTracing(config, shared, clients);
  const isOwnPort = (port: number): boolean =>
    listeners.some(({ addrs }) => addrs.some((addr) => addr.port === port));
  const inbound = inboundSide(config, shared, control, trace?.inbound, isOwnPort, dependencies.accessLog);
  const outbound = outboundContext(config, shared, control, trace?.outbound);
  registry.beforeScrape(() => outbound.balancerMetrics.refresh());
  const gateway = gatewayOf(config, outbound);

  const inboundContext = gateway === undefined ? inbound.context : { ...inbound.context, gateway };
  const listeners: Listener[] = [];
  const tap = config.tap === undefined ? undefined : await listenTap(config, config.tap, shared);
  if (tap !== undefined) listeners.push(tap.listener);
  const inboundListener = await bindNext(listeners, () =>
    listenInbound(inboundContext, { addr: config.inbound.listen, ...accepting(config.inbound) }),
  );
  const outboundListener = await bindNext(listeners, () =>
    listenOutbound(outbound, { addrs: config.outbound.listen, ...accepting(config.outbound) }),
  );
  for (const { listen: addr, target } of config.forwards) {
    const options = { addrs: [addr], ...accepting(config.outbound) };
    await bindNext(listeners, () => listenForward(outbound, options, targetOf(target)));
  }
  const serving = listeners.filter((listener) => listener !== tap?.listener);

  const admin = new AdminServer({
    isReady: () => ready.value,
    scrape: () => registry.scrape(),
    environment: dependencies.environment,
    logging,
    shutdownEnabled: config.admin.shutdownEndpoint,
    shutdown: () => void end("admin"),
  });
  const adminContext: InboundContext = {
    ...inbound.context,
    log: log.target("linkerd_app_admin").span("admin"),
  };
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
  // Watched from the start: probes come before anything else, and to a gateway everybody comes by its own port.
  const watched = gateway === undefined ? [adminListener] : [adminListener, inboundListener];
  for (const { port } of watched.flatMap(({ addrs }) => addrs)) inbound.context.policies.acquire(port);

  logStart(
    config,
    { inbound: inboundListener, outbound: outboundListener, admin: adminListener, tap: tap?.listener },
    logging,
  );
  const certified = keepCertified(certificates, shared, clients, stop.signal);
  void whenFirst(certified, stop.signal).then(() => {
    for (const listener of serving) listener.accept();
    ready.publish(true);
    log.target("linkerd_app").info("Certified identity", { id: config.identity.id.text });
  });
  warnWhileWaiting(ready, stop.signal, clock, log);

  const { promise: done, resolve: finish } = Promise.withResolvers<void>();
  let ending: Promise<void> | undefined;
  const end = (reason: string): Promise<void> => {
    ending ??= drainAndStop(reason);
    return ending;
  };
  const drainAndStop = async (reason: string): Promise<void> => {
    for (const listener of listeners) listener.close();
    const { gracePeriodMs } = config.shutdown;
    const graceEndsAtMs = clock.nowMs() + gracePeriodMs;
    const graceful = await Promise.race([
      drain.begin().then(() => true),
      new Promise<boolean>((resolve) => clock.after(gracePeriodMs, () => resolve(false))),
    ]);
    if (graceful) log.debug("Shutdown completed gracefully", { reason });
    else log.warn(`Graceful shutdown did not complete in ${gracePeriodMs / 1000}s, terminating now`);
    // The last spans are often those that somebody looks for. The collector is not worth a long wait.
    await trace?.close(Math.min(graceEndsAtMs - clock.nowMs(), SPANS_FLUSH_MS));
    stop.abort();
    inbound.close();
    outbound.targets.close();
    gateway?.close();
    tap?.close();
    finish();
  };
  const [inboundAddr = config.inbound.listen] = inboundListener.addrs;
  const [adminAddr = config.admin.listen] = adminListener.addrs;
  return {
    shutdown: end,
    done,
    addrs: {
      inbound: inboundAddr,
      outbound: outboundListener.addrs,
      admin: adminAddr,
      tap: tap?.listener.addrs[0],
    },
  };
}

/** What a slow trace collector may add to the end of the process, within the grace period. */
const SPANS_FLUSH_MS = 2_000;

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
