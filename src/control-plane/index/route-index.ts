import type { TcpRoute, TlsRoute } from "../resources/connection-route.ts";
import type { GrpcRoute } from "../resources/grpc-route.ts";
import type { HttpRoute } from "../resources/http-route.ts";
import {
  conflictsOf,
  isForeignServer,
  parentNamespace,
  type AnyRoute,
} from "../resources/route-conflicts.ts";
import { compareText, type ResourceSet } from "../resources/resource-set.ts";
import type { ParentRef } from "../resources/route-parts.ts";

/** A place that routes are attached to. */
export interface RouteTarget {
  readonly kind: ParentRef["kind"];
  readonly namespace: string;
  readonly name: string;
}

interface Attached<R> {
  readonly route: R;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

type ByTarget<R> = ReadonlyMap<string, readonly Attached<R>[]>;

/**
 * Which routes speak for what. A parent that does not take a route is as if the route did not name it.
 *
 * Source: linkerd2, policy-controller/k8s/status/src/index.rs (the `Accepted` condition).
 */
export class RouteIndex {
  readonly #http: ByTarget<HttpRoute>;
  readonly #grpc: ByTarget<GrpcRoute>;
  readonly #tls: ByTarget<TlsRoute>;
  readonly #tcp: ByTarget<TcpRoute>;

  /** @param takesRoutes whether a Service or EgressNetwork can be the parent of routes. */
  constructor(resources: ResourceSet, takesRoutes: (target: RouteTarget) => boolean) {
    const http = resources.ofKind("HTTPRoute");
    const grpc = resources.ofKind("GRPCRoute");
    const tls = resources.ofKind("TLSRoute");
    const tcp = resources.ofKind("TCPRoute");
    const conflicts = conflictsOf([...http, ...grpc, ...tls, ...tcp]);
    const index = <R extends AnyRoute>(routes: readonly R[]): ByTarget<R> => {
      const groups = new Map<string, Attached<R>[]>();
      for (const route of routes) {
        for (const parent of route.parents) {
          const namespace = parentNamespace(route, parent);
          const target = { kind: parent.kind, namespace, name: parent.name };
          const taken = parent.kind === "Server" ? !isForeignServer(route, parent) : takesRoutes(target);
          if (!taken || conflicts(route, parent) !== undefined) continue;
          const key = keyOf(target);
          const group = groups.get(key) ?? [];
          group.push({ route, port: parent.port });
          groups.set(key, group);
        }
      }
      return groups;
    };
    this.#http = index(http);
    this.#grpc = index(grpc);
    this.#tls = index(tls);
    this.#tcp = index(tcp);
  }

  http(target: RouteTarget, port: number): readonly HttpRoute[] {
    return attached(this.#http, target, port);
  }

  grpc(target: RouteTarget, port: number): readonly GrpcRoute[] {
    return attached(this.#grpc, target, port);
  }

  tls(target: RouteTarget, port: number): readonly TlsRoute[] {
    return attached(this.#tls, target, port);
  }

  tcp(target: RouteTarget, port: number): readonly TcpRoute[] {
    return attached(this.#tcp, target, port);
  }
}

function attached<R extends AnyRoute>(routes: ByTarget<R>, target: RouteTarget, port: number): readonly R[] {
  const here = (routes.get(keyOf(target)) ?? []).filter((a) => a.port === undefined || a.port === port);
  const order = target.kind === "Server" ? byAgeThenKind : byAgeThenName;
  return [...new Set(here.map((a) => a.route))].sort(order);
}

/** Routes whose age is known come first, the oldest before the others. */
function byKnownAge(a: AnyRoute, b: AnyRoute): number {
  const known = Number(a.meta.createdAt === "") - Number(b.meta.createdAt === "");
  return known || compareText(a.meta.createdAt, b.meta.createdAt);
}

/** Outbound, names count before namespaces. Source: linkerd2, policy-controller/grpc/src/outbound.rs. */
function byAgeThenName(a: AnyRoute, b: AnyRoute): number {
  return (
    byKnownAge(a, b) ||
    compareText(a.meta.name, b.meta.name) ||
    compareText(a.meta.namespace, b.meta.namespace)
  );
}

/** Inbound, all routes are of one namespace. Source: linkerd2, policy-controller/grpc/src/inbound/http.rs. */
function byAgeThenKind(a: AnyRoute, b: AnyRoute): number {
  return (
    byKnownAge(a, b) ||
    compareText(a.group, b.group) ||
    compareText(a.kind, b.kind) ||
    compareText(a.meta.name, b.meta.name)
  );
}

function keyOf({ kind, namespace, name }: RouteTarget): string {
  return `${kind} ${namespace}/${name}`;
}
