import type { NameAddr } from "../addr/name-addr.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import type { HttpService } from "../http/message.ts";
import type { Backend, Profile } from "../policy/client-policy.ts";
import { formatMeta, type Meta } from "../policy/meta.ts";
import { authorityText } from "../metrics/labels.ts";
import {
  httpProfileName,
  opaqueProfileName,
  opaqueProfilePolicy,
  serviceMeta,
} from "../policy/profile-targets.ts";
import { DEFAULT_LOAD } from "../policy/synthesize.ts";
import type { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import { mapWatch } from "../watch/map-watch.ts";
import { discover, gatewayPolicy, type Discovered, type DiscoverOptions } from "./discover.ts";
import { BackendCache } from "./backend-cache.ts";
import type { BalancerMetricsFactory } from "./balancer-metrics.ts";
import type { BreakerPolicy } from "./http/breaker.ts";
import type { HttpBackend } from "./http/backend.ts";
import { HttpBalancer } from "./http/balancer.ts";
import { EndpointStack, type EndpointContext } from "./http/endpoint.ts";
import { FailBackend } from "./http/fail-backend.ts";
import { LogicalService } from "./http/logical.ts";
import { ProfileService } from "./http/profile-service.ts";
import type { RouteMetricsFactory } from "./http/route-metrics.ts";
import { OpaqueStack } from "./opaque.ts";
import { addrOf, formatTarget, type Target } from "./target.ts";
import { TlsStack } from "./tls/tls-stack.ts";

export interface TargetContext extends EndpointContext {
  readonly control: ControlPlane;
  readonly discovery: DiscoverOptions;
  readonly routeMetrics: RouteMetricsFactory;
  readonly balancerMetrics: BalancerMetricsFactory;
  readonly inFlight: ConcurrencyLimit;
  readonly httpQueueCapacity: number;
  readonly httpFailfastTimeoutMs: number;
  readonly tcpQueueCapacity: number;
  readonly tcpFailfastTimeoutMs: number;
  /** Whether metrics show host and server names, which applications choose. */
  readonly hostnameLabels: boolean;
}

/**
 * Everything that connections to one target share: what discovery says, and below it the stacks for HTTP/1, HTTP/2, TLS
 * and opaque bytes, each made when first needed.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{discover,sidecar}.rs.
 */
export class TargetStack {
  readonly target: Target;
  /** Rejects with a ProxyError if the target cannot be discovered. May stay pending while the control plane is away. */
  readonly discovered: Promise<Discovered>;
  /** The same once it is there: nobody has to wait then. */
  known: Discovered | undefined = undefined;
  /** Names HTTP/1 requests that name no host, where a profile routes them; undefined leaves it to the target's address. */
  http1Authority: string | undefined = undefined;
  readonly #context: TargetContext;
  readonly #stop = new AbortController();
  readonly #closers: (() => void)[] = [];
  #http1: HttpService | undefined = undefined;
  #http2: HttpService | undefined = undefined;
  #opaque: OpaqueStack | undefined = undefined;
  #tls: TlsStack | undefined = undefined;

  constructor(target: Target, context: TargetContext) {
    this.target = target;
    this.#context = context;
    this.discovered = discover(context.control, target, context.discovery, context.clock, this.#stop.signal);
    this.discovered.then(
      (discovered) => (this.known = discovered),
      // Whoever waits for it hears of a failure; nobody may be waiting.
      () => {},
    );
  }

  http(version: 1 | 2, discovered: Discovered): HttpService {
    if (version === 1) return (this.#http1 ??= this.#buildHttp(1, discovered));
    return (this.#http2 ??= this.#buildHttp(2, discovered));
  }

  /** Whether there are routes for HTTP, for those who come with requests without having asked the policy what to speak. */
  routesHttp(version: 1 | 2, { policy, profile }: Discovered): boolean {
    if ((version === 1 ? this.#http1 : this.#http2) !== undefined) return true;
    if (this.#httpProfileName(profile?.value) !== undefined) return true;
    if (this.#context.discovery.forGateway === true) return profile?.value.endpoint !== undefined;
    const { kind } = policy.value.protocol;
    return kind !== "opaque" && kind !== "tls";
  }

  tls({ policy }: Discovered): TlsStack {
    if (this.#tls === undefined) {
      const stack = new TlsStack(formatTarget(this.target), policy, {
        ...this.#context,
        queueCapacity: this.#context.tcpQueueCapacity,
        failfastTimeoutMs: this.#context.tcpFailfastTimeoutMs,
      });
      this.#tls = stack;
      this.#closers.push(() => stack.close());
    }
    return this.#tls;
  }

  opaque(discovered: Discovered): OpaqueStack {
    if (this.#opaque === undefined) {
      const name = discovered.profile?.value.logical;
      const logical = name === undefined ? addrOf(this.target) : ({ kind: "name", name } as const);
      const stack = new OpaqueStack(logical, this.#opaquePolicy(discovered), {
        ...this.#context,
        queueCapacity: this.#context.tcpQueueCapacity,
        failfastTimeoutMs: this.#context.tcpFailfastTimeoutMs,
      });
      this.#opaque = stack;
      this.#closers.push(() => stack.close());
    }
    return this.#opaque;
  }

  /** Ends discovery and lets go of all connections; what is under way finishes. */
  close(): void {
    this.#stop.abort();
    for (const close of this.#closers) close();
  }

  /** Connections that are not HTTP know only the split of a profile. Whether it counts is settled once, as for HTTP. */
  #opaquePolicy({ policy, profile }: Discovered): Discovered["policy"] {
    const name = opaqueProfileName(profile?.value);
    if (profile === undefined || name === undefined) return policy;
    return mapWatch(profile, this.#stop.signal, (value) => opaqueProfilePolicy(name, value));
  }

  /** Whether the profile or the policy is in force is settled here, for as long as the stack lives. */
  #buildHttp(version: 1 | 2, discovered: Discovered): HttpService {
    const { profile } = discovered;
    const name = this.#httpProfileName(profile?.value);
    const policy = name === undefined ? this.#httpPolicy(discovered) : discovered.policy;
    const backends = new BackendCache((backend, breaker) => {
      const parent = name === undefined ? policy.value.parent : serviceMeta(name);
      return this.#backend(version, parent, backend, breaker);
    });
    if (profile !== undefined && name !== undefined) {
      const service = new ProfileService(name, profile, backends, this.#context);
      this.#closers.push(() => service.close());
      if (version === 1) this.http1Authority = authorityText(name);
      return service;
    }
    const { clock, routeMetrics: metrics, random, inFlight } = this.#context;
    const logical = new LogicalService(version, formatTarget(this.target), policy, backends, {
      clock,
      metrics,
      random,
      inFlight,
    });
    this.#closers.push(() => logical.close());
    return logical;
  }

  /** A gateway's HTTP is the profile's, whatever policy there is, also if all it says is where to. */
  #httpPolicy({ policy, profile }: Discovered): Discovered["policy"] {
    const { forGateway, detectTimeoutMs } = this.#context.discovery;
    if (forGateway !== true || profile === undefined) return policy;
    return gatewayPolicy(profile, detectTimeoutMs, this.#stop.signal);
  }

  #httpProfileName(profile: Profile | undefined): NameAddr | undefined {
    return this.#context.discovery.forGateway === true ? profile?.logical : httpProfileName(profile);
  }

  #backend(
    version: 1 | 2,
    parent: Meta,
    { dispatcher, meta }: Backend,
    policy: BreakerPolicy | undefined,
  ): HttpBackend {
    const name = formatMeta(meta);
    if (dispatcher.kind === "fail") return new FailBackend(`backend ${name}: ${dispatcher.message}`);
    const context = this.#context;
    const load = dispatcher.kind === "balance" ? dispatcher.load : DEFAULT_LOAD;
    const authority = dispatcher.kind === "balance" ? authorityText(dispatcher.path) : undefined;
    const breaker = dispatcher.kind === "balance" ? policy : undefined;
    const { balancerMetrics, httpFailfastTimeoutMs: failfastTimeoutMs } = context;
    const stop = new AbortController();
    const balancer = new HttpBalancer({
      clock: context.clock,
      random: context.random,
      queueCapacity: context.httpQueueCapacity,
      failfastTimeoutMs,
      name: `backend ${name}`,
      metrics:
        dispatcher.kind === "balance"
          ? balancerMetrics.forBalancer("http", parent, meta, failfastTimeoutMs)
          : undefined,
      makeEndpoint: (endpoint, changed) =>
        new EndpointStack({ endpoint, version, load, authority, breaker }, context, changed),
      onClose: () => stop.abort(),
    });
    if (dispatcher.kind === "forward") balancer.update({ kind: "reset", endpoints: [dispatcher.endpoint] });
    else context.control.resolveEndpoints(dispatcher.path, stop.signal, balancer);
    return balancer;
  }
}
