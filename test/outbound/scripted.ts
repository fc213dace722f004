/** A control plane that says what a test tells it to, and an outbound context without sockets of its own. */
import { parseAddr, type Addr, type NameAddr } from "../../src/addr/name-addr.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import type {
  ControlPlane,
  EndpointListener,
  OutboundPolicyLookup,
} from "../../src/control/control-plane.ts";
import { parseId } from "../../src/identity/id.ts";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import { NO_LOG } from "../../src/log/log.ts";
import { createFamilies } from "../../src/metrics/families.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import { BalancerMetricsFactory } from "../../src/outbound/balancer-metrics.ts";
import { Dialer } from "../../src/outbound/dial.ts";
import { RouteMetricsFactory } from "../../src/outbound/http/route-metrics.ts";
import type { TargetContext } from "../../src/outbound/target-stack.ts";
import type { Target } from "../../src/outbound/target.ts";
import type { Parsed } from "../../src/parsed.ts";
import type { Profile } from "../../src/policy/client-policy.ts";
import type { ServerPolicy } from "../../src/policy/server-policy.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import type { Clock } from "../../src/time/clock.ts";
import { CredentialsStore } from "../../src/tls/credentials.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Originator } from "../../src/tls/originate.ts";
import { TransportMetrics } from "../../src/transport/transport-metrics.ts";
import { WatchCell, type Watch } from "../../src/watch/watch.ts";
import { TestCa } from "../support/certs.ts";

export function must<T>(value: Parsed<T>): T {
  if (!value.ok) throw new Error(value.problem);
  return value.value;
}

export function addr(text: string): SocketAddr {
  return must(parseSocketAddr(text));
}

export function name(text: string): NameAddr {
  const parsed: Addr = must(parseAddr(text));
  if (parsed.kind !== "name") throw new Error(`${text} is no name`);
  return parsed.name;
}

export function target(text: string): Target {
  return { kind: "name", name: name(text) };
}

/** A resolution that somebody asked for. */
export interface Resolution {
  readonly path: string;
  readonly signal: AbortSignal;
  readonly listener: EndpointListener;
}

export class ScriptedControlPlane implements ControlPlane {
  readonly unreachable = undefined;
  readonly lookups: {
    readonly signal: AbortSignal;
    readonly answer: (lookup: OutboundPolicyLookup) => void;
  }[] = [];
  readonly resolutions: Resolution[] = [];

  watchProfile(): Promise<Watch<Profile> | undefined> {
    return Promise.resolve(undefined);
  }

  watchOutboundPolicy(_target: Addr, signal: AbortSignal): Promise<OutboundPolicyLookup> {
    return new Promise((answer) => this.lookups.push({ signal, answer }));
  }

  watchServerPolicy(_port: number, initial: ServerPolicy): Watch<ServerPolicy> {
    return new WatchCell(initial);
  }

  resolveEndpoints(path: NameAddr, signal: AbortSignal, listener: EndpointListener): void {
    this.resolutions.push({ path: path.name, signal, listener });
  }
}

const CA = TestCa.create();
const ID = "client.shop.serviceaccount.identity.linkerd.cluster.local";

/** A context over a scripted control plane and a clock that moves when told to; dialled addresses are real. */
export function scriptedContext(clock: Clock, control: ControlPlane): TargetContext {
  const families = createFamilies(new MetricRegistry(clock, 600_000));
  const transportMetrics = new TransportMetrics(families);
  const roots = must(parseTrustRoots(CA.certPem));
  const { credentials } = new CredentialsStore(must(parseId(ID)), must(parseDnsName(ID)), roots.roots);
  const liveness = { keepAliveMs: undefined, userTimeoutMs: undefined };
  const originator = new Originator({
    credentials,
    pacer: new HandshakePacer(),
    connectTimeoutMs: 1_000,
    ...liveness,
    clock,
  });
  return {
    clock,
    random: () => 0.5,
    control,
    families,
    log: NO_LOG,
    dialer: new Dialer({
      clock,
      families,
      transportMetrics,
      originator,
      connectTimeoutMs: 1_000,
      ...liveness,
      localIps: [],
      allowLoopback: true,
    }),
    discovery: { profileSuffixes: [], profileNetworks: [], detectTimeoutMs: 10_000 },
    routeMetrics: new RouteMetricsFactory(families, () => clock.nowMs()),
    balancerMetrics: new BalancerMetricsFactory(families),
    inFlight: new ConcurrencyLimit(100),
    backoff: { minMs: 100, maxMs: 60_000, jitter: 0 },
    http2: {},
    maxIdleHttp1: 10,
    http1IdleTimeoutMs: 3_000,
    informationalHeaders: true,
    httpQueueCapacity: 10,
    httpFailfastTimeoutMs: 3_000,
    tcpQueueCapacity: 10,
    tcpFailfastTimeoutMs: 3_000,
    hostnameLabels: false,
  };
}
