import type { ControlPlane } from "../control/control-plane.ts";
import type { HttpService } from "../http/message.ts";
import type { Backend } from "../policy/client-policy.ts";
import { formatMeta } from "../policy/meta.ts";
import { authorityText } from "../metrics/labels.ts";
import { DEFAULT_LOAD } from "../policy/synthesize.ts";
import type { ConcurrencyLimit } from "../stack/concurrency-limit.ts";
import { discover, type Discovered, type DiscoverOptions } from "./discover.ts";
import { BackendCache } from "./backend-cache.ts";
import type { HttpBackend } from "./http/backend.ts";
import { HttpBalancer } from "./http/balancer.ts";
import { EndpointStack, type EndpointContext } from "./http/endpoint.ts";
import { FailBackend } from "./http/fail-backend.ts";
import { LogicalService } from "./http/logical.ts";
import type { RouteMetricsFactory } from "./http/route-metrics.ts";
import { OpaqueStack } from "./opaque.ts";
import { formatTarget, type Target } from "./target.ts";

export interface TargetContext extends EndpointContext {
  readonly control: ControlPlane;
  readonly discovery: DiscoverOptions;
  readonly routeMetrics: RouteMetricsFactory;
  readonly inFlight: ConcurrencyLimit;
  readonly httpQueueCapacity: number;
  readonly httpFailfastTimeoutMs: number;
  readonly tcpQueueCapacity: number;
  readonly tcpFailfastTimeoutMs: number;
}

/**
 * Everything that connections to one target share: what discovery says, and below it the stacks for HTTP/1, HTTP/2 and
 * opaque bytes, each made when first needed.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{discover,sidecar}.rs.
 */
export class TargetStack {
  readonly target: Target;
  /** Rejects with a ProxyError if the target cannot be discovered. May stay pending while the control plane is away. */
  readonly discovered: Promise<Discovered>;
  /** The same once it is there: nobody has to wait then. */
  known: Discovered | undefined = undefined;
  readonly #context: TargetContext;
  readonly #stop = new AbortController();
  readonly #closers: (() => void)[] = [];
  #http1: HttpService | undefined = undefined;
  #http2: HttpService | undefined = undefined;
  #opaque: OpaqueStack | undefined = undefined;

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

  http(version: 1 | 2, { policy }: Discovered): HttpService {
    if (version === 1) return (this.#http1 ??= this.#buildHttp(1, policy));
    return (this.#http2 ??= this.#buildHttp(2, policy));
  }

  opaque({ policy }: Discovered): OpaqueStack {
    if (this.#opaque === undefined) {
      const stack = new OpaqueStack(policy, {
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

  #buildHttp(version: 1 | 2, policy: Discovered["policy"]): HttpService {
    const backends = new BackendCache((backend) => this.#backend(version, backend));
    const { routeMetrics: metrics, random, inFlight } = this.#context;
    const logical = new LogicalService(version, formatTarget(this.target), policy, backends, {
      metrics,
      random,
      inFlight,
    });
    this.#closers.push(() => logical.close());
    return logical;
  }

  #backend(version: 1 | 2, { dispatcher, meta }: Backend): HttpBackend {
    const name = formatMeta(meta);
    if (dispatcher.kind === "fail") return new FailBackend(`backend ${name}: ${dispatcher.message}`);
    const context = this.#context;
    const load = dispatcher.kind === "balance" ? dispatcher.load : DEFAULT_LOAD;
    const authority = dispatcher.kind === "balance" ? authorityText(dispatcher.path) : undefined;
    const stop = new AbortController();
    const balancer = new HttpBalancer({
      clock: context.clock,
      random: context.random,
      queueCapacity: context.httpQueueCapacity,
      failfastTimeoutMs: context.httpFailfastTimeoutMs,
      name: `backend ${name}`,
      makeEndpoint: (endpoint, changed) =>
        new EndpointStack({ endpoint, version, load, authority }, context, changed),
      onClose: () => stop.abort(),
    });
    if (dispatcher.kind === "forward") balancer.update({ kind: "reset", endpoints: [dispatcher.endpoint] });
    else context.control.resolveEndpoints(dispatcher.path, stop.signal, balancer);
    return balancer;
  }
}
