import type { Writable } from "node:stream";
import { portRangesContain } from "../addr/port-ranges.ts";
import type { Config } from "../config/config.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { ApplicationClients } from "../inbound/application.ts";
import type { TracePoints } from "../http/trace-requests.ts";
import type { InboundContext } from "../inbound/context.ts";
import { InboundProfiles } from "../inbound/profiles.ts";
import { AUDITED } from "../inbound/decision-fields.ts";
import { PolicyStore } from "../inbound/policy-store.ts";
import { limitLog } from "../log/limit-log.ts";
import { defaultServerPolicy, opaqueServerPolicy } from "../policy/default-policies.ts";
import { Terminator } from "../tls/terminate.ts";
import { openAccessLog } from "./access-log.ts";
import { http2Client, http2Server } from "./options.ts";
import type { ProxyShared } from "./shared.ts";

/** What the inbound side is made of, and how it ends. */
export interface InboundSide {
  readonly context: InboundContext;
  readonly close: () => void;
}

/**
 * @param trace where requests get spans; undefined where no traces are gathered.
 * @param isOwnPort tells the ports that the proxy listens on, once they are bound: they are no application's.
 * @param accessLogTo stderr if undefined.
 */
export function inboundSide(
  config: Config,
  shared: ProxyShared,
  control: ControlPlane,
  trace: TracePoints | undefined,
  isOwnPort: (port: number) => boolean,
  accessLogTo: Writable | undefined,
): InboundSide {
  const { clock, random, families, transportMetrics, credentials, pacer, origDst, drain, logging, taps } =
    shared;
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
  const spoken = logging.log.target("linkerd_app_inbound").span("inbound");
  const log = limitLog(spoken, clock, new Set([AUDITED]));
  const base = { clock, random, families, transportMetrics, trace, taps };
  const profiles = new InboundProfiles(
    { clock, control, families },
    {
      suffixes: config.control.profileSuffixes,
      initialTimeoutMs: config.inbound.profileInitialTimeoutMs,
      idleTimeoutMs: config.inbound.discoveryIdleTimeoutMs,
      capacity: config.inbound.httpQueueCapacity,
    },
  );
  const applications = new ApplicationClients(
    { ...base, log, profiles },
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
      authorityLabels: config.inbound.authorityLabels,
      idleTimeoutMs: config.inbound.discoveryIdleTimeoutMs,
    },
    isOwnPort,
  );
  const accessLog = openAccessLog(config, shared, accessLogTo);
  const context: InboundContext = {
    ...base,
    log,
    origDst,
    credentials,
    terminator: new Terminator({ credentials, pacer, clock }),
    policies,
    applications,
    drain,
    accessLog,
    options: {
      ips: config.inbound.ips,
      detectTimeoutMs: config.inbound.detectTimeoutMs,
      http2Server: http2Server(config.inbound.http2Server),
      stripsL5dHeaders: config.inbound.stripsL5dHeaders,
      anyHost: config.inbound.anyHost,
    },
  };
  return {
    context,
    close: () => {
      policies.close();
      applications.close();
      accessLog?.flush();
    },
  };
}
