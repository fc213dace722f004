import { Distributor } from "../balance/distribution.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { authorityText } from "../metrics/labels.ts";
import type { Backend, ClientPolicy, OpaqueClientRoute, RouteBackend } from "../policy/client-policy.ts";
import { formatMeta } from "../policy/meta.ts";
import { DEFAULT_LOAD } from "../policy/synthesize.ts";
import { DispatchQueue } from "../stack/dispatch-queue.ts";
import type { Clock } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { Watch } from "../watch/watch.ts";
import type { Dialer } from "./dial.ts";
import { EndpointPool } from "./endpoint-pool.ts";
import { refusal } from "../http/queued-service.ts";
import { TcpEndpoint } from "./tcp-endpoint.ts";

export interface OpaqueContext {
  readonly clock: Clock;
  readonly random: () => number;
  readonly control: ControlPlane;
  readonly dialer: Dialer;
  readonly queueCapacity: number;
  readonly failfastTimeoutMs: number;
}

/**
 * Chooses and dials a server for connections whose bytes we do not interpret.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/opaq.
 */
export class OpaqueStack {
  readonly #context: OpaqueContext;
  readonly #policy: Watch<ClientPolicy>;
  readonly #stop = new AbortController();
  #route: BuiltRoute;

  constructor(policy: Watch<ClientPolicy>, context: OpaqueContext) {
    this.#context = context;
    this.#policy = policy;
    this.#route = this.#build(routeOf(policy.value));
    policy.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  /**
   * A connection to one of the servers.
   *
   * @throws ProxyError why there is none: the caller can only close the application's connection.
   */
  connect(signal: AbortSignal): Promise<SocketTransport> {
    const { route, distributor } = this.#route;
    const [filter] = route?.filters ?? [];
    if (route === undefined) return Promise.reject(new ProxyError("route_not_found", "no route"));
    if (filter !== undefined) {
      const message = filter.kind === "forbidden" ? "forbidden by policy" : filter.message;
      return Promise.reject(
        new ProxyError(filter.kind === "forbidden" ? "unauthorized" : "invalid_policy", message),
      );
    }
    const backend = distributor.pick((b) => b.available, this.#context.random);
    if (backend === undefined) return Promise.reject(new ProxyError("loadshed", "service unavailable"));
    return backend.connect(signal);
  }

  close(): void {
    this.#stop.abort();
    this.#route.close();
  }

  /** Connections under way keep their server; a policy that is no longer about TCP is for connections to come. */
  #replace(policy: ClientPolicy): void {
    const { kind } = policy.protocol;
    if (kind !== "detect" && kind !== "opaque") return;
    const previous = this.#route;
    this.#route = this.#build(routeOf(policy));
    previous.close();
  }

  #build(route: OpaqueClientRoute | undefined): BuiltRoute {
    const distribution = route?.distribution ?? { kind: "empty" };
    const backends = distribution.kind === "empty" ? [] : distribution.backends;
    const weights =
      distribution.kind === "random_available" ? distribution.backends.map((b) => b.weight) : [];
    const built = backends.map((b: RouteBackend) => this.#backend(b.backend));
    return {
      route,
      distributor: new Distributor(
        distribution.kind === "random_available" ? "random_available" : "first_available",
        built.map((item, i) => ({ item, weight: weights[i] ?? 1 })),
      ),
      close: () => built.forEach((b) => b.close()),
    };
  }

  #backend(backend: Backend): TcpBackend {
    const { dispatcher } = backend;
    switch (dispatcher.kind) {
      case "balance":
        return new TcpBalancer(backend, this.#context);
      case "forward": {
        const { dialer, clock } = this.#context;
        const endpoint = new TcpEndpoint(dispatcher.endpoint, DEFAULT_LOAD, undefined, dialer, clock);
        return { available: true, connect: (signal) => endpoint.connect(signal), close: () => {} };
      }
      case "fail": {
        const error = new ProxyError("fail_dispatcher", dispatcher.message);
        return { available: true, connect: () => Promise.reject(error), close: () => {} };
      }
      default:
        return dispatcher satisfies never;
    }
  }
}

interface BuiltRoute {
  readonly route: OpaqueClientRoute | undefined;
  readonly distributor: Distributor<TcpBackend>;
  readonly close: () => void;
}

interface TcpBackend {
  readonly available: boolean;
  connect(signal: AbortSignal): Promise<SocketTransport>;
  close(): void;
}

function routeOf({ protocol }: ClientPolicy): OpaqueClientRoute | undefined {
  return protocol.kind === "detect" || protocol.kind === "opaque" ? protocol.opaque : undefined;
}

/** Balances connections; while no endpoint is known they wait, at most until failfast. */
class TcpBalancer implements TcpBackend {
  readonly #pool: EndpointPool<TcpEndpoint>;
  readonly #queue: DispatchQueue;
  readonly #clock: Clock;
  readonly #name: string;
  readonly #stop = new AbortController();
  #failure: ProxyError | undefined = undefined;

  constructor(backend: Backend, context: OpaqueContext) {
    const { clock, random, dialer, control, queueCapacity, failfastTimeoutMs } = context;
    const { dispatcher } = backend;
    if (dispatcher.kind !== "balance") throw new Error("a balancer needs a balanced backend");
    const { path, load } = dispatcher;
    this.#clock = clock;
    this.#name = formatMeta(backend.meta);
    this.#queue = new DispatchQueue({
      capacity: queueCapacity,
      failfastTimeoutMs,
      clock,
      isReady: () => this.#pool.readyCount > 0,
    });
    this.#pool = new EndpointPool(
      (endpoint) => new TcpEndpoint(endpoint, load, authorityText(path), dialer, clock),
      random,
      () => this.#queue.onReady(),
    );
    control.resolveEndpoints(path, this.#stop.signal, {
      update: (update) => {
        this.#failure = undefined;
        this.#pool.apply(update);
      },
      failed: (error) => {
        this.#failure = error;
        this.#pool.apply({ kind: "reset", endpoints: [] });
      },
    });
  }

  get available(): boolean {
    return this.#queue.isAvailable();
  }

  async connect(signal: AbortSignal): Promise<SocketTransport> {
    if (this.#failure !== undefined) throw this.#failure;
    const endpoint = await this.#endpoint(signal);
    return endpoint.connect(signal);
  }

  close(): void {
    this.#stop.abort();
    this.#queue.close();
    this.#pool.close();
  }

  #endpoint(signal: AbortSignal): Promise<TcpEndpoint> {
    return new Promise((resolve, reject) => {
      const place = this.#queue.submit({
        dispatch: () => {
          const endpoint = this.#pool.pick(this.#clock.nowMs());
          if (endpoint === undefined) reject(refusal("failfast", this.#name));
          else resolve(endpoint);
        },
        refuse: (reason) => reject(refusal(reason, this.#name)),
      });
      signal.addEventListener(
        "abort",
        () => {
          place?.cancel();
          reject(new ProxyError("canceled", "the application gave up"));
        },
        { once: true },
      );
    });
  }
}
