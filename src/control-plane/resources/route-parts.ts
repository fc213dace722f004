import { childOf, reportMismatch, warn, type Found } from "./found.ts";
import {
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
import { headerName, headerValue, labelName, regex, resourceName } from "./words.ts";

/** The parts that HTTPRoute and GRPCRoute share. Source: Gateway API v1 types. */

/** What a route is attached to, as far as it means something here. */
export interface ParentRef {
  readonly kind: "Service" | "Server";
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

/** A Service that a rule sends requests to. */
export interface BackendRef<Filter> {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly port: number;
  readonly weight: number;
  readonly filters: readonly Filter[];
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
        `found a parent ${value.kind} of "${value.group}"; only Service and Server have an effect here`,
      );
      return undefined;
    }
    return { kind, name: value.name, namespace: value.namespace, port: value.port };
  },
);

function parentKind(group: string, kind: string): ParentRef["kind"] | undefined {
  if (kind === "Service" && (group === "" || group === "core")) return "Service";
  if (kind === "Server" && group === "policy.linkerd.io") return "Server";
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

export function backendRef<Filter>(readFilter: Reader<Filter>): Reader<BackendRef<Filter>> {
  const none: readonly Filter[] = [];
  return refine(
    object({
      group: withDefault(text, ""),
      kind: withDefault(text, "Service"),
      name: required(resourceName),
      namespace: optional(labelName),
      port: required(portNumber),
      weight: withDefault(integer(0, 1_000_000), 1),
      filters: withDefault(listOf(readFilter, { max: 16 }), none),
    }),
    (value, at) => {
      if (value.kind !== "Service" || (value.group !== "" && value.group !== "core")) {
        reportMismatch(childOf(at, "kind") ?? at, "Service of the core group");
        return BAD;
      }
      const { name, namespace, port, weight, filters } = value;
      return { name, namespace, port, weight, filters };
    },
  );
}
