import type { NameAddr } from "../addr/name-addr.ts";
import type { ClientPolicy, Distribution, Profile, RouteBackend } from "./client-policy.ts";
import { metaDefault, type Meta } from "./meta.ts";
import { DEFAULT_LOAD } from "./synthesize.ts";

/**
 * The name under which a profile routes the HTTP requests of its target, or undefined where the client policy does.
 *
 * A profile that says neither how to treat requests nor where to send them has nothing to say against a policy; one that
 * does replaces it altogether.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/logical/profile.rs (should_override_policy).
 */
export function httpProfileName(profile: Profile | undefined): NameAddr | undefined {
  if (profile === undefined) return undefined;
  return profile.routes.length > 0 || profile.targets.length > 0 ? profile.logical : undefined;
}

/**
 * The same for connections that are not HTTP, to which only the targets of a profile mean something.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/opaq.rs (routes_from_discovery).
 */
export function opaqueProfileName(profile: Profile | undefined): NameAddr | undefined {
  return profile !== undefined && profile.targets.length > 0 ? profile.logical : undefined;
}

/** Where a profile sends requests: over its targets by weight, or to its own name if it has none. */
export function profileDistribution(logical: NameAddr, { targets }: Profile): Distribution<never> {
  if (targets.length === 0) return { kind: "first_available", backends: [balanced(logical)] };
  return {
    kind: "random_available",
    backends: targets.map(({ addr, weight }) => ({ ...balanced(addr), weight })),
  };
}

/** A profile's split as the policy of opaque connections that it stands for. */
export function opaqueProfilePolicy(logical: NameAddr, profile: Profile): ClientPolicy {
  return {
    parent: serviceMeta(logical),
    protocol: {
      kind: "opaque",
      opaque: { meta: PROFILE_META, filters: [], distribution: profileDistribution(logical, profile) },
    },
  };
}

/** The route that connections are counted under where a profile made it. Source: linkerd2-proxy, linkerd/app/outbound/src/opaq.rs. */
const PROFILE_META = metaDefault("serviceprofile");

const UNKNOWN_META = metaDefault("unknown");

/**
 * The Service that a name stands for, `web.shop.svc.cluster.local`; `default.unknown` for names of another form.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/lib.rs (service_meta).
 */
export function serviceMeta({ name, port }: NameAddr): Meta {
  const [service = "", namespace = "", kind = ""] = name.split(".");
  if (kind.toLowerCase() !== "svc") return UNKNOWN_META;
  return {
    kind: "resource",
    group: "core",
    resourceKind: "Service",
    name: service,
    namespace,
    section: "",
    port,
  };
}

function balanced(path: NameAddr): RouteBackend<never> {
  return {
    backend: { meta: serviceMeta(path), dispatcher: { kind: "balance", path, load: DEFAULT_LOAD } },
    filters: [],
  };
}
