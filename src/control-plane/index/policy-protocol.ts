import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FailureAccrualSchema, ProxyProtocolSchema } from "../../proto/gen/outbound_pb.js";
import type { FailureAccrual } from "../resources/balancer-annotations.ts";
import type { Cluster } from "./cluster.ts";
import { defaultOpaqueRoute, defaultTlsRoute, tcpRoute, tlsRoute } from "./connection-routes.ts";
import { duration } from "./messages.ts";
import { defaultGrpcRoute, defaultHttpRoute, grpcRoute, httpRoute } from "./outbound-routes.ts";
import type { RouteParent } from "./route-backends.ts";

type ProtocolInit = NonNullable<MessageInitShape<typeof ProxyProtocolSchema>["kind"]>;

/** Proxies read it and then detect with a time of their own. Source: linkerd2, policy-controller/grpc/src/outbound/http.rs. */
export const DETECT_TIMEOUT = duration(10_000);

/** What a port is declared to carry; undefined: nothing is declared. */
export type AppProtocol = "http1" | "http2" | "opaque" | undefined;

/** A port of a Service or EgressNetwork, as somebody asks for it. */
export interface PolicyQuery {
  readonly parent: RouteParent;
  readonly port: number;
  readonly appProtocol: AppProtocol;
  readonly failureAccrual: FailureAccrual | undefined;
  /** The caller's namespace. */
  readonly caller: string;
}

/**
 * How a target is spoken to: what its port declares, else what its routes are for, else whatever is detected.
 *
 * Source: linkerd2, policy-controller/grpc/src/outbound.rs (`to_proto`).
 */
export function policyProtocol(cluster: Cluster, query: PolicyQuery): ProtocolInit {
  const { parent, port, appProtocol } = query;
  // Routes of the parent's own namespace speak to everyone, others only to callers of theirs.
  const forCaller = (route: { meta: { namespace: string } }): boolean =>
    route.meta.namespace === parent.namespace || route.meta.namespace === query.caller;
  const grpc = cluster.routes.grpc(parent, port).filter(forCaller);
  const http = cluster.routes.http(parent, port).filter(forCaller);
  const tls = cluster.routes.tls(parent, port).filter(forCaller);
  const tcp = cluster.routes.tcp(parent, port).filter(forCaller);
  const accrual =
    query.failureAccrual === undefined ? {} : { failureAccrual: failureAccrualMessage(query.failureAccrual) };

  const httpRoutes = () => {
    const routes = http.map((route) => httpRoute(cluster, route, parent));
    // A network's own word stands behind its routes; a service that has routes is spoken for by them alone.
    if (parent.kind === "EgressNetwork" || routes.length === 0) routes.push(defaultHttpRoute(parent));
    return { routes, ...accrual };
  };
  const grpcRoutes = () => {
    const routes = grpc.map((route) => grpcRoute(cluster, route, parent));
    if (parent.kind === "EgressNetwork") routes.push(defaultGrpcRoute(parent));
    return { routes, ...accrual };
  };
  const tlsRoutes = () => {
    const routes = tls.map((route) => tlsRoute(cluster, route, parent));
    if (parent.kind === "EgressNetwork") routes.push(defaultTlsRoute(parent));
    return { routes };
  };
  /** Nothing in a connection could choose between two routes: the first speaks for all. */
  const opaqueRoutes = () => {
    const [first] = tcp;
    return { routes: [first === undefined ? defaultOpaqueRoute(parent) : tcpRoute(cluster, first, parent)] };
  };

  if (appProtocol === "http1") return { case: "http1", value: httpRoutes() };
  if (appProtocol === "opaque") return { case: "opaque", value: opaqueRoutes() };
  if (grpc.length > 0) return { case: "grpc", value: grpcRoutes() };
  if (appProtocol === "http2") return { case: "http2", value: httpRoutes() };
  if (http.length === 0 && tls.length > 0) return { case: "tls", value: tlsRoutes() };
  if (http.length === 0 && tcp.length > 0) return { case: "opaque", value: opaqueRoutes() };
  const routes = httpRoutes();
  const opaque = { routes: [defaultOpaqueRoute(parent)] };
  return { case: "detect", value: { timeout: DETECT_TIMEOUT, opaque, http1: routes, http2: routes } };
}

function failureAccrualMessage(accrual: FailureAccrual): MessageInitShape<typeof FailureAccrualSchema> {
  const { maxFailures, minPenaltyMs, maxPenaltyMs, jitterRatio, successRate } = accrual;
  const backoff = { minBackoff: duration(minPenaltyMs), maxBackoff: duration(maxPenaltyMs), jitterRatio };
  if (successRate === undefined)
    return { kind: { case: "consecutiveFailures", value: { maxFailures, backoff } } };
  return {
    kind: {
      case: "unified",
      value: {
        successRateThreshold: successRate.threshold,
        decay: duration(successRate.windowMs),
        minRequests: successRate.minRequests,
        maxConsecutiveFailures: maxFailures,
        backoff: { ...backoff, respectRetryAfterHint: successRate.honorRetryAfter },
      },
    },
  };
}
