import { Distributor } from "../balance/distribution.ts";
import type { ControlPlane } from "../control/control-plane.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { authorityText } from "../metrics/labels.ts";
import type {
  Backend,
  ClientPolicy,
  Distribution,
  OpaqueClientRoute,
  OpaqueFilter,
  RouteBackend,
} from "../policy/client-policy.ts";
import type { Filter } from "../policy/filter.ts";
import { formatMeta } from "../policy/meta.ts";
import { DEFAULT_LOAD } from "../policy/synthesize.ts";
import { DispatchQueue } from "../stack/dispatch-queue.ts";
import type { Clock } from "../time/clock.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { Watch } from "../watch/watch.ts";
import { BackendCache, backendsOf } from "./backend-cache.ts";
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
  readonly #backends: BackendCache<TcpBackend>;
  readonly #stop = new AbortController();
  #route: BuiltRoute;

  constructor(policy: Watch<ClientPolicy>, context: OpaqueContext) {
    this.#context = context;
    this.#backends = new BackendCache((backend) => this.#backend(backend));
    this.#route = this.#build(routeOf(policy.value));
    policy.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  /**
   * A connection to one of the servers.
   *
   * @throws ProxyError why there is none: the caller can only close the application's connection.
   */
  async connect(signal: AbortSignal): Promise<SocketTransport> {
    const { route, distributor } = this.#route;
    if (route === undefined) throw new ProxyError("route_not_found", "no route");
    refuseByFilter(route.filters);
    const arm = distributor.pick(isAvailable, this.#context.random);
    if (arm === undefined) throw new ProxyError("loadshed", "service unavailable");
    refuseByFilter(arm.filters);
    return arm.backend.connect(signal);
  }

  close(): void {
    this.#stop.abort();
    this.#backends.retain([]);
  }

  /**
   * Connections under way keep their server; backends that the new policy names unchanged keep those who wait for them.
   * A policy that is no longer about TCP is for connections to come.
   */
  #replace(policy: ClientPolicy): void {
    const { kind } = policy.protocol;
    if (kind !== "detect" && kind !== "opaque") return;
    const route = routeOf(policy);
    this.#route = this.#build(route);
    this.#backends.retain(route === undefined ? [] : backendsOf(route.distribution));
  }

  #build(route: OpaqueClientRoute | undefined): BuiltRoute {
    const distribution = route?.distribution ?? EMPTY;
    const arm = ({ backend, filters }: RouteBackend): Arm => ({
      backend: this.#backends.get(backend),
      filters,
    });
    switch (distribution.kind) {
      case "empty":
        return { route, distributor: new Distributor<Arm>("first_available", []) };
      case "first_available": {
        const arms = distribution.backends.map((b) => ({ item: arm(b), weight: 1 }));
        return { route, distributor: new Distributor("first_available", arms) };
      }
      case "random_available": {
        const arms = distribution.backends.map((b) => ({ item: arm(b), weight: b.weight }));
        return { route, distributor: new Distributor("random_available", arms) };
      }
      default:
        return distribution satisfies never;
    }
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
  readonly distributor: Distributor<Arm>;
}

interface Arm {
  readonly backend: TcpBackend;
  readonly filters: readonly Filter[];
}

interface TcpBackend {
  readonly available: boolean;
  connect(signal: AbortSignal): Promise<SocketTransport>;
  close(): void;
}

const EMPTY: Distribution = { kind: "empty" };

function isAvailable({ backend }: Arm): boolean {
  return backend.available;
}

/** There is nothing in bytes that a filter could change: every filter refuses, and the first one says why. */
function refuseByFilter(filters: readonly (OpaqueFilter | Filter)[]): void {
  const [filter] = filters;
  if (filter === undefined) return;
  if (filter.kind === "forbidden") throw new ProxyError("unauthorized", "forbidden by policy");
  throw new ProxyError("invalid_policy", "message" in filter ? filter.message : `filter ${filter.kind}`);
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
      const gaveUp = (): void => reject(new ProxyError("canceled", "the application gave up"));
      if (signal.aborted) return gaveUp();
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
          gaveUp();
        },
        { once: true },
      );
    });
  }
}
