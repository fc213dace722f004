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
import type { BackendRef } from "../resources/route-parts.ts";
import type { LoadPenalty } from "../resources/balancer-annotations.ts";
import { missingBackend, serviceBackend, type BackendInit } from "./backends.ts";
import type { Cluster } from "./cluster.ts";
import { defaultMeta, duration, optionalDuration, resourceMeta } from "./messages.ts";
import { grpcMatch, headerModifier, hostMatch, httpMatch, redirect } from "./route-messages.ts";

export type HttpRouteInit = MessageInitShape<typeof HttpRouteSchema>;
export type GrpcRouteInit = MessageInitShape<typeof GrpcRouteSchema>;

/** What a route gets from the Service it is attached to. */
export interface RouteParent {
  readonly backend: BackendInit;
  readonly defaults: RouteAnnotations;
  readonly loadPenalty: LoadPenalty | undefined;
}

/** Request body bytes kept for a retry, and its pauses. Source: linkerd2, policy-controller/grpc/src/outbound/http.rs. */
const RETRY_BYTES = 65_536;
const RETRY_BACKOFF: MessageInitShape<typeof ExponentialBackoffSchema> = {
  minBackoff: duration(25),
  maxBackoff: duration(250),
  jitterRatio: 1,
};

/** Status of requests that a rule sends to a Service that does not exist. */
const MISSING_BACKEND_STATUS = 500;

/** The controller sends 500 here too, which is no gRPC code; callers understand Unavailable. */
const MISSING_BACKEND_CODE = 14;

/** The route of a Service that has none of its own. */
export function defaultHttpRoute(parent: RouteParent): HttpRouteInit {
  const { timeouts, httpRetry } = parent.defaults;
  return {
    metadata: defaultMeta("http"),
    rules: [
      {
        matches: [{ path: { kind: { case: "prefix", value: "/" } } }],
        backends: firstAvailable(parent.backend),
        ...timeoutFields(timeouts),
        ...(httpRetry === undefined ? {} : { retry: retryHttp(httpRetry) }),
      },
    ],
  };
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
      backends:
        rule.backends.length === 0
          ? firstAvailable(parent.backend)
          : {
              kind: {
                case: "randomAvailable",
                value: {
                  backends: rule.backends.map((ref) => {
                    const { backend, exists } = backendOf(cluster, route, ref, parent);
                    const filters = ref.filters.map(httpFilter);
                    if (!exists) filters.push(failHttp(ref.name));
                    const limit = optionalDuration(rule.backendRequestTimeoutMs);
                    const requestTimeout = limit === undefined ? {} : { requestTimeout: limit };
                    return { weight: ref.weight, backend: { backend, filters, ...requestTimeout } };
                  }),
                },
              },
            },
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
      backends:
        rule.backends.length === 0
          ? firstAvailable(parent.backend)
          : {
              kind: {
                case: "randomAvailable",
                value: {
                  backends: rule.backends.map((ref) => {
                    const { backend, exists } = backendOf(cluster, route, ref, parent);
                    const filters = ref.filters.map(grpcFilter);
                    if (!exists) filters.push(failGrpc(ref.name));
                    return { weight: ref.weight, backend: { backend, filters } };
                  }),
                },
              },
            },
      ...timeoutFields(timeoutsOf(route.annotations, undefined, parent)),
      ...(grpcRetry === undefined ? {} : { retry: retryGrpc(grpcRetry) }),
    })),
  };
}

function routeMeta(route: HttpRoute | GrpcRoute): ReturnType<typeof resourceMeta> {
  const { group, kind, meta } = route;
  return resourceMeta({ group, kind, name: meta.name, namespace: meta.namespace });
}

function firstAvailable(backend: BackendInit): {
  kind: { case: "firstAvailable"; value: { backends: { backend: BackendInit }[] } };
} {
  return { kind: { case: "firstAvailable", value: { backends: [{ backend }] } } };
}

function backendOf(
  cluster: Cluster,
  route: HttpRoute | GrpcRoute,
  ref: BackendRef<unknown>,
  parent: RouteParent,
): { readonly backend: BackendInit; readonly exists: boolean } {
  const namespace = ref.namespace ?? route.meta.namespace;
  const exists = cluster.service(namespace, ref.name) !== undefined;
  const backend = exists
    ? serviceBackend(cluster, namespace, ref.name, ref.port, parent.loadPenalty)
    : missingBackend(namespace, ref.name, ref.port);
  return { backend, exists };
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

function failHttp(name: string): HttpFilterInit {
  const message = `Service not found ${name}`;
  return { kind: { case: "failureInjector", value: { status: MISSING_BACKEND_STATUS, message } } };
}

function failGrpc(name: string): GrpcFilterInit {
  const message = `Service not found ${name}`;
  return { kind: { case: "failureInjector", value: { code: MISSING_BACKEND_CODE, message } } };
}
