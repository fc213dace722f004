import type { MessageInitShape } from "@bufbuild/protobuf";
import { assertNever } from "../../parsed.ts";
import type {
  ExponentialBackoffSchema,
  GrpcRoute_FilterSchema,
  GrpcRoute_RetrySchema,
  GrpcRouteSchema,
  HttpRoute_FilterSchema,
  HttpRoute_RetrySchema,
  HttpRouteSchema,
} from "../../proto/gen/outbound_pb.js";
import type { TimeoutsSchema } from "../../proto/gen/http_route_pb.js";
import type { GrpcFilter, GrpcRoute } from "../resources/grpc-route.ts";
import type { HttpFilter, HttpRoute } from "../resources/http-route.ts";
import type {
  GrpcCondition,
  RouteAnnotations,
  RouteRetry,
  RouteTimeouts,
  StatusRange,
} from "../resources/route-annotations.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, duration, resourceMeta } from "./messages.ts";
import { distribution, onlyBackend, type FilterForms, type RouteParent } from "./route-backends.ts";
import { grpcMatch, headerModifier, hostMatch, httpMatch, redirect } from "./route-messages.ts";

export type HttpRouteInit = MessageInitShape<typeof HttpRouteSchema>;
export type GrpcRouteInit = MessageInitShape<typeof GrpcRouteSchema>;

/** Request body bytes kept for a retry, and its pauses. Source: linkerd2, policy-controller/grpc/src/outbound/http.rs. */
const RETRY_BYTES = 65_536;
const RETRY_BACKOFF: MessageInitShape<typeof ExponentialBackoffSchema> = {
  minBackoff: duration(25),
  maxBackoff: duration(250),
  jitterRatio: 1,
};

/** Status of requests that a rule sends to a backend that cannot be used. */
const FAILED_STATUS = 500;

/** The controller sends 500 here too, which is no gRPC code; callers understand Unavailable. */
const FAILED_CODE = 14;

/** What becomes of requests to an EgressNetwork that no route takes and that are not allowed. Source: linkerd2, policy-controller/grpc/src/outbound/{http,grpc}.rs. */
const DENIED_STATUS = 403;
const DENIED_CODE = 7;
const DENIED = "traffic not allowed";

/** The route of a Service that has none of its own, or of requests to an EgressNetwork that no other route takes. */
export function defaultHttpRoute(parent: RouteParent): HttpRouteInit {
  const { timeouts, httpRetry } = parent.defaults;
  return {
    metadata: defaultMeta(defaultName("http", parent)),
    rules: [
      {
        matches: [{ path: { kind: { case: "prefix", value: "/" } } }],
        filters: isDenied(parent) ? [failHttp(DENIED, DENIED_STATUS)] : [],
        backends: onlyBackend(parent.backend),
        ...timeoutFields(timeouts),
        ...(httpRetry === undefined ? {} : { retry: retryHttp(httpRetry) }),
      },
    ],
  };
}

/** The same for gRPC, which only EgressNetworks have. */
export function defaultGrpcRoute(parent: RouteParent): GrpcRouteInit {
  const { timeouts, grpcRetry } = parent.defaults;
  return {
    metadata: defaultMeta(defaultName("grpc", parent)),
    rules: [
      {
        filters: isDenied(parent) ? [failGrpc(DENIED, DENIED_CODE)] : [],
        backends: onlyBackend(parent.backend),
        ...timeoutFields(timeouts),
        ...(grpcRetry === undefined ? {} : { retry: retryGrpc(grpcRetry) }),
      },
    ],
  };
}

function defaultName(protocol: "http" | "grpc", parent: RouteParent): string {
  if (parent.kind === "Service") return protocol;
  return `${protocol}-egress-${isDenied(parent) ? "deny" : "allow"}`;
}

function isDenied(parent: RouteParent): boolean {
  return parent.kind === "EgressNetwork" && parent.trafficPolicy === "Deny";
}

/** Source: linkerd2, policy-controller/grpc/src/outbound/http.rs. */
export function httpRoute(cluster: Cluster, route: HttpRoute, parent: RouteParent): HttpRouteInit {
  const httpRetry = route.annotations.httpRetry ?? parent.defaults.httpRetry;
  return {
    metadata: routeMeta(route),
    hosts: route.hostnames.map(hostMatch),
    rules: route.rules.map((rule) => ({
      matches: rule.matches.map(httpMatch),
      filters: rule.filters.map(httpFilter),
      backends: distribution(cluster, parent, rule.backends, HTTP_FORMS),
      ...timeoutFields(timeoutsOf(route.annotations, rule.requestTimeoutMs, parent)),
      ...(httpRetry === undefined ? {} : { retry: retryHttp(httpRetry) }),
    })),
  };
}

