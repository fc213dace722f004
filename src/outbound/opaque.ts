import { formatAddr, type Addr } from "../addr/name-addr.ts";
import { ProxyError } from "../errors/proxy-error.ts";
import type { Families } from "../metrics/families.ts";
import { tcpRouteLabels } from "../metrics/labels.ts";
import type { ClientPolicy } from "../policy/client-policy.ts";
import type { Watch } from "../watch/watch.ts";
import { BackendCache, backendsOf } from "./backend-cache.ts";
import { tcpBackend, type TcpBackend, type TcpContext } from "./tcp-backend.ts";
import { TcpRouteMetrics } from "./tcp-route-metrics.ts";
import { TcpRoute, type RoutedConnection } from "./tcp-route.ts";

export interface OpaqueContext extends TcpContext {
  readonly families: Families;
}

/**
 * The route of one target for connections whose bytes we do not interpret.
 *
 * A new policy replaces it at once. Connections under way keep their server; backends that the new policy names unchanged
 * keep those who wait for them.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/opaq.
 */
export class OpaqueStack {
  readonly #context: OpaqueContext;
  readonly #logical: Addr;
  readonly #backends: BackendCache<TcpBackend>;
  readonly #stop = new AbortController();
  #current: RoutedConnection | undefined;

  /** @param logical what the application addressed: by name, where discovery knows one. */
  constructor(logical: Addr, policy: Watch<ClientPolicy>, context: OpaqueContext) {
    this.#context = context;
    this.#logical = logical;
    this.#backends = new BackendCache((backend) =>
      tcpBackend(backend, { kind: "tcp", parent: policy.value.parent }, context),
    );
    this.#current = this.#build(policy.value);
    policy.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  /**
   * The route in force, for one connection.
   *
   * @throws ProxyError `route_not_found`.
   */
  route(): RoutedConnection {
    if (this.#current !== undefined) return this.#current;
    throw new ProxyError("route_not_found", `logical service ${formatAddr(this.#logical)}: no route`);
  }

  close(): void {
    this.#stop.abort();
    this.#current?.metrics.release();
    this.#backends.retain([]);
  }

  /** A policy that is no longer about bytes is for connections to come: what it said before stays. */
  #replace(policy: ClientPolicy): void {
    const { kind } = policy.protocol;
    if (kind !== "detect" && kind !== "opaque") return;
    const before = this.#current;
    this.#current = this.#build(policy);
    before?.metrics.release();
    const route = policy.protocol.opaque;
    this.#backends.retain(route === undefined ? [] : backendsOf(route.distribution));
  }

  #build({ parent, protocol }: ClientPolicy): RoutedConnection | undefined {
    const route = protocol.kind === "detect" || protocol.kind === "opaque" ? protocol.opaque : undefined;
    if (route === undefined) return undefined;
    const { families, random } = this.#context;
    const logical = this.#logical;
    const [ip, port] =
      logical.kind === "name" ? ["", logical.name.port] : [logical.socket.ip.text, logical.socket.port];
    return {
      route: new TcpRoute(formatAddr(logical), route, this.#backends, random),
      metrics: new TcpRouteMetrics(
        { open: families.outboundTcpRouteOpenTotal, close: families.outboundTcpRouteCloseTotal },
        tcpRouteLabels(parent, route.meta, ip, port),
      ),
    };
  }
}
