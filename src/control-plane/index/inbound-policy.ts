import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { assertNever } from "../../parsed.ts";
import { portRangesContain } from "../../addr/port-ranges.ts";
import {
  ServerSchema,
  type GrpcRouteSchema,
  type HttpLocalRateLimitSchema,
  type HttpRoute_FilterSchema,
  type HttpRouteSchema,
  type PortSpec,
  type ProxyProtocolSchema,
  type Server as ServerMessage,
} from "../../proto/gen/inbound_pb.js";
import type { ExternalWorkload } from "../resources/external-workload.ts";
import type { HttpFilter, HttpRoute } from "../resources/http-route.ts";
import type { GrpcRoute } from "../resources/grpc-route.ts";
import type { InboundPolicy } from "../resources/inbound-policy-mode.ts";
import type { Server } from "../resources/server.ts";
import { parseWorkload } from "./caller.ts";
import type { Cluster } from "./cluster.ts";
import {
  defaultAuthorizations,
  routeAuthorizations,
  serverAuthorizations,
} from "./inbound-authorizations.ts";
import { answer, noAnswer, type Lookup } from "./lookup.ts";
import { defaultMeta, duration, resourceMeta } from "./messages.ts";
import { grpcMatch, headerModifier, hostMatch, httpMatch, redirect } from "./route-messages.ts";
import { serviceAccountIdentity } from "./settings.ts";

type ProtocolInit = NonNullable<MessageInitShape<typeof ProxyProtocolSchema>["kind"]>;
type HttpRouteInit = MessageInitShape<typeof HttpRouteSchema>;
type GrpcRouteInit = MessageInitShape<typeof GrpcRouteSchema>;

/** Source: linkerd2, policy-controller/runtime/src/args.rs. */
const DETECT_TIMEOUT = duration(10_000);

const POLICY_GROUP = "policy.linkerd.io";

/** Answers `InboundServerPolicies.GetPort` and `.WatchPort`. Source: linkerd2, policy-controller/grpc/src/inbound.rs. */
export function findInboundPolicy(cluster: Cluster, spec: PortSpec): Lookup<ServerMessage> {
  const caller = parseWorkload(spec.workload);
  if (!caller.ok) return noAnswer("invalid_argument", caller.problem);
  const { port } = spec;
  if (port < 1 || port > 65535) return noAnswer("invalid_argument", `${port} is not a port`);
  const { kind, namespace, name } = caller.value;
  const workload = kind === "external_workload" ? cluster.workload(namespace, name) : undefined;
  if (workload === undefined) {
    return noAnswer("not_found", `there is no ExternalWorkload ${namespace}/${name} (asked for as ${kind})`);
  }
  const server = cluster.serverFor(workload, port);
  return answer(
    server === undefined ? defaultServer(cluster, workload, port) : declaredServer(cluster, server, port),
  );
}

/** What holds for a port that no Server speaks for. */
function defaultServer(cluster: Cluster, workload: ExternalWorkload, port: number): ServerMessage {
  const { defaultPolicy, opaquePorts, requireIdentityPorts } = cluster.inboundOf(workload);
  let mode = defaultPolicy ?? cluster.settings.defaultInboundPolicy;
  if (requireIdentityPorts !== undefined && portRangesContain(requireIdentityPorts, port))
    mode = authenticated(mode);
  const opaque = opaquePorts !== undefined && portRangesContain(opaquePorts, port);
  return create(ServerSchema, {
    protocol: {
      kind: opaque
        ? { case: "opaque", value: {} }
        : { case: "detect", value: { timeout: DETECT_TIMEOUT, httpRoutes: [DEFAULT_HTTP_ROUTE] } },
    },
    authorizations: [...defaultAuthorizations(cluster.settings, mode)],
    labels: { group: "", kind: "default", name: mode },
  });
}

/** The same policy with clients that must show an identity. */
function authenticated(mode: InboundPolicy): InboundPolicy {
  if (mode === "all-unauthenticated") return "all-authenticated";
  return mode === "cluster-unauthenticated" ? "cluster-authenticated" : mode;
}

function declaredServer(cluster: Cluster, server: Server, port: number): ServerMessage {
  return create(ServerSchema, {
    protocol: { kind: protocol(cluster, server, port) },
    authorizations: [...serverAuthorizations(cluster, server)],
    labels: { group: POLICY_GROUP, kind: "server", name: server.meta.name },
  });
}

