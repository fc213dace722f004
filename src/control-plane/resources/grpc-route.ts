import { backendRef, type BackendRef } from "./backend-ref.ts";
import { report } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  anything,
  BAD,
  listOf,
  object,
  oneOf,
  optional,
  required,
  text,
  textLike,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { routeAnnotations, type RouteAnnotations } from "./route-annotations.ts";
import {
  headerMatches,
  headerModifier,
  hostnames,
  ignored,
  parentRefs,
  parentsWithout,
  splitParts,
  unsupported,
  type HeaderMatch,
  type HeaderModifier,
  type ParentRef,
  type Unsupported,
} from "./route-parts.ts";

/** Rules for gRPC calls, of Gateway API. */
export interface GrpcRoute extends Resource {
  readonly kind: "GRPCRoute";
  readonly group: "gateway.networking.k8s.io";
  readonly parents: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly GrpcRule[];
  readonly annotations: RouteAnnotations;
}

export interface GrpcRule {
  readonly matches: readonly GrpcMatch[];
  readonly filters: readonly GrpcFilter[];
  readonly backends: readonly BackendRef<GrpcFilter>[];
}

/** Undefined service or method match any. */
export interface GrpcMatch {
  readonly service: string | undefined;
  readonly method: string | undefined;
  readonly headers: readonly HeaderMatch[];
}

/** The API of the mesh knows no other filter for gRPC. */
export interface GrpcFilter {
  readonly kind: "request_headers";
  readonly modifier: HeaderModifier;
}

const methodMatch = refine(
  object({
    /** Regular expressions have no form in the mesh's API. */
    type: withDefault(oneOf("Exact"), "Exact"),
    service: optional(textLike(/^[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$/, "a gRPC service name")),
    method: optional(textLike(/^[A-Za-z_][A-Za-z_0-9]*$/, "a gRPC method name")),
  }),
  (value, at) => {
    if (value.service !== undefined || value.method !== undefined) return value;
    report(at, "found neither service nor method, expected at least one");
    return BAD;
  },
);

const match: Reader<GrpcMatch> = refine(
  object({ method: optional(methodMatch), headers: withDefault(headerMatches, []) }),
  (value) => ({ service: value.method?.service, method: value.method?.method, headers: value.headers }),
);

/** Filters of Gateway API that the mesh's API has no form for; a policy with one of them would be invalid as a whole. */
const FOREIGN_FILTERS = ["ResponseHeaderModifier", "RequestMirror", "ExtensionRef"] as const;

const filter: Reader<GrpcFilter | Unsupported> = refine(
  object({
    type: required(oneOf("RequestHeaderModifier", ...FOREIGN_FILTERS)),
    requestHeaderModifier: optional(headerModifier),
    responseHeaderModifier: optional(headerModifier),
    requestMirror: optional(anything),
    extensionRef: optional(anything),
  }),
  ({ type, requestHeaderModifier }, at) => {
    if (type !== "RequestHeaderModifier") return unsupported(`${type} filter`, at);
    if (requestHeaderModifier !== undefined)
      return { kind: "request_headers", modifier: requestHeaderModifier };
    report(at, `found no requestHeaderModifier, expected it beside type ${type}`);
    return BAD;
  },
);

const NO_BACKENDS: readonly BackendRef<GrpcFilter>[] = [];
const NO_FILTERS: readonly GrpcFilter[] = [];
const NO_MATCHES: readonly GrpcMatch[] = [];

/** A rule, and what of it the mesh does not support. */
interface ReadRule {
  readonly rule: GrpcRule;
  readonly unsupported: readonly Unsupported[];
}

const rule: Reader<ReadRule> = refine(
  object({
    name: optional(text),
    matches: withDefault(listOf(match, { max: 64 }), NO_MATCHES),
    filters: withDefault(listOf(filter, { max: 16 }), NO_FILTERS),
    backendRefs: withDefault(listOf(backendRef(filter), { max: 16 }), NO_BACKENDS),
    sessionPersistence: optional(ignored),
  }),
  ({ matches, filters, backendRefs: backends }) => {
    const { supported, unsupported } = splitParts(filters);
    return { rule: { matches, filters: supported, backends }, unsupported };
  },
);

const MATCH_ALL: ReadRule = { rule: { matches: [], filters: [], backends: [] }, unsupported: [] };

const spec = object({
  parentRefs: withDefault(parentRefs, []),
  hostnames: withDefault(hostnames, []),
  rules: withDefault(listOf(rule, { max: 16 }), [MATCH_ALL]),
  useDefaultGateways: optional(text),
});

/** gateway.networking.k8s.io GRPCRoute. Source: as for HTTPRoute, index/grpc.rs. */
export const readGrpcRoute: Reader<GrpcRoute> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const annotations = routeAnnotations(document);
    const parents = parentsWithout(
      spec.rules.flatMap((read) => read.unsupported),
      spec.parentRefs,
    );
    if (annotations === BAD || parents === BAD) return BAD;
    const rules = spec.rules.map((read) => read.rule);
    const group = "gateway.networking.k8s.io";
    return { ...base, kind: "GRPCRoute", group, parents, hostnames: spec.hostnames, rules, annotations };
  },
);
