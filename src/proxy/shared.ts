import { getFips } from "node:crypto";
import { BUILD } from "../config/build-info.ts";
import type { Config } from "../config/config.ts";
import { parseTrustRoots } from "../identity/trust-roots.ts";
import type { Logging } from "../log/create-log.ts";
import { createFamilies, type Families } from "../metrics/families.ts";
import { buildInfoLabels, tlsInfoLabels } from "../metrics/labels.ts";
import { MetricRegistry } from "../metrics/metric-registry.ts";
import { registerProcessMetrics } from "../metrics/process-metrics.ts";
import { Drain } from "../stack/drain.ts";
import { TapRegistry } from "../tap/registry.ts";
import { systemClock, type Clock } from "../time/clock.ts";
import { CredentialsStore, type Credentials } from "../tls/credentials.ts";
import { HandshakePacer } from "../tls/handshake-pacer.ts";
import { TLS_INFO } from "../tls/parameters.ts";
import { chooseOrigDst } from "../transport/orig-dst/choose.ts";
import type { OrigDst } from "../transport/orig-dst/orig-dst.ts";
import { poisonFreedBuffers } from "../transport/poison.ts";
import { probeReadMode } from "../transport/shared-reads.ts";
import { TransportMetrics } from "../transport/transport-metrics.ts";
import type { Watch } from "../watch/watch.ts";

/** What every part of one proxy shares. */
export interface ProxyShared {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logging: Logging;
  readonly registry: MetricRegistry;
  readonly families: Families;
  readonly transportMetrics: TransportMetrics;
  readonly drain: Drain;
  /** The one writer of the credentials. */
  readonly store: CredentialsStore;
  readonly credentials: Watch<Credentials>;
  readonly pacer: HandshakePacer;
  readonly origDst: OrigDst;
  /** Undefined where nobody can watch requests. */
  readonly taps: TapRegistry | undefined;
}

/**
 * Throws if no trust anchor is usable.
 *
 * @param origDst stands in for what the configuration chooses.
 */
export async function shareAcrossProxy(
  config: Config,
  logging: Logging,
  origDst: OrigDst | undefined,
): Promise<ProxyShared> {
  const { log } = logging;
  const clock = systemClock;
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
  const anchors = parseTrustRoots(config.identity.trustAnchorsPem);
  if (!anchors.ok) throw new Error(`trust anchors: ${anchors.problem}`);
  for (const warning of anchors.value.warnings) log.warn(warning);
  const store = new CredentialsStore(config.identity.id, config.identity.serverName, anchors.value.roots);
  const reads = await probeReadMode();
  log.target("linkerd2_proxy").debug(`Sockets are read by ${reads.mode}`, { reason: reads.reason });
  const chosen =
    origDst === undefined ? chooseOrigDst(config.origDst) : { provider: origDst, problem: undefined };
  if (chosen.problem !== undefined) log.warn(chosen.problem);
  return {
    clock,
    random: Math.random,
    logging,
    registry,
    families,
    transportMetrics,
    drain: new Drain(),
    store,
    credentials: store.credentials,
    pacer: new HandshakePacer(),
    origDst: chosen.provider,
    taps: config.tap === undefined ? undefined : tapRegistry(families, clock),
  };
}

function tapRegistry(families: Families, clock: Clock): TapRegistry {
  const lost = families.outriggerTapEventsLostTotal.cell([]);
  return new TapRegistry({ nowMs: () => clock.nowMs(), lost });
}