function protocol(cluster: Cluster, server: Server, port: number): ProtocolInit {
  const { namespace, name } = server.meta;
  const http = (): HttpRouteInit[] => {
    const routes = cluster.routes
      .http({ kind: "Server", namespace, name }, port)
      .map((route) => httpRoute(cluster, route));
    return routes.length === 0 ? [DEFAULT_HTTP_ROUTE] : routes;
  };
  const limit = rateLimit(cluster, server);
  const localRateLimit = limit === undefined ? {} : { localRateLimit: limit };
  switch (server.protocol) {
    case "unknown": {
      const httpLocalRateLimit = limit === undefined ? {} : { httpLocalRateLimit: limit };
      return {
        case: "detect",
        value: { timeout: DETECT_TIMEOUT, httpRoutes: http(), ...httpLocalRateLimit },
      };
    }
    case "HTTP/1":
      return { case: "http1", value: { routes: http(), ...localRateLimit } };
    case "HTTP/2":
      return { case: "http2", value: { routes: http(), ...localRateLimit } };
    case "gRPC": {
      const routes = cluster.routes
        .grpc({ kind: "Server", namespace, name }, port)
        .map((route) => grpcRoute(cluster, route));
      return { case: "grpc", value: { routes: routes.length === 0 ? [DEFAULT_GRPC_ROUTE] : routes } };
    }
    case "opaque":
      return { case: "opaque", value: {} };
    case "TLS":
      return { case: "tls", value: {} };
    default:
      return assertNever(server.protocol);
  }
}

const DEFAULT_HTTP_ROUTE: HttpRouteInit = {
  metadata: defaultMeta("default"),
  rules: [{ matches: [{ path: { kind: { case: "prefix", value: "/" } } }] }],
};

const DEFAULT_GRPC_ROUTE: GrpcRouteInit = {
  metadata: defaultMeta("default"),
  rules: [{ matches: [{ rpc: {} }] }],
};

function httpRoute(cluster: Cluster, route: HttpRoute): HttpRouteInit {
  return {
    metadata: resourceMeta({ group: route.group, kind: route.kind, name: route.meta.name }),
    hosts: route.hostnames.map(hostMatch),
    authorizations: [...routeAuthorizations(cluster, route)],
    rules: route.rules.map((rule) => ({
      matches: rule.matches.map(httpMatch),
      filters: rule.filters.flatMap(httpFilter),
    })),
  };
}

/** The inbound API has no form for changes of responses. */
function httpFilter(filter: HttpFilter): MessageInitShape<typeof HttpRoute_FilterSchema>[] {
  switch (filter.kind) {
    case "request_headers":
      return [{ kind: { case: "requestHeaderModifier", value: headerModifier(filter.modifier) } }];
    case "response_headers":
      return [];
    case "redirect":
      return [{ kind: { case: "redirect", value: redirect(filter.redirect) } }];
    default:
      return assertNever(filter);
  }
}

function grpcRoute(cluster: Cluster, route: GrpcRoute): GrpcRouteInit {
  return {
    metadata: resourceMeta({ group: route.group, kind: route.kind, name: route.meta.name }),
    hosts: route.hostnames.map(hostMatch),
    authorizations: [...routeAuthorizations(cluster, route)],
    rules: route.rules.map((rule) => ({
      matches: rule.matches.length === 0 ? [{ rpc: {} }] : rule.matches.map(grpcMatch),
      filters: rule.filters.map((filter) => ({
        kind: { case: "requestHeaderModifier", value: headerModifier(filter.modifier) },
      })),
    })),
  };
}

function rateLimit(
  cluster: Cluster,
  server: Server,
): MessageInitShape<typeof HttpLocalRateLimitSchema> | undefined {
  const policy = cluster.rateLimitOf(server);
  if (policy === undefined) return undefined;
  const { meta, totalRps, identityRps, overrides } = policy;
  return {
    metadata: resourceMeta({ group: POLICY_GROUP, kind: policy.kind, name: meta.name }),
    ...(totalRps === undefined ? {} : { total: { requestsPerSecond: totalRps } }),
    ...(identityRps === undefined ? {} : { identity: { requestsPerSecond: identityRps } }),
    overrides: overrides.map(({ rps, clients }) => ({
      limit: { requestsPerSecond: rps },
      clients: {
        identities: clients.map(({ name, namespace = meta.namespace }) => ({
          name: serviceAccountIdentity(cluster.settings, namespace, name),
        })),
      },
    })),
  };
}
