import type { MessageInitShape } from "@bufbuild/protobuf";
import type { SniMatchSchema } from "../../proto/gen/tls_route_pb.js";
import type {
  OpaqueRoute_FilterSchema,
  OpaqueRouteSchema,
  TlsRoute_FilterSchema,
  TlsRouteSchema,
} from "../../proto/gen/outbound_pb.js";
import type { TcpRoute, TlsRoute } from "../resources/connection-route.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, resourceMeta } from "./messages.ts";
import { distribution, onlyBackend, type FilterForms, type RouteParent } from "./route-backends.ts";
import { reverseLabels } from "./route-messages.ts";

/** Routes of connections, for the outbound API. */
export type OpaqueRouteInit = MessageInitShape<typeof OpaqueRouteSchema>;
export type TlsRouteInit = MessageInitShape<typeof TlsRouteSchema>;

/** Both kinds know the same filters: the connection is refused, with or without a word about why. */
type ConnectionFilterInit = MessageInitShape<typeof OpaqueRoute_FilterSchema> &
  MessageInitShape<typeof TlsRoute_FilterSchema>;

const FORMS: FilterForms<never, ConnectionFilterInit> = {
  convert: (filter) => filter,
  fail: (message) => ({ kind: { case: "invalid", value: { message } } }),
};

const FORBIDDEN: ConnectionFilterInit = { kind: { case: "forbidden", value: {} } };

/** Source: linkerd2, policy-controller/grpc/src/outbound/tcp.rs. */
export function tcpRoute(cluster: Cluster, route: TcpRoute, parent: RouteParent): OpaqueRouteInit {
  return { metadata: routeMeta(route), rules: [{ backends: backends(cluster, route, parent) }] };
}

/** Source: linkerd2, policy-controller/grpc/src/outbound/tls.rs. */
export function tlsRoute(cluster: Cluster, route: TlsRoute, parent: RouteParent): TlsRouteInit {
  return {
    metadata: routeMeta(route),
    snis: route.hostnames.map(sniMatch),
    rules: [{ backends: backends(cluster, route, parent) }],
  };
}

/** The route of connections that no TCPRoute speaks for. */
export function defaultOpaqueRoute(parent: RouteParent): OpaqueRouteInit {
  return parent.kind === "Service" ? opaqueRoute("opaq", parent) : egressRoute("tcp", parent);
}

/** What becomes of connections to an EgressNetwork that no TLSRoute takes. */
export function defaultTlsRoute(parent: RouteParent & { readonly kind: "EgressNetwork" }): TlsRouteInit {
  return egressRoute("tls", parent);
}

function egressRoute(
  protocol: "tcp" | "tls",
  parent: RouteParent & { readonly kind: "EgressNetwork" },
): ReturnType<typeof opaqueRoute> {
  const denied = parent.trafficPolicy === "Deny";
  const name = `${protocol}-egress-${denied ? "deny" : "allow"}`;
  return opaqueRoute(name, parent, denied ? [FORBIDDEN] : []);
}

function opaqueRoute(
  name: string,
  parent: RouteParent,
  filters: ConnectionFilterInit[] = [],
): {
  metadata: ReturnType<typeof defaultMeta>;
  rules: { backends: ReturnType<typeof onlyBackend>; filters: ConnectionFilterInit[] }[];
} {
  return { metadata: defaultMeta(name), rules: [{ backends: onlyBackend(parent.backend), filters }] };
}

function backends(
  cluster: Cluster,
  route: TcpRoute | TlsRoute,
  parent: RouteParent,
): ReturnType<typeof distribution<never, ConnectionFilterInit>> {
  return distribution(cluster, { ...parent, loadPenalty: undefined }, route.backends, FORMS);
}

function routeMeta({ group, kind, meta }: TcpRoute | TlsRoute): ReturnType<typeof resourceMeta> {
  return resourceMeta({ group, kind, name: meta.name, namespace: meta.namespace });
}

/** Server names are matched as hosts are, by a message of their own. */
function sniMatch(hostname: string): MessageInitShape<typeof SniMatchSchema> {
  if (!hostname.startsWith("*.")) return { match: { case: "exact", value: hostname } };
  return { match: { case: "suffix", value: { reverseLabels: reverseLabels(hostname) } } };
}
