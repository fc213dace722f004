import { childOf, report } from "./found.ts";
import type { ServiceAccountRef } from "./identities.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  BAD,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  required,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { labelName, resourceName } from "./words.ts";

/** Requests per second that a Server's port admits, in all and per client. */
export interface RateLimitPolicy extends Resource {
  readonly kind: "HTTPLocalRateLimitPolicy";
  readonly server: string;
  readonly totalRps: number | undefined;
  readonly identityRps: number | undefined;
  readonly overrides: readonly { readonly rps: number; readonly clients: readonly ServiceAccountRef[] }[];
}

const rps = integer(1, 0xffff_ffff);
const limit = refine(object({ requestsPerSecond: required(rps) }), (value) => value.requestsPerSecond);

const override = refine(
  object({
    requestsPerSecond: required(rps),
    clientRefs: required(
      listOf(
        object({
          group: withDefault(oneOf("", "core"), ""),
          kind: required(oneOf("ServiceAccount")),
          name: required(resourceName),
          namespace: optional(labelName),
        }),
        { min: 1 },
      ),
    ),
  }),
  (value) => ({ rps: value.requestsPerSecond, clients: value.clientRefs }),
);

const spec = object({
  targetRef: required(
    object({
      group: required(oneOf("policy.linkerd.io")),
      kind: required(oneOf("Server")),
      name: required(resourceName),
    }),
  ),
  total: optional(limit),
  identity: optional(limit),
  overrides: withDefault(listOf(override), []),
});

/** policy.linkerd.io HTTPLocalRateLimitPolicy. Source: linkerd2, charts/linkerd-crds/templates/policy/http-local-ratelimit-policy.yaml. */
export const readRateLimitPolicy: Reader<RateLimitPolicy> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const { total, identity, overrides } = spec;
    const at = childOf(document, "spec") ?? document;
    const parts: readonly (readonly [field: string, rps: number | undefined])[] = [
      ["identity.requestsPerSecond", identity],
      ...overrides.map((o, i) => [`overrides[${i}].requestsPerSecond`, o.rps] as const),
    ];
    const beyond = parts.filter(([, rps]) => total !== undefined && rps !== undefined && rps > total);
    for (const [field, rps] of beyond) {
      const path = `${at.path}.${field}`;
      report({ ...at, path }, `found ${rps}, expected at most the total of ${total}, which counts first`);
    }
    if (beyond.length > 0) return BAD;
    return {
      ...base,
      kind: "HTTPLocalRateLimitPolicy",
      server: spec.targetRef.name,
      totalRps: total,
      identityRps: identity,
      overrides,
    };
  },
);
