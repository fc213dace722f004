import { assertNever } from "../../parsed.ts";
import type {
  OpaqueClientRoute,
  OpaqueFilter,
  SniMatch,
  TlsClientRoute,
} from "../../policy/client-policy.ts";
import type * as proto from "../../proto/gen/outbound_pb.js";
import type * as tls from "../../proto/gen/tls_route_pb.js";
import { distributionFromProto } from "./backend.ts";
import { each, field, invalid, required } from "./field.ts";
import { metaFromProto } from "./meta.ts";

/** The route of a target's TCP connections. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/opaq.rs. */
export function opaqueRouteFromProto(route: proto.OpaqueRoute): OpaqueClientRoute {
  return {
    meta: required("metadata", route.metadata, (m) => metaFromProto(m, "given")),
    ...onlyRule(route.rules),
  };
}

/** A route chosen by SNI. Source: linkerd2-proxy, linkerd/proxy/client-policy/src/tls.rs. */
export function tlsRouteFromProto(route: proto.TlsRoute): TlsClientRoute {
  return {
    meta: required("metadata", route.metadata, (m) => metaFromProto(m, "given")),
    snis: each("snis", route.snis, sniFromProto),
    ...onlyRule(route.rules),
  };
}

function onlyRule(
  rules: readonly (proto.OpaqueRoute_Rule | proto.TlsRoute_Rule)[],
): Pick<OpaqueClientRoute, "filters" | "distribution"> {
  const [rule] = rules;
  if (rule === undefined || rules.length > 1) {
    return field("rules", () => invalid(`has ${rules.length} elements instead of one`));
  }
  return field("rules[0]", () => ({
    filters: each("filters", rule.filters, filterFromProto),
    distribution: required("backends", rule.backends, (d) => distributionFromProto(d, filterFromProto)),
  }));
}

type ProtoFilter = proto.OpaqueRoute_Filter | proto.TlsRoute_Filter;

function filterFromProto({ kind }: ProtoFilter): OpaqueFilter {
  switch (kind.case) {
    case "invalid":
      return { kind: "invalid", message: kind.value.message };
    case "forbidden":
      return { kind: "forbidden" };
    case undefined:
      return invalid("is of unknown kind");
    default:
      return assertNever(kind);
  }
}

function sniFromProto({ match }: tls.SniMatch): SniMatch {
  switch (match.case) {
    case "exact":
      return { kind: "exact", name: match.value };
    case "suffix":
      return { kind: "suffix", reverseLabels: match.value.reverseLabels };
    case undefined:
      return invalid("has no match");
    default:
      return assertNever(match);
  }
}
