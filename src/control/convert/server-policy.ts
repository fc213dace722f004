import { assertNever, type Parsed } from "../../parsed.ts";
import type { Filter } from "../../policy/filter.ts";
import { metaDefault } from "../../policy/meta.ts";
import type { GrpcMatch, HttpMatch } from "../../policy/route-match.ts";
import type {
  Authorization,
  GrpcServerRoute,
  HttpServerRoute,
  ServerPolicy,
  ServerProtocol,
} from "../../policy/server-policy.ts";
import type * as proto from "../../proto/gen/inbound_pb.js";
import { LOCALHOST_AUTHORIZATION } from "../../policy/default-policies.ts";
import { authorizationFromProto } from "./authorization.ts";
import { millisFromProto } from "./duration.ts";
import { convert, each, field, invalid, optional, required } from "./field.ts";
import {
  grpcFailureFromProto,
  headerModifierFromProto,
  httpFailureFromProto,
  redirectFromProto,
} from "./filter.ts";
import { grpcMatchFromProto } from "./grpc-match.ts";
import { hostMatchFromProto, httpMatchFromProto } from "./http-match.ts";
import { metaFromLabels, metaFromProto } from "./meta.ts";
import { rateLimitFromProto } from "./rate-limit.ts";

const EVERY_HTTP_REQUEST: HttpMatch = { path: undefined, headers: [], query: [], method: undefined };
const EVERY_GRPC_REQUEST: GrpcMatch = { service: undefined, method: undefined, headers: [] };
/** The name of the route that stands in for an empty list, which controllers before 2.12 sent. */
const DEFAULT_ROUTE = metaDefault("default");

/**
 * The policy of a port. Problems name the field; whoever gets one puts `invalidServerPolicy` in force.
 *
 * @param localhost who is let in for being on this host. The model always lets the pod talk to itself; where peers live
 *   on loopback too, "peers" leaves every decision to the control plane.
 *
 * Source: linkerd2-proxy, linkerd/proxy/server-policy/src/lib.rs.
 */
export function serverPolicyFromProto(
  server: proto.Server,
  localhost: "ourselves" | "peers" = "ourselves",
): Parsed<ServerPolicy> {
  return convert(() => {
    const meta = field("labels", () => metaFromLabels(server.labels, "server"));
    const authorizations = each("authorizations", server.authorizations, authorizationFromProto);
    if (localhost === "ourselves") authorizations.push(LOCALHOST_AUTHORIZATION);
    const protocol = required("protocol", server.protocol, (p) => protocolFromProto(p, authorizations));
    return { meta, protocol, authorizations };
  });
}

type Authorizations = readonly Authorization[];

function protocolFromProto(protocol: proto.ProxyProtocol, server: Authorizations): ServerProtocol {
  const { kind } = protocol;
  switch (kind.case) {
    case "detect":
      return field("detect", () => ({
        kind: "detect",
        timeoutMs: required("timeout", kind.value.timeout, millisFromProto),
        routes: httpRoutes("http_routes", kind.value.httpRoutes, server),
        rateLimit: optional("http_local_rate_limit", kind.value.httpLocalRateLimit, rateLimitFromProto),
      }));
    case "http1":
    case "http2":
      return field(kind.case, () => ({
        kind: kind.case,
        routes: httpRoutes("routes", kind.value.routes, server),
        rateLimit: optional("local_rate_limit", kind.value.localRateLimit, rateLimitFromProto),
      }));
    case "grpc":
      return field("grpc", () => ({ kind: "grpc", routes: grpcRoutes("routes", kind.value.routes, server) }));
    case "opaque":
      return { kind: "opaque" };
    case "tls":
      return { kind: "tls" };
    case undefined:
      return invalid("has no kind");
    default:
      return assertNever(kind);
  }
}

function httpRoutes(
  name: string,
  routes: readonly proto.HttpRoute[],
  server: Authorizations,
): readonly HttpServerRoute[] {
  if (routes.length === 0) {
    const rule = { matches: [EVERY_HTTP_REQUEST], filters: [] };
    return [{ meta: DEFAULT_ROUTE, hosts: [], authorizations: server, rules: [rule] }];
  }
  return each(name, routes, (route) => ({
    ...routeHead(route, server),
    rules: each("rules", route.rules, (rule) => ({
      matches: each("matches", rule.matches, httpMatchFromProto),
      filters: each("filters", rule.filters, httpFilter),
    })),
  }));
}

function grpcRoutes(
  name: string,
  routes: readonly proto.GrpcRoute[],
  server: Authorizations,
): readonly GrpcServerRoute[] {
  if (routes.length === 0) {
    const rule = { matches: [EVERY_GRPC_REQUEST], filters: [] };
    return [{ meta: DEFAULT_ROUTE, hosts: [], authorizations: server, rules: [rule] }];
  }
  return each(name, routes, (route) => ({
    ...routeHead(route, server),
    rules: each("rules", route.rules, (rule) => ({
      matches: each("matches", rule.matches, grpcMatchFromProto),
      filters: each("filters", rule.filters, grpcFilter),
    })),
  }));
}

function routeHead(route: proto.HttpRoute | proto.GrpcRoute, server: Authorizations) {
  return {
    meta: required("metadata", route.metadata, (m) => metaFromProto(m, "omitted")),
    hosts: each("hosts", route.hosts, hostMatchFromProto),
    authorizations: [...each("authorizations", route.authorizations, authorizationFromProto), ...server],
  };
}

function httpFilter({ kind }: proto.HttpRoute_Filter): Filter {
  switch (kind.case) {
    case "failureInjector":
      return field("failure_injector", () => httpFailureFromProto(kind.value));
    case "requestHeaderModifier":
      return requestHeaders(kind.value);
    case "redirect":
      return field("redirect", () => redirectFromProto(kind.value));
    case undefined:
      return UNKNOWN_FILTER;
    default:
      return assertNever(kind);
  }
}

function grpcFilter({ kind }: proto.GrpcRoute_Filter): Filter {
  switch (kind.case) {
    case "failureInjector":
      return field("failure_injector", () => grpcFailureFromProto(kind.value));
    case "requestHeaderModifier":
      return requestHeaders(kind.value);
    case undefined:
      return UNKNOWN_FILTER;
    default:
      return assertNever(kind);
  }
}

function requestHeaders(modifier: Parameters<typeof headerModifierFromProto>[0]): Filter {
  return field("request_header_modifier", () => ({
    kind: "request_headers",
    modifier: headerModifierFromProto(modifier),
  }));
}

/** A filter of a newer API: to skip it could open a door, to refuse the policy would shut them all. */
const UNKNOWN_FILTER: Filter = { kind: "internal_error", message: "unknown filter in server policy" };
