import type { DnsName } from "../../addr/dns-name.ts";
import { ProxyError } from "../../errors/proxy-error.ts";
import type { Families } from "../../metrics/families.ts";
import { routeLabels } from "../../metrics/labels.ts";
import type { ClientPolicy, TlsClientRoute } from "../../policy/client-policy.ts";
import type { Meta } from "../../policy/meta.ts";
import type { Watch } from "../../watch/watch.ts";
import { BackendCache, backendsOf } from "../backend-cache.ts";
import { tcpBackend, type TcpBackend, type TcpContext } from "../tcp-backend.ts";
import { TcpRouteMetrics } from "../tcp-route-metrics.ts";
import { TcpRoute, type RoutedConnection } from "../tcp-route.ts";
import { findTlsRoute, sniMatchers, type SniEntry } from "./find-tls-route.ts";

export interface TlsStackContext extends TcpContext {
  readonly families: Families;
  /** Whether metrics show the server names, which applications choose. */
  readonly hostnameLabels: boolean;
}

/** Server names that a route shows in its metrics; later ones share the series without a name (LIM-26). */
const HOSTNAMES_MAX = 100;

/**
 * The TLS routes of one target: connections are told apart by the server name that they ask for. Nothing is terminated.
 *
 * A new policy replaces the routes at once, as with opaque ones.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/tls.
 */
export class TlsStack {
  readonly #context: TlsStackContext;
  readonly #logical: string;
  readonly #backends: BackendCache<TcpBackend>;
  readonly #stop = new AbortController();
  #routes: readonly SniEntry<TlsRouteStack>[];

  /** @param logical what the application addressed, for messages. */
  constructor(logical: string, policy: Watch<ClientPolicy>, context: TlsStackContext) {
    this.#context = context;
    this.#logical = logical;
    this.#backends = new BackendCache((backend) =>
      tcpBackend(backend, { kind: "tls", parent: policy.value.parent }, context),
    );
    this.#routes = this.#build(policy.value.parent, routesOf(policy.value) ?? []);
    policy.subscribe(this.#stop.signal, (value) => this.#replace(value));
  }

  /**
   * The route of a connection.
   *
   * @throws ProxyError `route_not_found`.
   */
  route(sni: DnsName): RoutedConnection {
    const found = findTlsRoute(this.#routes, sni);
    if (found !== undefined) return found.connection(sni);
    throw new ProxyError("route_not_found", `logical service ${this.#logical}: no route for ${sni}`);
  }

  close(): void {
    this.#stop.abort();
    for (const { item } of this.#routes) item.close();
    this.#backends.retain([]);
  }

  /** A policy that stopped being about TLS is for connections to come. */
  #replace(policy: ClientPolicy): void {
    const routes = routesOf(policy);
    if (routes === undefined) return;
    const before = this.#routes;
    this.#routes = this.#build(policy.parent, routes);
    for (const { item } of before) item.close();
    this.#backends.retain(routes.flatMap(({ distribution }) => backendsOf(distribution)));
  }

  #build(parent: Meta, routes: readonly TlsClientRoute[]): readonly SniEntry<TlsRouteStack>[] {
    return routes.map((route) => ({
      snis: sniMatchers(route.snis),
      item: new TlsRouteStack(
        parent,
        route.meta,
        new TcpRoute(this.#logical, route, this.#backends, this.#context.random),
        this.#context,
      ),
    }));
  }
}

function routesOf({ protocol }: ClientPolicy): readonly TlsClientRoute[] | undefined {
  return protocol.kind === "tls" ? protocol.routes : undefined;
}

/** A route with its counters, one set for each server name where those are shown. */
class TlsRouteStack {
  readonly #parent: Meta;
  readonly #meta: Meta;
  readonly #route: TcpRoute;
  readonly #context: TlsStackContext;
  readonly #connections = new Map<string, RoutedConnection>();

  constructor(parent: Meta, meta: Meta, route: TcpRoute, context: TlsStackContext) {
    this.#parent = parent;
    this.#meta = meta;
    this.#route = route;
    this.#context = context;
  }

  connection(sni: DnsName): RoutedConnection {
    const { hostnameLabels, families } = this.#context;
    const shown = hostnameLabels && (this.#connections.has(sni) || this.#connections.size < HOSTNAMES_MAX);
    const hostname = shown ? sni : "";
    let connection = this.#connections.get(hostname);
    if (connection === undefined) {
      const labels = routeLabels(this.#parent, this.#meta, hostname);
      const { outboundTlsRouteOpenTotal: open, outboundTlsRouteCloseTotal: close } = families;
      connection = { route: this.#route, metrics: new TcpRouteMetrics({ open, close }, labels) };
      this.#connections.set(hostname, connection);
    }
    return connection;
  }

  close(): void {
    for (const { metrics } of this.#connections.values()) metrics.release();
    this.#connections.clear();
  }
}
