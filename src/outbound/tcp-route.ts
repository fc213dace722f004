import { Distributor } from "../balance/distribution.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import { errorFromNode } from "../errors/from-node.ts";
import type { Distribution, OpaqueFilter, RouteBackend } from "../policy/client-policy.ts";
import { formatMeta, type Meta } from "../policy/meta.ts";
import type { SocketTransport } from "../transport/socket-transport.ts";
import type { BackendCache } from "./backend-cache.ts";
import type { TcpBackend } from "./tcp-backend.ts";
import type { TcpRouteMetrics } from "./tcp-route-metrics.ts";

/** What opaque and TLS routes have in common: all that is left once one has been chosen. */
export interface TcpRouteParams {
  readonly meta: Meta;
  readonly filters: readonly OpaqueFilter[];
  readonly distribution: Distribution<OpaqueFilter>;
}

/** A connection that knows its route, and who counts it. */
export interface RoutedConnection {
  readonly route: TcpRoute;
  readonly metrics: TcpRouteMetrics;
}

interface Arm {
  readonly backend: TcpBackend;
  readonly filters: readonly OpaqueFilter[];
}

/**
 * One route of connections: its filters, then one of its backends. Built for a snapshot; another object means that the
 * policy has changed since.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/{opaq,tls}/logical/route.rs.
 */
export class TcpRoute {
  readonly #filters: readonly OpaqueFilter[];
  readonly #distributor: Distributor<Arm>;
  readonly #random: () => number;
  readonly #name: string;

  /** @param logical what the application addressed, for messages. */
  constructor(
    logical: string,
    { meta, filters, distribution }: TcpRouteParams,
    backends: BackendCache<TcpBackend>,
    random: () => number,
  ) {
    this.#name = `logical service ${logical}: route ${formatMeta(meta)}`;
    this.#filters = filters;
    this.#random = random;
    this.#distributor = distributor(distribution, backends);
  }

  /**
   * A connection to one of the servers.
   *
   * @throws ProxyError why there is none: the caller can only close the application's connection.
   */
  async connect(signal: AbortSignal): Promise<SocketTransport> {
    return this.connectTo(this.#pick(), signal);
  }

  /** The same to a backend that was chosen before. */
  async connectTo(backend: TcpBackend, signal: AbortSignal): Promise<SocketTransport> {
    try {
      return await backend.connect(signal);
    } catch (thrown) {
      throw errorFromNode(thrown, "connect").within(this.#name);
    }
  }

  /**
   * The backend that would get a connection now; undefined if a filter refuses it or if none is available. Asking has no
   * effect: nothing is counted, dialled or queued.
   */
  candidate(): TcpBackend | undefined {
    if (this.#filters.length > 0) return undefined;
    const arm = this.#distributor.pick(isAvailable, this.#random);
    return arm === undefined || arm.filters.length > 0 ? undefined : arm.backend;
  }

  #pick(): TcpBackend {
    const problem = refusal(this.#filters);
    if (problem !== undefined) throw problem.within(this.#name);
    const arm = this.#distributor.pick(isAvailable, this.#random);
    if (arm === undefined) {
      throw new ProxyError("loadshed", "service unavailable", { side: "proxy" }).within(this.#name);
    }
    const armProblem = refusal(arm.filters);
    if (armProblem !== undefined) throw armProblem.within(this.#name);
    return arm.backend;
  }
}

function distributor(
  distribution: Distribution<OpaqueFilter>,
  backends: BackendCache<TcpBackend>,
): Distributor<Arm> {
  const arm = ({ backend, filters }: RouteBackend<OpaqueFilter>): Arm => ({
    backend: backends.get(backend),
    filters,
  });
  switch (distribution.kind) {
    case "empty":
      return new Distributor<Arm>("first_available", []);
    case "first_available":
      return new Distributor(
        "first_available",
        distribution.backends.map((b) => ({ item: arm(b), weight: 1 })),
      );
    case "random_available":
      return new Distributor(
        "random_available",
        distribution.backends.map((b) => ({ item: arm(b), weight: b.weight })),
      );
    default:
      return distribution satisfies never;
  }
}

function isAvailable({ backend }: Arm): boolean {
  return backend.available;
}

/** There is nothing in bytes that a filter could change: every filter refuses, and the first one says why. */
function refusal([filter]: readonly OpaqueFilter[]): ProxyError | undefined {
  switch (filter?.kind) {
    case undefined:
      return undefined;
    case "forbidden":
      return new ProxyError("unauthorized", "forbidden by policy", { side: "proxy" });
    case "invalid":
      return new ProxyError("invalid_backend", filter.message, { side: "proxy" });
    case "internal_error":
      return new ProxyError("invalid_policy", filter.message, { side: "proxy" });
    default:
      return filter satisfies never;
  }
}
