import { metaDefault, type Meta } from "../../policy/meta.ts";
import type { Metadata, Resource } from "../../proto/gen/meta_pb.js";
import { field, invalid } from "./field.ts";

/** Whether a resource must name its namespace: outbound policies do, inbound ones leave it to the workload's own. */
export type Namespaces = "given" | "omitted";

export function metaFromProto(metadata: Metadata, namespaces: Namespaces): Meta {
  const { kind } = metadata;
  switch (kind.case) {
    case "default":
      return metaDefault(kind.value);
    case "resource":
      return field("resource", () => resourceFromProto(kind.value, namespaces));
    default:
      return invalid("is neither a default nor a resource");
  }
}

function resourceFromProto(resource: Resource, namespaces: Namespaces): Meta {
  const { group, kind, name, namespace, section, port } = resource;
  if (name === "") return invalid("has no name");
  if (namespaces === "given") {
    if (group === "") return invalid("has no group");
    if (kind === "") return invalid("has no kind");
    if (namespace === "") return invalid("has no namespace");
  }
  return {
    kind: "resource",
    group,
    resourceKind: kind,
    name,
    namespace,
    section,
    port: port === 0 ? undefined : port,
  };
}

/**
 * The resource that the labels `group`, `kind` and `name` tell, as servers and authorizations carry them for older proxies.
 *
 * Without a kind, the name itself may hold it: `default:all-unauthenticated`, `serverauthorization:web`, `web`.
 *
 * @param fallbackKind the kind of a bare name.
 *
 * Source: linkerd2-proxy, linkerd/proxy/server-policy/src/meta.rs.
 */
export function metaFromLabels(labels: Readonly<Record<string, string>>, fallbackKind: string): Meta {
  const name = labels["name"];
  if (name === undefined || name === "") return invalid("has no name");
  const group = labels["group"];
  const kind = labels["kind"];
  if (kind !== undefined) {
    if (kind === "default" && (group ?? "") === "") return metaDefault(name);
    return resource(group, kind, name);
  }
  const colon = name.indexOf(":");
  if (colon < 0) return resource(group, fallbackKind, name);
  const prefix = name.slice(0, colon);
  const rest = name.slice(colon + 1);
  return prefix === "default" ? metaDefault(rest) : resource(group, prefix, rest);
}

function resource(group: string | undefined, resourceKind: string, name: string): Meta {
  return {
    kind: "resource",
    group: group ?? "policy.linkerd.io",
    resourceKind,
    name,
    namespace: "",
    section: "",
    port: undefined,
  };
}
