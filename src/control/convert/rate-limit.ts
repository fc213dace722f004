import { metaDefault } from "../../policy/meta.ts";
import type { LocalRateLimit } from "../../policy/server-policy.ts";
import type * as proto from "../../proto/gen/inbound_pb.js";
import { identitiesFromProto } from "./authorization.ts";
import { optional } from "./field.ts";
import { metaFromProto } from "./meta.ts";

/** A rate limit; a limit of 0 is no limit, and an override without one leaves its clients to the others. */
export function rateLimitFromProto(limit: proto.HttpLocalRateLimit): LocalRateLimit {
  return {
    meta: optional("metadata", limit.metadata, (m) => metaFromProto(m, "omitted")) ?? metaDefault("default"),
    totalRps: rps(limit.total),
    identityRps: rps(limit.identity),
    overrides: limit.overrides.flatMap(({ limit, clients }) => {
      const overrideRps = rps(limit);
      if (overrideRps === undefined) return [];
      return [{ rps: overrideRps, identities: identitiesFromProto(clients?.identities ?? []) }];
    }),
  };
}

function rps(limit: proto.HttpLocalRateLimit_Limit | undefined): number | undefined {
  const perSecond = limit?.requestsPerSecond ?? 0;
  return perSecond === 0 ? undefined : perSecond;
}
