import type { Ip } from "../../src/addr/ip.ts";
import type { PortRanges } from "../../src/addr/port-ranges.ts";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import type { ControlPlane } from "../../src/control/control-plane.ts";
import type { AccessLogOutput } from "../../src/http/access-log.ts";
import { parseId } from "../../src/identity/id.ts";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import { ApplicationClients } from "../../src/inbound/application.ts";
import { PolicyStore } from "../../src/inbound/policy-store.ts";
import { listenInbound } from "../../src/inbound/stack.ts";
import { NO_LOG, type Log } from "../../src/log/log.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import type { Parsed } from "../../src/parsed.ts";
import { defaultServerPolicy } from "../../src/policy/default-policies.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { Drain } from "../../src/stack/drain.ts";
import { systemClock } from "../../src/time/clock.ts";
import { CredentialsStore } from "../../src/tls/credentials.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Terminator } from "../../src/tls/terminate.ts";
import type { OrigDst } from "../../src/transport/orig-dst/orig-dst.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { WatchCell, type Watch } from "../../src/watch/watch.ts";
import type { TestCa } from "../support/certs.ts";

const DETECT_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 1_000;
const IDLE_TIMEOUT_MS = 5_000;
const RETAIN_IDLE_MS = 600_000;

/** The inbound stack as the proxy composes it. */
export interface InboundListener {
  readonly addr: SocketAddr;
  readonly registry: MetricRegistry;
  readonly policies: PolicyStore;
  close(): void;
}

export interface InboundListenerOptions {
  /** Default: nobody, so that every port is open to everybody. */
  readonly control?: ControlPlane;
  /** For every port, in place of a control plane. */
  readonly policy?: Watch<ServerPolicy>;
  readonly defaultPolicy?: ServerPolicy;
  readonly permanentPorts?: PortRanges;
  readonly ips?: readonly Ip[];
  readonly log?: Log;
  readonly detectTimeoutMs?: number;
  readonly accessLog?: AccessLogOutput;
  readonly authorityLabels?: boolean;
  readonly stripsL5dHeaders?: boolean;
  readonly anyHost?: boolean;
  readonly maxInFlight?: number;
  /** Where it listens; the port may be 0. */
  readonly listen?: string;
}

/**
 * @param origDst plays the kernel's part in the interception, so that neither iptables nor root is needed.
 * @param name the workload's identity, for which `ca` certifies it.
 */
export async function startInbound(
  origDst: OrigDst,
  ca: TestCa,
  name: string,
  options: InboundListenerOptions = {},
): Promise<InboundListener> {
  const { log = NO_LOG, detectTimeoutMs = DETECT_TIMEOUT_MS } = options;
  const clock = systemClock;
  const random = Math.random;
  const registry = new MetricRegistry(clock, RETAIN_IDLE_MS);
  const families = createFamilies(registry);
  const base = { clock, random, log, families, transportMetrics: new TransportMetrics(families) };
  const credentials = certified(ca, name);
  const policies = new PolicyStore({
    clock,
    control: options.control ?? {
      ...NOBODY,
      watchServerPolicy: (_port, initial) => options.policy ?? new WatchCell(initial),
    },
    defaultPolicy: () => options.defaultPolicy ?? OPEN,
    permanentPorts: options.permanentPorts ?? [],
    idleTimeoutMs: IDLE_TIMEOUT_MS,
  });
  const applications = new ApplicationClients(
    base,
    {
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      connectKeepAliveMs: undefined,
      connectUserTimeoutMs: undefined,
      connectBackoff: { minMs: 100, maxMs: 1_000, jitter: 0 },
      http2Client: {},
      maxIdleHttp1: 10,
      http1IdleTimeoutMs: IDLE_TIMEOUT_MS,
      queueCapacity: 10_000,
      maxInFlight: options.maxInFlight ?? 100_000,
      failfastTimeoutMs: CONNECT_TIMEOUT_MS,
      authorityLabels: options.authorityLabels ?? false,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
    },
    () => false,
  );
  const listener = await listenInbound(
    {
      ...base,
      origDst,
      credentials: credentials.credentials,
      terminator: new Terminator({
        credentials: credentials.credentials,
        pacer: new HandshakePacer(),
        clock,
      }),
      policies,
      applications,
      drain: new Drain(),
      accessLog: options.accessLog,
      options: {
        ips: options.ips ?? [],
        detectTimeoutMs,
        http2Server: {},
        stripsL5dHeaders: options.stripsL5dHeaders ?? false,
        anyHost: options.anyHost ?? false,
      },
    },
    {
      addr: socketAddr(options.listen ?? "127.0.0.1:0"),
      backlog: undefined,
      keepAliveMs: undefined,
      userTimeoutMs: undefined,
    },
  );
  listener.accept();
  const [addr] = listener.addrs;
  if (addr === undefined) throw new Error("the inbound listener has no address");
  return {
    addr,
    registry,
    policies,
    close: () => {
      listener.close();
      policies.close();
      applications.close();
    },
  };
}

const OPEN = defaultServerPolicy("all-unauthenticated", {
  detectTimeoutMs: DETECT_TIMEOUT_MS,
  clusterNetworks: [],
});

/** A control plane that has nothing to say: the default policy stays in force. */
export const NOBODY: ControlPlane = {
  unreachable: undefined,
  watchProfile: () => Promise.resolve(undefined),
  watchOutboundPolicy: () => Promise.resolve({ kind: "not_found" }),
  watchServerPolicy: (_port, initial): Watch<ServerPolicy> => new WatchCell(initial),
  resolveEndpoints: (path, _signal) => {
    throw new Error(`nobody resolves ${path.name}`);
  },
};

/** A store with a certificate of `ca` for `name`. */
export function certified(ca: TestCa, name: string): CredentialsStore {
  const { roots } = unwrap(parseTrustRoots(ca.certPem));
  const store = new CredentialsStore(unwrap(parseId(name)), unwrap(parseDnsName(name)), roots);
  const { leafDer, intermediatesDer, key, notAfterMs } = ca.issue({ id: name });
  unwrap(store.setCertificate(leafDer, intermediatesDer, key, notAfterMs, Date.now()));
  return store;
}

export function socketAddr(text: string): SocketAddr {
  return unwrap(parseSocketAddr(text));
}

export function unwrap<T>(result: Parsed<T>): T {
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}
