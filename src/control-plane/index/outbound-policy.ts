import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { cidrContains } from "../../addr/cidr.ts";
import type { SocketAddr } from "../../addr/socket-addr.ts";
import {
  OutboundPolicySchema,
  type FailureAccrualSchema,
  type OpaqueRouteSchema,
  type OutboundPolicy,
  type ProxyProtocolSchema,
  type TrafficSpec,
} from "../../proto/gen/outbound_pb.js";
import type { FailureAccrual } from "../resources/balancer-annotations.ts";
import type { RouteAnnotations } from "../resources/route-annotations.ts";
import type { Service } from "../resources/service.ts";
import { forwardBackend, serviceBackend, type BackendInit } from "./backends.ts";
import { parseWorkload } from "./caller.ts";
import type { Cluster } from "./cluster.ts";
import { answer, noAnswer, type Lookup } from "./lookup.ts";
import { defaultMeta, duration, ipOfMessage, serviceMeta } from "./messages.ts";
import { defaultHttpRoute, grpcRoute, httpRoute, type RouteParent } from "./outbound-routes.ts";
import { isOpaqueService } from "./profile.ts";
import { parseTarget, serviceOfAuthority } from "./service-name.ts";

type ProtocolInit = NonNullable<MessageInitShape<typeof ProxyProtocolSchema>["kind"]>;
type OpaqueRouteInit = MessageInitShape<typeof OpaqueRouteSchema>;

/** Proxies read it and then detect with a time of their own. Source: linkerd2, policy-controller/grpc/src/outbound/http.rs. */
const DETECT_TIMEOUT = duration(10_000);

/** Answers `OutboundPolicies.Get` and `.Watch`. Source: linkerd2, policy-controller/grpc/src/outbound.rs. */
export function findOutboundPolicy(cluster: Cluster, spec: TrafficSpec): Lookup<OutboundPolicy> {
  const caller = parseWorkload(spec.sourceWorkload);
  if (!caller.ok) return noAnswer("invalid_argument", caller.problem);
  const { namespace } = caller.value;
  switch (spec.target.case) {
    case "addr": {
      const { ip: ipMessage, port } = spec.target.value;
      const ip = ipOfMessage(ipMessage);
      if (ip === undefined) return noAnswer("invalid_argument", "the target address has no IP");
      if (port < 1 || port > 65535)
        return noAnswer("invalid_argument", `the target port ${port} is not a port`);
      return policyOfAddress(cluster, { ip, port }, namespace);
    }
    case "authority": {
      const target = parseTarget(spec.target.value);
      if (!target.ok) return noAnswer("invalid_argument", target.problem);
      const { host, port } = target.value;
      const name = serviceOfAuthority(host);
      if (name === undefined) return noAnswer("not_found", `"${host}" does not name a service`);
      return answer(servicePolicy(cluster, name.namespace, name.name, port, namespace));
    }
    default:
      return noAnswer("invalid_argument", "the request has no target");
  }
}

function policyOfAddress(cluster: Cluster, addr: SocketAddr, caller: string): Lookup<OutboundPolicy> {
  const service = cluster.serviceWithIp(addr.ip.text);
  if (service !== undefined) {
    const { namespace, name } = service.meta;
    const defined = service.ports.some((p) => p.port === addr.port);
    if (!defined) return answer(undefinedPortPolicy(namespace, name, addr.port));
    return answer(servicePolicy(cluster, namespace, name, addr.port, caller));
  }
  const { clusterNetworks } = cluster.settings;
  const inside = clusterNetworks.some((network) => cidrContains(network, addr.ip));
  // A workload may live outside the cluster networks. The fallback would send it clear text; without a policy the proxy
  // takes the endpoint of the profile, which knows the workload's identity.
  if (inside || cluster.workloadsAt(addr.ip.text, addr.port).length > 0) {
    return noAnswer("not_found", `${addr.ip.text} belongs to no service`);
  }
  return answer(egressFallbackPolicy(addr));
}

const NO_ANNOTATIONS: RouteAnnotations = {
  timeouts: { request: undefined, response: undefined, idle: undefined },
  httpRetry: undefined,
  grpcRetry: undefined,
};

