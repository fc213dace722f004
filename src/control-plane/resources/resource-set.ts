import type { AnyResource } from "./kinds.ts";
import type { Problem } from "./problem.ts";

/** All resources of a folder, by kind; a consistent whole that is replaced, never changed. */
export class ResourceSet {
  readonly all: readonly AnyResource[];

  constructor(all: readonly AnyResource[]) {
    this.all = all;
  }

  /** The resources of one kind, in a stable order: oldest first, then by namespace and name. */
  ofKind<K extends AnyResource["kind"]>(kind: K): readonly Extract<AnyResource, { readonly kind: K }>[] {
    const chosen = this.all.filter(
      (resource): resource is Extract<AnyResource, { readonly kind: K }> => resource.kind === kind,
    );
    return chosen.sort(byAge);
  }
}

/** Oldest first, then by namespace and name: how both controllers break ties. */
export function byAge(a: AnyResource, b: AnyResource): number {
  return (
    compareText(a.meta.createdAt, b.meta.createdAt) ||
    compareText(a.meta.namespace, b.meta.namespace) ||
    compareText(a.meta.name, b.meta.name)
  );
}

/** By code units, so that the order does not depend on the machine's language. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Reports resources that exist twice, and cluster IPs that two services claim. Both places are named. */
export function findConflicts(resources: readonly AnyResource[]): readonly Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, AnyResource>();
  const claim = (key: string, resource: AnyResource, field: string, what: string): void => {
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, resource);
      return;
    }
    const { file, line } = first.origin;
    const text = `found ${what} a second time, expected it once: it is already in ${file}:${line}`;
    problems.push({ ...resource.origin, field, text });
  };
  for (const resource of resources) {
    const { namespace, name } = resource.meta;
    const group = "group" in resource ? resource.group : "";
    const place = resource.kind === "Namespace" ? name : `${namespace}/${name}`;
    claim(`${group} ${resource.kind} ${place}`, resource, "metadata.name", `${resource.kind} ${place}`);
    if (resource.kind !== "Service") continue;
    for (const ip of resource.clusterIps)
      claim(`ip ${ip.text}`, resource, "spec.clusterIP", `cluster IP ${ip.text}`);
  }
  return problems;
}
