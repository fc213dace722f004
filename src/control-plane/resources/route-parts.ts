import { childOf, report, warn, type Found } from "./found.ts";
import {
  BAD,
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
  type Bad,
  type Reader,
} from "./reader.ts";
import { headerName, headerValue, labelName, regex, resourceName } from "./words.ts";

/** The parts that routes share. Source: Gateway API v1 types. */

/** What a route is attached to, as far as it means something here. */
export interface ParentRef {
  readonly kind: "Service" | "Server" | "EgressNetwork";
  readonly name: string;
  readonly namespace: string | undefined;
  /** Undefined: every port. */
  readonly port: number | undefined;
}

export interface HeaderMatch {
  readonly type: "Exact" | "RegularExpression";
  readonly name: string;
  readonly value: string;
}

export interface Header {
  readonly name: string;
  readonly value: string;
}

export interface HeaderModifier {
  readonly set: readonly Header[];
  readonly add: readonly Header[];
  readonly remove: readonly string[];
}

/** A part that Gateway API knows and the mesh's API has no form for. */
export interface Unsupported {
  readonly kind: "unsupported";
  readonly what: string;
  readonly at: Found;
}

export function unsupported(what: string, at: Found): Unsupported {
  return { kind: "unsupported", what, at };
}

const parentRef: Reader<ParentRef | undefined> = refine(
  object({
    group: withDefault(text, "gateway.networking.k8s.io"),
    kind: withDefault(text, "Gateway"),
    namespace: optional(labelName),
    name: required(resourceName),
    sectionName: optional(text),
    port: optional(portNumber),
  }),
  (value, at) => {
    const kind = parentKind(value.group, value.kind);
    if (kind === undefined) {
      warn(
        at,
        `found a parent ${value.kind} of "${value.group}"; only Service, Server and EgressNetwork have an effect here`,
      );
      return undefined;
    }
    if (kind === "EgressNetwork" && value.port === undefined) {
      report(
        { ...at, path: `${at.path}.port` },
        "found nothing, expected a port: the parent is an EgressNetwork",
      );
      return BAD;
    }
    if (kind === "Server" && (value.port ?? value.sectionName) !== undefined) {
      const field = value.port === undefined ? "sectionName" : "port";
      // The controller passes the whole route over, and its requests would fall to others.
      const text = "found a value, expected none: a route belongs to a Server as a whole";
      report({ ...at, path: `${at.path}.${field}` }, text);
      return BAD;
    }
    return { kind, name: value.name, namespace: value.namespace, port: value.port };
  },
);

function parentKind(group: string, kind: string): ParentRef["kind"] | undefined {
  if (kind === "Service" && (group === "" || group === "core")) return "Service";
  if ((kind === "Server" || kind === "EgressNetwork") && group === "policy.linkerd.io") return kind;
  return undefined;
}

/** Gateway API allows 32 parents, 16 hostnames and, with the rules of today, 16 rules. */
export const parentRefs: Reader<readonly ParentRef[]> = refine(listOf(parentRef, { max: 32 }), (refs) =>
  refs.filter((ref) => ref !== undefined),
);

export const hostnames = listOf(
  textLike(
    /^(?=.{1,253}$)(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'a host name such as "example.org" or "*.example.org"',
  ),
  { max: 16 },
);

const MATCH_TYPES = ["Exact", "RegularExpression"] as const;

/** Reads a match of a name with a value, where the type says how the value is meant. */
export function valueMatch(readName: Reader<string>): Reader<HeaderMatch> {
  return refine(
    object({
      type: withDefault(oneOf(...MATCH_TYPES), "Exact"),
      name: required(readName),
      value: required(text),
    }),
    (value, at) => (value.type === "RegularExpression" && !goodRegex(value.value, at, "value") ? BAD : value),
  );
}

export const headerMatches = listOf(valueMatch(headerName), { max: 16 });

/** Whether `source`, which stands in `field` of the map `at`, is a usable regular expression; reports it if not. */
export function goodRegex(source: string, at: Found, field: string): boolean {
  const child = childOf(at, field);
  return child === undefined || source === "" || regex(child) !== BAD;
}

const headers = listOf(object({ name: required(headerName), value: required(headerValue) }), { max: 16 });

export const headerModifier: Reader<HeaderModifier> = object({
  set: withDefault(headers, []),
  add: withDefault(headers, []),
  remove: withDefault(listOf(headerName, { max: 16 }), []),
});

/** Parts, told apart. */
export function splitParts<T extends { readonly kind: string }>(
  parts: readonly (T | Unsupported)[],
): { readonly supported: readonly T[]; readonly unsupported: readonly Unsupported[] } {
  const isForeign = (part: T | Unsupported): part is Unsupported => part.kind === "unsupported";
  return {
    // A caller's own parts never are of that kind.
    supported: parts.filter((part): part is T => !isForeign(part)),
    unsupported: parts.filter(isForeign),
  };
}

/**
 * What a route with such parts is still attached to: nothing, as the controller passes such a route over. A route of a
 * Server is refused instead: without it its requests would fall to another route, whose authorizations may admit more.
 *
 * Source: linkerd2, policy-controller/k8s/index/src/outbound/index/http.rs.
 */
export function parentsWithout(
  parts: readonly Unsupported[],
  parents: readonly ParentRef[],
): readonly ParentRef[] | Bad {
  if (parts.length === 0 || parents.length === 0) return parents;
  const guards = parents.some((parent) => parent.kind === "Server");
  for (const { what, at } of parts) {
    if (guards)
      report(
        at,
        `found the ${what}, expected one that the mesh supports, because a Server relies on the route`,
      );
    else warn(at, `found the ${what}, which the mesh does not support: the route has no effect`);
  }
  return guards ? BAD : [];
}

/** A field of Gateway API that nothing in the mesh looks at. */
export const ignored: Reader<true> = (value) => {
  warn(value, "found a value, which the mesh does not support: the field has no effect");
  return true;
};