/** A name is answered even if no such service exists: its balancer then waits for one. */
function servicePolicy(
  cluster: Cluster,
  namespace: string,
  name: string,
  port: number,
  caller: string,
): OutboundPolicy {
  const service = cluster.service(namespace, name);
  const parent: RouteParent = {
    backend: serviceBackend(cluster, namespace, name, port, service?.loadPenalty),
    defaults: service?.routeDefaults ?? NO_ANNOTATIONS,
    loadPenalty: service?.loadPenalty,
  };
  // Routes of the service's own namespace speak to everyone, others only to callers of theirs.
  const forCaller = (route: { meta: { namespace: string } }): boolean =>
    route.meta.namespace === namespace || route.meta.namespace === caller;
  const grpc = cluster
    .grpcRoutesOf("Service", namespace, name, port)
    .filter(forCaller)
    .map((route) => grpcRoute(cluster, route, parent));
  const http = cluster
    .httpRoutesOf("Service", namespace, name, port)
    .filter(forCaller)
    .map((route) => httpRoute(cluster, route, parent));
  const httpRoutes = http.length === 0 ? [defaultHttpRoute(parent)] : http;
  const accrual = service?.failureAccrual;
  const failureAccrual = accrual === undefined ? {} : { failureAccrual: failureAccrualMessage(accrual) };
  const opaque = { routes: [opaqueRoute("opaq", parent.backend)] };
  const protocols = {
    opaque: { case: "opaque", value: opaque },
    http1: { case: "http1", value: { routes: httpRoutes, ...failureAccrual } },
    http2: { case: "http2", value: { routes: httpRoutes, ...failureAccrual } },
    grpc: { case: "grpc", value: { routes: grpc, ...failureAccrual } },
    detect: {
      case: "detect",
      value: {
        timeout: DETECT_TIMEOUT,
        opaque,
        http1: { routes: httpRoutes, ...failureAccrual },
        http2: { routes: httpRoutes, ...failureAccrual },
      },
    },
  } as const satisfies Record<string, ProtocolInit>;
  const kind = protocolKind(cluster, service, port, grpc.length > 0);
  return create(OutboundPolicySchema, {
    metadata: serviceMeta(namespace, name, port),
    protocol: { kind: protocols[kind] },
  });
}

/** How a service's port is spoken to: what it declares, else what its routes are for, else whatever is detected. */
function protocolKind(
  cluster: Cluster,
  service: Service | undefined,
  port: number,
  hasGrpcRoutes: boolean,
): "opaque" | "http1" | "http2" | "grpc" | "detect" {
  const appProtocol = service?.ports.find((p) => p.port === port)?.appProtocol;
  if (appProtocol === "http") return "http1";
  if (appProtocol === "kubernetes.io/h2c") return hasGrpcRoutes ? "grpc" : "http2";
  if (appProtocol !== undefined) return "opaque";
  if (service !== undefined && isOpaqueService(cluster, service, port)) return "opaque";
  return hasGrpcRoutes ? "grpc" : "detect";
}

function opaqueRoute(name: string, backend: BackendInit): OpaqueRouteInit {
  return {
    metadata: defaultMeta(name),
    rules: [{ backends: { kind: { case: "firstAvailable", value: { backends: [{ backend }] } } } }],
  };
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
        backoff,
      },
    },
  };
}

/** A port that the service does not define: nothing goes there. */
function undefinedPortPolicy(namespace: string, name: string, port: number): OutboundPolicy {
  return create(OutboundPolicySchema, {
    metadata: serviceMeta(namespace, name, port),
    protocol: {
      kind: {
        case: "opaque",
        value: {
          routes: [
            {
              metadata: defaultMeta("undefined-port"),
              rules: [
                {
                  backends: { kind: { case: "empty", value: {} } },
                  filters: [{ kind: { case: "forbidden", value: {} } }],
                },
              ],
            },
          ],
        },
      },
    },
  });
}

/** An address outside the cluster: forwarded as it is. */
function egressFallbackPolicy(addr: SocketAddr): OutboundPolicy {
  const name = "egress-fallback";
  const backend = forwardBackend(name, addr);
  const http = {
    routes: [
      {
        metadata: defaultMeta(name),
        rules: [
          {
            matches: [{}],
            backends: { kind: { case: "firstAvailable" as const, value: { backends: [{ backend }] } } },
          },
        ],
      },
    ],
  };
  return create(OutboundPolicySchema, {
    metadata: defaultMeta(name),
    protocol: {
      kind: {
        case: "detect",
        value: {
          timeout: DETECT_TIMEOUT,
          opaque: { routes: [opaqueRoute(name, backend)] },
          http1: http,
          http2: http,
        },
      },
    },
  });
}
