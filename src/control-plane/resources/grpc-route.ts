import { report } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
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
  backendRef,
  headerMatches,
  headerModifier,
  hostnames,
  parentRefs,
  type BackendRef,
  type HeaderMatch,
  type HeaderModifier,
  type ParentRef,
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

const filter: Reader<GrpcFilter> = refine(
  object({ type: required(oneOf("RequestHeaderModifier")), requestHeaderModifier: required(headerModifier) }),
  (value) => ({ kind: "request_headers", modifier: value.requestHeaderModifier }),
);

const NO_BACKENDS: readonly BackendRef<GrpcFilter>[] = [];
const NO_FILTERS: readonly GrpcFilter[] = [];
const NO_MATCHES: readonly GrpcMatch[] = [];

const rule: Reader<GrpcRule> = refine(
  object({
    name: optional(text),
    matches: withDefault(listOf(match, { max: 64 }), NO_MATCHES),
    filters: withDefault(listOf(filter, { max: 16 }), NO_FILTERS),
    backendRefs: withDefault(listOf(backendRef(filter), { max: 16 }), NO_BACKENDS),
  }),
  (value) => ({ matches: value.matches, filters: value.filters, backends: value.backendRefs }),
);

const spec = object({
  parentRefs: withDefault(parentRefs, []),
  hostnames: withDefault(hostnames, []),
  rules: withDefault(listOf(rule, { max: 16 }), [{ matches: [], filters: [], backends: [] }]),
  useDefaultGateways: optional(text),
});

/** gateway.networking.k8s.io GRPCRoute. Source: as for HTTPRoute, index/grpc.rs. */
export const readGrpcRoute: Reader<GrpcRoute> = resource(
  { spec: required(spec) },
  (base, { spec }, document) => {
    const annotations = routeAnnotations(document);
    if (annotations === BAD) return BAD;
    const { parentRefs: parents, hostnames, rules } = spec;
    const group = "gateway.networking.k8s.io";
    return { ...base, kind: "GRPCRoute", group, parents, hostnames, rules, annotations };
  },
);
