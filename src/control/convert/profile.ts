import { parseDnsName } from "../../addr/dns-name.ts";
import { parseAddr, type NameAddr } from "../../addr/name-addr.ts";
import type { Profile, ProfileRoute, RetryBudget } from "../../policy/client-policy.ts";
import type * as proto from "../../proto/gen/destination_pb.js";
import { millisIfValid } from "./duration.ts";
import { endpointFromProto } from "./endpoint.ts";
import { requestMatchFromProto, responseMatchFromProto } from "./profile-match.ts";

const RETRY_RATIO_MAX = 1000;
const MIN_RETRIES_MAX = 2 ** 31 - 1;
const BUDGET_TTL_MIN_MS = 1_000;
const BUDGET_TTL_MAX_MS = 60_000;

/**
 * A profile. Nothing in it is ever a problem: what cannot be understood is as if absent, because the target has a
 * client policy besides.
 *
 * @param port of the address or name that was looked up; the message names the service only.
 *
 * Source: linkerd2-proxy, linkerd/service-profiles/src/proto.rs.
 */
export function profileFromProto(profile: proto.DestinationProfile, port: number): Profile {
  return {
    logical: logicalName(profile.fullyQualifiedName, port),
    opaqueProtocol: profile.opaqueProtocol,
    endpoint: profile.endpoint === undefined ? undefined : endpointFromProto(profile.endpoint),
    routes: profile.routes.flatMap((route) => routeFromProto(route) ?? []),
    targets: profile.dstOverrides.flatMap((dst) => targetFromProto(dst) ?? []),
    retryBudget: budgetFromProto(profile.retryBudget),
  };
}

function logicalName(text: string, port: number): NameAddr | undefined {
  const name = parseDnsName(text);
  return name.ok ? { name: name.value, port } : undefined;
}

function routeFromProto(route: proto.Route): ProfileRoute | undefined {
  const condition = requestMatchFromProto(route.condition);
  if (condition === undefined) return undefined;
  return {
    condition,
    labels: Object.entries(route.metricsLabels).sort(([a], [b]) => (a < b ? -1 : 1)),
    responseClasses: route.responseClasses.flatMap(({ condition, isFailure }) => {
      const match = responseMatchFromProto(condition);
      return match === undefined ? [] : [{ condition: match, isFailure }];
    }),
    isRetryable: route.isRetryable,
    timeoutMs: millisIfValid(route.timeout),
  };
}

function targetFromProto({ authority, weight }: proto.WeightedDst): Profile["targets"][number] | undefined {
  const addr = parseAddr(authority);
  if (weight === 0 || !addr.ok || addr.value.kind !== "name") return undefined;
  return { addr: addr.value.name, weight };
}

function budgetFromProto(budget: proto.RetryBudget | undefined): RetryBudget | undefined {
  const ttlMs = millisIfValid(budget?.ttl);
  if (budget === undefined || ttlMs === undefined) return undefined;
  const { retryRatio, minRetriesPerSecond } = budget;
  const valid =
    retryRatio >= 0 &&
    retryRatio <= RETRY_RATIO_MAX &&
    minRetriesPerSecond <= MIN_RETRIES_MAX &&
    ttlMs >= BUDGET_TTL_MIN_MS &&
    ttlMs <= BUDGET_TTL_MAX_MS;
  return valid ? { retryRatio, minRetriesPerSecond, ttlMs } : undefined;
}
