import { warn } from "./found.ts";
import {
  integer,
  listOf,
  object,
  optional,
  refine,
  required,
  text,
  withDefault,
  type Reader,
} from "./reader.ts";
import { splitParts, type Unsupported } from "./route-parts.ts";
import { labelName, resourceName } from "./words.ts";

/** What a rule sends its share of traffic to. */
export type BackendRef<Filter> =
  | (NamedBackend<Filter> & { readonly kind: "Service"; readonly port: number })
  | (NamedBackend<Filter> & { readonly kind: "EgressNetwork"; readonly port: number | undefined })
  | InvalidBackend;

interface NamedBackend<Filter> {
  readonly name: string;
  /** Undefined: that of the route's parent. */
  readonly namespace: string | undefined;
  readonly weight: number;
  readonly filters: readonly Filter[];
}

/** A reference that the mesh cannot follow: its share fails, the others' does not. */
export interface InvalidBackend {
  readonly kind: "invalid";
  readonly weight: number;
  /** What callers are told, in the controller's words. */
  readonly message: string;
}

/** Source: linkerd2, policy-controller/k8s/index/src/outbound/index/http.rs (`convert_backend`). */
export function backendRef<Filter extends { readonly kind: string }>(
  readFilter: Reader<Filter | Unsupported>,
): Reader<BackendRef<Filter>> {
  const none: readonly Filter[] = [];
  return refine(
    object({
      group: withDefault(text, ""),
      kind: withDefault(text, "Service"),
      name: required(resourceName),
      namespace: optional(labelName),
      port: optional(integer(0, 65535)),
      weight: withDefault(integer(0, 1_000_000), 1),
      filters: withDefault(listOf(readFilter, { max: 16 }), none),
    }),
    (value, at): BackendRef<Filter> => {
      const { name, namespace, weight } = value;
      const port = value.port || undefined;
      const invalid = (message: string): InvalidBackend => {
        warn(at, `${message}: its share of the traffic fails`);
        return { kind: "invalid", weight, message };
      };
      const kind = backendKind(value.group, value.kind);
      if (kind === undefined)
        return invalid(`unsupported backend type ${value.group || "core"} ${value.kind}`);
      const { supported: filters, unsupported } = splitParts(value.filters);
      const [foreign] = unsupported;
      if (foreign !== undefined)
        return invalid(`unsupported backend filter: ${foreign.what} is not supported`);
      if (kind === "EgressNetwork") return { kind, name, namespace, port, weight, filters };
      if (port === undefined) return invalid(`missing port for backend Service ${name}`);
      return { kind, name, namespace, port, weight, filters };
    },
  );
}

function backendKind(group: string, kind: string): "Service" | "EgressNetwork" | undefined {
  if (kind === "Service" && (group === "" || group === "core")) return kind;
  return kind === "EgressNetwork" && group === "policy.linkerd.io" ? kind : undefined;
}
