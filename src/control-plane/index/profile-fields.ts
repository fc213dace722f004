import type { MessageInitShape } from "@bufbuild/protobuf";
import { splitHostPort } from "../../addr/name-addr.ts";
import { assertNever } from "../../parsed.ts";
import type {
  DestinationProfileSchema,
  RequestMatchSchema,
  ResponseMatchSchema,
  RouteSchema,
} from "../../proto/gen/destination_pb.js";
import type { RequestCondition, ResponseCondition } from "../resources/profile-condition.ts";
import type { ProfileRoute, ServiceProfile } from "../resources/service-profile.ts";
import { duration, resourceMeta } from "./messages.ts";
import { httpMethod } from "./route-messages.ts";

type ProfileInit = MessageInitShape<typeof DestinationProfileSchema>;

/**
 * What a ServiceProfile puts into the profile of its service.
 *
 * @param port of the lookup, for split targets that name none.
 *
 * Source: linkerd2, controller/api/destination/profile_translator.go.
 */
export function profileFields(
  profile: ServiceProfile,
  port: number,
): Pick<ProfileInit, "routes" | "retryBudget" | "dstOverrides" | "profileRef"> {
  const { meta, routes, retryBudget, dstOverrides } = profile;
  const { name, namespace } = meta;
  return {
    profileRef: resourceMeta({ group: "linkerd.io", kind: "ServiceProfile", name, namespace }),
    routes: routes.map(routeMessage),
    ...(retryBudget === undefined
      ? {}
      : {
          retryBudget: {
            retryRatio: retryBudget.retryRatio,
            minRetriesPerSecond: retryBudget.minRetriesPerSecond,
            ttl: duration(retryBudget.ttlMs),
          },
        }),
    dstOverrides: dstOverrides.map(({ authority, weight }) => ({
      authority: withPort(authority, port),
      weight,
    })),
  };
}

function withPort(authority: string, port: number): string {
  const split = splitHostPort(authority);
  return split.ok && split.value.portText !== undefined ? authority : `${authority}:${port}`;
}

function routeMessage(route: ProfileRoute): MessageInitShape<typeof RouteSchema> {
  return {
    condition: requestMatch(route.condition),
    responseClasses: route.responseClasses.map(({ condition, isFailure }) => ({
      condition: responseMatch(condition),
      isFailure,
    })),
    metricsLabels: { route: route.name },
    isRetryable: route.isRetryable,
    ...(route.timeoutMs === undefined ? {} : { timeout: duration(route.timeoutMs) }),
  };
}

function requestMatch(condition: RequestCondition): MessageInitShape<typeof RequestMatchSchema> {
  switch (condition.kind) {
    case "all":
    case "any":
      return { match: { case: condition.kind, value: { matches: condition.of.map(requestMatch) } } };
    case "not":
      return { match: { case: "not", value: requestMatch(condition.of) } };
    case "path":
      return { match: { case: "path", value: { regex: condition.regex } } };
    case "method":
      return { match: { case: "method", value: httpMethod(condition.method) } };
    default:
      return assertNever(condition);
  }
}

function responseMatch(condition: ResponseCondition): MessageInitShape<typeof ResponseMatchSchema> {
  switch (condition.kind) {
    case "all":
    case "any":
      return { match: { case: condition.kind, value: { matches: condition.of.map(responseMatch) } } };
    case "not":
      return { match: { case: "not", value: responseMatch(condition.of) } };
    case "status":
      return { match: { case: "status", value: { min: condition.min, max: condition.max } } };
    default:
      return assertNever(condition);
  }
}