/** Source: linkerd2, policy-controller/grpc/src/outbound/grpc.rs. */
export function grpcRoute(cluster: Cluster, route: GrpcRoute, parent: RouteParent): GrpcRouteInit {
  const grpcRetry = route.annotations.grpcRetry ?? parent.defaults.grpcRetry;
  return {
    metadata: routeMeta(route),
    hosts: route.hostnames.map(hostMatch),
    rules: route.rules.map((rule) => ({
      matches: rule.matches.map(grpcMatch),
      filters: rule.filters.map(grpcFilter),
      backends: distribution(cluster, parent, rule.backends, GRPC_FORMS),
      ...timeoutFields(timeoutsOf(route.annotations, undefined, parent)),
      ...(grpcRetry === undefined ? {} : { retry: retryGrpc(grpcRetry) }),
    })),
  };
}

function routeMeta({ group, kind, meta }: HttpRoute | GrpcRoute): ReturnType<typeof resourceMeta> {
  return resourceMeta({ group, kind, name: meta.name, namespace: meta.namespace });
}

/** A route's annotation beats its rule; a route without any timeout takes all of its parent's. */
function timeoutsOf(
  own: RouteAnnotations,
  ruleRequest: number | undefined,
  parent: RouteParent,
): RouteTimeouts {
  const { response, idle } = own.timeouts;
  const request = own.timeouts.request ?? ruleRequest;
  const none = request === undefined && response === undefined && idle === undefined;
  return none ? parent.defaults.timeouts : { request, response, idle };
}

/** Older proxies read `requestTimeout`, newer ones `timeouts`. */
function timeoutFields(timeouts: RouteTimeouts): {
  requestTimeout?: ReturnType<typeof duration>;
  timeouts: MessageInitShape<typeof TimeoutsSchema>;
} {
  const { request, response, idle } = timeouts;
  return {
    ...(request === undefined ? {} : { requestTimeout: duration(request) }),
    timeouts: {
      ...(request === undefined ? {} : { request: duration(request) }),
      ...(response === undefined ? {} : { response: duration(response) }),
      ...(idle === undefined ? {} : { idle: duration(idle) }),
    },
  };
}

function retryHttp(retry: RouteRetry<StatusRange>): MessageInitShape<typeof HttpRoute_RetrySchema> {
  return {
    maxRetries: retry.limit,
    maxRequestBytes: RETRY_BYTES,
    conditions: { statusRanges: retry.conditions.map(({ start, end }) => ({ start, end })) },
    backoff: RETRY_BACKOFF,
    ...(retry.timeoutMs === undefined ? {} : { timeout: duration(retry.timeoutMs) }),
  };
}

function retryGrpc(retry: RouteRetry<GrpcCondition>): MessageInitShape<typeof GrpcRoute_RetrySchema> {
  const on = (condition: GrpcCondition): boolean => retry.conditions.includes(condition);
  return {
    maxRetries: retry.limit,
    maxRequestBytes: RETRY_BYTES,
    conditions: {
      cancelled: on("cancelled"),
      deadineExceeded: on("deadline-exceeded"),
      resourceExhausted: on("resource-exhausted"),
      internal: on("internal"),
      unavailable: on("unavailable"),
    },
    backoff: RETRY_BACKOFF,
    ...(retry.timeoutMs === undefined ? {} : { timeout: duration(retry.timeoutMs) }),
  };
}

type HttpFilterInit = MessageInitShape<typeof HttpRoute_FilterSchema>;
type GrpcFilterInit = MessageInitShape<typeof GrpcRoute_FilterSchema>;

function httpFilter(filter: HttpFilter): HttpFilterInit {
  switch (filter.kind) {
    case "request_headers":
      return { kind: { case: "requestHeaderModifier", value: headerModifier(filter.modifier) } };
    case "response_headers":
      return { kind: { case: "responseHeaderModifier", value: headerModifier(filter.modifier) } };
    case "redirect":
      return { kind: { case: "redirect", value: redirect(filter.redirect) } };
    default:
      return assertNever(filter);
  }
}

function grpcFilter(filter: GrpcFilter): GrpcFilterInit {
  return { kind: { case: "requestHeaderModifier", value: headerModifier(filter.modifier) } };
}

function failHttp(message: string, status: number): HttpFilterInit {
  return { kind: { case: "failureInjector", value: { status, message } } };
}

function failGrpc(message: string, code: number): GrpcFilterInit {
  return { kind: { case: "failureInjector", value: { code, message } } };
}

const HTTP_FORMS: FilterForms<HttpFilter, HttpFilterInit> = {
  convert: httpFilter,
  fail: (message) => failHttp(message, FAILED_STATUS),
};

const GRPC_FORMS: FilterForms<GrpcFilter, GrpcFilterInit> = {
  convert: grpcFilter,
  fail: (message) => failGrpc(message, FAILED_CODE),
};
