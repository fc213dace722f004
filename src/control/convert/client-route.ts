import { assertNever } from "../../parsed.ts";
import type {
  ClientRule,
  GrpcClientRoute,
  GrpcRetry,
  HttpClientRoute,
  HttpRetry,
  Timeouts,
} from "../../policy/client-policy.ts";
import type { Filter } from "../../policy/filter.ts";
import type * as proto from "../../proto/gen/outbound_pb.js";
import { distributionFromProto } from "./backend.ts";
import { millisFromProto } from "./duration.ts";
import { backoffFromProto } from "./failure-accrual.ts";
import { each, field, invalid, optional, required } from "./field.ts";
import {
  grpcFailureFromProto,
  headerModifierFromProto,
  httpFailureFromProto,
  redirectFromProto,
} from "./filter.ts";
import { grpcMatchFromProto } from "./grpc-match.ts";
import { hostMatchFromProto, httpMatchFromProto } from "./http-match.ts";
import { metaFromProto } from "./meta.ts";

const MAX_RETRIES_MAX = 0xffff;

/** An HTTP route of a target. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/http.rs. */
export function httpClientRouteFromProto(route: proto.HttpRoute): HttpClientRoute {
  return {
    ...routeHead(route),
    rules: each("rules", route.rules, (rule) => ({
      matches: each("matches", rule.matches, httpMatchFromProto),
      filters: each("filters", rule.filters, httpFilter),
      distribution: required("backends", rule.backends, (d) => distributionFromProto(d, httpFilter)),
      retry: optional("retry", rule.retry, httpRetryFromProto),
      ...ruleTail(rule),
    })),
  };
}

/** A gRPC route of a target. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/grpc.rs. */
export function grpcClientRouteFromProto(route: proto.GrpcRoute): GrpcClientRoute {
  return {
    ...routeHead(route),
    rules: each("rules", route.rules, (rule) => ({
      matches: each("matches", rule.matches, grpcMatchFromProto),
      filters: each("filters", rule.filters, grpcFilter),
      distribution: required("backends", rule.backends, (d) => distributionFromProto(d, grpcFilter)),
      retry: optional("retry", rule.retry, grpcRetryFromProto),
      ...ruleTail(rule),
    })),
  };
}

function routeHead(route: proto.HttpRoute | proto.GrpcRoute) {
  return {
    meta: required("metadata", route.metadata, (m) => metaFromProto(m, "given")),
    hosts: each("hosts", route.hosts, hostMatchFromProto),
  };
}

function ruleTail(
  rule: proto.HttpRoute_Rule | proto.GrpcRoute_Rule,
): Pick<ClientRule<never, never>, "timeouts" | "allowL5dRequestHeaders"> {
  return { timeouts: timeoutsFromProto(rule), allowL5dRequestHeaders: rule.allowL5dRequestHeaders };
}

/** `requestTimeout` is what `timeouts.request` was called before v0.14; controllers send either. */
function timeoutsFromProto({
  timeouts,
  requestTimeout,
}: proto.HttpRoute_Rule | proto.GrpcRoute_Rule): Timeouts {
  return {
    requestMs:
      optional("timeouts.request", timeouts?.request, millisFromProto) ??
      optional("requestTimeout", requestTimeout, millisFromProto),
    responseMs: optional("timeouts.response", timeouts?.response, millisFromProto),
    idleMs: optional("timeouts.idle", timeouts?.idle, millisFromProto),
  };
}

function httpRetryFromProto(retry: proto.HttpRoute_Retry): HttpRetry {
  return {
    ...retryParams(retry),
    statusRanges: required("conditions", retry.conditions, ({ statusRanges }) =>
      each("status_ranges", statusRanges, ({ start, end }) =>
        start >= 1 && start <= end && end <= 599
          ? { low: start, high: end }
          : invalid(`${start} to ${end} is not a range within 1 to 599`),
      ),
    ),
  };
}

function grpcRetryFromProto(retry: proto.GrpcRoute_Retry): GrpcRetry {
  return { ...retryParams(retry), codes: required("conditions", retry.conditions, grpcCodes) };
}

function grpcCodes(conditions: proto.GrpcRoute_Retry_Conditions): ReadonlySet<number> {
  const codes = new Set<number>();
  if (conditions.cancelled) codes.add(1);
  if (conditions.deadineExceeded) codes.add(4);
  if (conditions.resourceExhausted) codes.add(8);
  if (conditions.internal) codes.add(13);
  if (conditions.unavailable) codes.add(14);
  return codes;
}

function retryParams({
  maxRetries,
  maxRequestBytes,
  timeout,
  backoff,
}: proto.HttpRoute_Retry | proto.GrpcRoute_Retry) {
  if (maxRetries > MAX_RETRIES_MAX) {
    return field("max_retries", () => invalid(`${maxRetries} is above ${MAX_RETRIES_MAX}`));
  }
  return {
    maxRetries,
    maxRequestBytes,
    timeoutMs: optional("timeout", timeout, millisFromProto),
    backoff: optional("backoff", backoff, backoffFromProto),
  };
}

function httpFilter({ kind }: proto.HttpRoute_Filter): Filter {
  switch (kind.case) {
    case "failureInjector":
      return field("failure_injector", () => httpFailureFromProto(kind.value));
    case "requestHeaderModifier":
      return field("request_header_modifier", () => ({
        kind: "request_headers",
        modifier: headerModifierFromProto(kind.value),
      }));
    case "responseHeaderModifier":
      return field("response_header_modifier", () => ({
        kind: "response_headers",
        modifier: headerModifierFromProto(kind.value),
      }));
    case "redirect":
      return field("redirect", () => redirectFromProto(kind.value));
    case undefined:
      return invalid("is of unknown kind");
    default:
      return assertNever(kind);
  }
}

function grpcFilter({ kind }: proto.GrpcRoute_Filter): Filter {
  switch (kind.case) {
    case "failureInjector":
      return field("failure_injector", () => grpcFailureFromProto(kind.value));
    case "requestHeaderModifier":
      return field("request_header_modifier", () => ({
        kind: "request_headers",
        modifier: headerModifierFromProto(kind.value),
      }));
    case undefined:
      return invalid("is of unknown kind");
    default:
      return assertNever(kind);
  }
}
