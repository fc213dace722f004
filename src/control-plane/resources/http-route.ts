import { backendRef, type BackendRef } from "./backend-ref.ts";
import { childOf, report, reportMismatch, warn } from "./found.ts";
import { resource, type Resource } from "./object-meta.ts";
import {
  anything,
  BAD,
  integer,
  listOf,
  object,
  oneOf,
  optional,
  portNumber,
  required,
  text,
  textLike,
  refine,
  withDefault,
  type Reader,
} from "./reader.ts";
import { routeAnnotations, type RouteAnnotations } from "./route-annotations.ts";
import {
  goodRegex,
  headerMatches,
  headerModifier,
  hostnames,
  ignored,
  parentRefs,
  parentsWithout,
  splitParts,
  unsupported,
  valueMatch,
  type HeaderMatch,
  type HeaderModifier,
  type ParentRef,
  type Unsupported,
} from "./route-parts.ts";
import { gatewayDuration } from "./words.ts";

/** Rules for HTTP requests: of Gateway API, or of Linkerd's older group with the same shape. */
export interface HttpRoute extends Resource {
  readonly kind: "HTTPRoute";
  readonly group: "gateway.networking.k8s.io" | "policy.linkerd.io";
  readonly parents: readonly ParentRef[];
  readonly hostnames: readonly string[];
  readonly rules: readonly HttpRule[];
  readonly annotations: RouteAnnotations;
}

export interface HttpRule {
  readonly matches: readonly HttpMatch[];
  readonly filters: readonly HttpFilter[];
  readonly backends: readonly BackendRef<HttpFilter>[];
  /** Milliseconds; undefined means no limit. */
  readonly requestTimeoutMs: number | undefined;
}

export interface HttpMatch {
  readonly path: HttpPathMatch;
  readonly headers: readonly HeaderMatch[];
  readonly queryParams: readonly HeaderMatch[];
  readonly method: string | undefined;
}

export interface HttpPathMatch {
  readonly type: "Exact" | "PathPrefix" | "RegularExpression";
  readonly value: string;
}

export type HttpFilter =
  | { readonly kind: "request_headers"; readonly modifier: HeaderModifier }
  | { readonly kind: "response_headers"; readonly modifier: HeaderModifier }
  | { readonly kind: "redirect"; readonly redirect: HttpRedirect };

export interface HttpRedirect {
  readonly scheme: "http" | "https" | undefined;
  readonly hostname: string | undefined;
  readonly port: number | undefined;
  readonly path: { readonly kind: "full" | "prefix"; readonly value: string } | undefined;
  readonly statusCode: number;
}

const ROOT: HttpPathMatch = { type: "PathPrefix", value: "/" };
const ANY_REQUEST: HttpMatch = { path: ROOT, headers: [], queryParams: [], method: undefined };

