import type { TcpRoute, TlsRoute } from "./connection-route.ts";
import type { GrpcRoute } from "./grpc-route.ts";
import type { HttpRoute } from "./http-route.ts";
import type { ParentRef } from "./route-parts.ts";

export type AnyRoute = HttpRoute | GrpcRoute | TlsRoute | TcpRoute;

/** From the kind that knows most of a request to the one that knows least (Gateway API, GEP-1426). */
const KINDS = [
  "GRPCRoute",
  "HTTPRoute",
  "TLSRoute",
  "TCPRoute",
] as const satisfies readonly AnyRoute["kind"][];

/**
 * Tells why a route is not attached to one of its parents: a kind that knows more of a request is attached to the same
 * parent and port. Undefined: nothing is in its way.
 *
 * Source: linkerd2, policy-controller/k8s/status/src/index.rs (`parent_has_conflicting_routes`).
 */
export function conflictsOf(
  routes: readonly AnyRoute[],
): (route: AnyRoute, parent: ParentRef) => AnyRoute["kind"] | undefined {
  const kinds = new Set(
    routes.flatMap((route) =>
      route.parents
        .filter((parent) => !isForeignServer(route, parent))
        .map((parent) => `${route.kind} ${keyOf(route, parent)}`),
    ),
  );
  return (route, parent) =>
    KINDS.slice(0, KINDS.indexOf(route.kind)).find((kind) => kinds.has(`${kind} ${keyOf(route, parent)}`));
}

export function parentNamespace(route: AnyRoute, parent: ParentRef): string {
  return parent.namespace ?? route.meta.namespace;
}

/** A Server takes routes of its own namespace only: nobody else decides who gets in. */
export function isForeignServer(route: AnyRoute, parent: ParentRef): boolean {
  return parent.kind === "Server" && parentNamespace(route, parent) !== route.meta.namespace;
}

function keyOf(route: AnyRoute, parent: ParentRef): string {
  return `${parent.kind} ${parentNamespace(route, parent)}/${parent.name}:${parent.port ?? ""}`;
}