const pathMatch: Reader<HttpPathMatch> = refine(
  object({
    type: withDefault(oneOf("Exact", "PathPrefix", "RegularExpression"), "PathPrefix"),
    value: withDefault(text, "/"),
  }),
  (value, at) => {
    if (value.type === "RegularExpression") return goodRegex(value.value, at, "value") ? value : BAD;
    if (/^\/[^?#\s]{0,1023}$/.test(value.value)) return value;
    reportMismatch(childOf(at, "value") ?? at, 'a path that begins with "/" and has no query');
    return BAD;
  },
);

const METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"] as const;

const queryName = textLike(/^.{1,256}$/s, "the name of a query parameter");

const match: Reader<HttpMatch> = object({
  path: withDefault(pathMatch, ROOT),
  headers: withDefault(headerMatches, []),
  queryParams: withDefault(listOf(valueMatch(queryName), { max: 16 }), []),
  method: optional(oneOf(...METHODS)),
});

const absolutePath = textLike(/^\//, 'a path that begins with "/"');

const pathModifier = refine(
  object({
    type: required(oneOf("ReplaceFullPath", "ReplacePrefixMatch")),
    replaceFullPath: optional(absolutePath),
    replacePrefixMatch: optional(absolutePath),
  }),
  (value, at) => {
    const full = value.type === "ReplaceFullPath";
    const path = full ? value.replaceFullPath : value.replacePrefixMatch;
    if (path !== undefined) return { kind: full ? ("full" as const) : ("prefix" as const), value: path };
    report(
      at,
      `found no ${full ? "replaceFullPath" : "replacePrefixMatch"}, expected it beside type ${value.type}`,
    );
    return BAD;
  },
);

/** A redirect without a status is 302, as the Gateway API's own default says. */
const DEFAULT_REDIRECT = 302;

const REDIRECT_STATUSES: readonly number[] = [301, 302, 303, 307, 308];

const redirectStatus: Reader<number> = refine(integer(300, 399), (code, at) => {
  if (REDIRECT_STATUSES.includes(code)) return code;
  reportMismatch(at, `one of ${REDIRECT_STATUSES.join(", ")}`);
  return BAD;
});

const redirect: Reader<HttpRedirect> = object({
  scheme: optional(oneOf("http", "https")),
  hostname: optional(textLike(/^[a-z0-9.-]{1,253}$/, "a host name")),
  port: optional(portNumber),
  path: optional(pathModifier),
  statusCode: withDefault(redirectStatus, DEFAULT_REDIRECT),
});

const FILTERS = ["RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect"] as const;

/** Filters of Gateway API that the mesh's API has no form for. */
const FOREIGN_FILTERS = ["URLRewrite", "RequestMirror", "CORS", "ExternalAuth", "ExtensionRef"] as const;

const filter: Reader<HttpFilter | Unsupported> = refine(
  object({
    type: required(oneOf(...FILTERS, ...FOREIGN_FILTERS)),
    requestHeaderModifier: optional(headerModifier),
    responseHeaderModifier: optional(headerModifier),
    requestRedirect: optional(redirect),
    urlRewrite: optional(anything),
    requestMirror: optional(anything),
    cors: optional(anything),
    externalAuth: optional(anything),
    extensionRef: optional(anything),
  }),
  (value, at) => {
    const { type, requestHeaderModifier, responseHeaderModifier, requestRedirect } = value;
    if (type === "RequestHeaderModifier" && requestHeaderModifier !== undefined) {
      return { kind: "request_headers", modifier: requestHeaderModifier };
    }
    if (type === "ResponseHeaderModifier" && responseHeaderModifier !== undefined) {
      return { kind: "response_headers", modifier: responseHeaderModifier };
    }
    if (type === "RequestRedirect" && requestRedirect !== undefined) {
      return { kind: "redirect", redirect: requestRedirect };
    }
    if (FOREIGN_FILTERS.some((foreign) => foreign === type)) return unsupported(`${type} filter`, at);
    report(at, `found no ${type.charAt(0).toLowerCase()}${type.slice(1)}, expected it beside type ${type}`);
    return BAD;
  },
);

const NO_BACKENDS: readonly BackendRef<HttpFilter>[] = [];
const NO_FILTERS: readonly HttpFilter[] = [];

/** The time for one attempt has no form in the mesh's API; the annotation `retry.linkerd.io/timeout` is what comes next to it. */
const backendRequestTimeout: Reader<number> = refine(gatewayDuration, (ms, at) => {
  if (ms > 0) warn(at, "found a timeout of one backend, which the mesh does not support: it has no effect");
  return ms;
});

const timeouts = refine(
  object({ request: optional(gatewayDuration), backendRequest: optional(backendRequestTimeout) }),
  (value, at) => {
    const { request, backendRequest } = value;
    if (!request || backendRequest === undefined || backendRequest <= request) return value;
    reportMismatch(childOf(at, "backendRequest") ?? at, "at most the time of the request");
    return BAD;
  },
);

/** A rule, and what of it the mesh does not support. */
interface ReadRule {
  readonly rule: HttpRule;
  readonly unsupported: readonly Unsupported[];
}

const rule: Reader<ReadRule> = refine(
  object({
    name: optional(text),
    matches: withDefault(listOf(match, { max: 64 }), [ANY_REQUEST]),
    filters: withDefault(listOf(filter, { max: 16 }), NO_FILTERS),
    backendRefs: withDefault(listOf(backendRef(filter), { max: 16 }), NO_BACKENDS),
    timeouts: optional(timeouts),
    retry: optional(ignored),
    sessionPersistence: optional(ignored),
  }),
  (value) => {
    const { supported: filters, unsupported } = splitParts(value.filters);
    const matches = value.matches.length === 0 ? [ANY_REQUEST] : value.matches;
    // Zero asks for no timeout at all (GEP-1742).
    const requestTimeoutMs = value.timeouts?.request || undefined;
    return { rule: { matches, filters, backends: value.backendRefs, requestTimeoutMs }, unsupported };
  },
);

const MATCH_ALL: ReadRule = {
  rule: { matches: [ANY_REQUEST], filters: [], backends: [], requestTimeoutMs: undefined },
  unsupported: [],
};

const spec = object({
  parentRefs: withDefault(parentRefs, []),
  hostnames: withDefault(hostnames, []),
  rules: withDefault(listOf(rule, { max: 16 }), [MATCH_ALL]),
  useDefaultGateways: optional(text),
});

/** HTTPRoute of one API group. Source: Gateway API v1 types; linkerd2, policy-controller/k8s/index/src/outbound/index/http.rs. */
export function httpRouteReader(group: HttpRoute["group"]): Reader<HttpRoute> {
  return resource({ spec: required(spec) }, (base, { spec }, document) => {
    const annotations = routeAnnotations(document);
    const parents = parentsWithout(
      spec.rules.flatMap((read) => read.unsupported),
      spec.parentRefs,
    );
    if (annotations === BAD || parents === BAD) return BAD;
    const rules = spec.rules.map((read) => read.rule);
    return { ...base, kind: "HTTPRoute", group, parents, hostnames: spec.hostnames, rules, annotations };
  });
}
