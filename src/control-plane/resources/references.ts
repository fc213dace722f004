import type { BackendRef } from "./backend-ref.ts";
import type { AnyResource } from "./kinds.ts";
import type { Problem } from "./problem.ts";
import { conflictsOf, isForeignServer, parentNamespace, type AnyRoute } from "./route-conflicts.ts";

/**
 * Finds names that lead nowhere. They are warnings and not problems: a cluster accepts them too, and answers with a
 * policy that denies or fails until the missing resource appears.
 */
export function findDanglingReferences(resources: readonly AnyResource[]): readonly Problem[] {
  const names = new Set(
    resources.flatMap((r) => {
      const kinds = isRoute(r) ? [r.kind, routeKind(r)] : [r.kind];
      return kinds.map((kind) => key(kind, r.meta.namespace, r.meta.name));
    }),
  );
  const headless = new Set(
    resources
      .filter((r) => r.kind === "Service" && (r.headless || r.external))
      .map((r) => key(r.kind, r.meta.namespace, r.meta.name)),
  );
  const conflicts = conflictsOf(resources.filter((r) => isRoute(r)));
  const warnings: Problem[] = [];
  const check = (
    from: AnyResource,
    field: string,
    kind: string,
    namespace: string,
    name: string,
    effect: string,
  ): void => {
    if (names.has(key(kind, namespace, name))) return;
    warnings.push({ ...from.origin, field, text: `${kind} ${namespace}/${name} does not exist: ${effect}` });
  };
  for (const resource of resources) {
    const own = resource.meta.namespace;
    switch (resource.kind) {
      case "HTTPRoute":
      case "GRPCRoute":
      case "TLSRoute":
      case "TCPRoute":
        for (const [index, parent] of resource.parents.entries()) {
          const field = `spec.parentRefs[${index}]`;
          const namespace = parentNamespace(resource, parent);
          if (isForeignServer(resource, parent)) {
            const text = `Server ${namespace}/${parent.name} takes routes of its own namespace only: the route has no effect there`;
            warnings.push({ ...resource.origin, field, text });
            continue;
          }
          check(resource, field, parent.kind, namespace, parent.name, "the route has no effect");
          const other = conflicts(resource, parent);
          const obstacle =
            other === undefined
              ? headless.has(key(parent.kind, namespace, parent.name)) && "is headless or external"
              : `has a ${other} at the same port`;
          if (obstacle === false) continue;
          const text = `${parent.kind} ${namespace}/${parent.name} ${obstacle}: the route has no effect there`;
          warnings.push({ ...resource.origin, field, text });
        }
        for (const [field, backend] of backendsOf(resource)) {
          if (backend.kind === "invalid") continue;
          // Without a namespace of its own a reference means that of the parent through which traffic comes.
          const parents = new Set(resource.parents.map((parent) => parentNamespace(resource, parent)));
          for (const namespace of backend.namespace === undefined ? parents : [backend.namespace]) {
            check(resource, field, backend.kind, namespace, backend.name, "its share of the traffic fails");
          }
        }
        break;
      case "ServiceProfile": {
        const [name = "", namespace = "", svc] = resource.meta.name.split(".");
        if (svc === "svc") {
          check(resource, "metadata.name", "Service", namespace, name, "the profile has no effect");
        } else {
          const text = `found "${resource.meta.name}", expected a service's name such as web.shop.svc.cluster.local: the profile has no effect`;
          warnings.push({ ...resource.origin, field: "metadata.name", text });
        }
        break;
      }
      case "AuthorizationPolicy": {
        const { target } = resource;
        if (target.kind !== "Namespace") {
          const kind = "group" in target ? routeKind(target) : target.kind;
          check(resource, "spec.targetRef", kind, own, target.name, "the policy has no effect");
        }
        for (const ref of [resource.clients, resource.networks]) {
          if (ref === undefined || ref.kind === "ServiceAccount") continue;
          const field = "spec.requiredAuthenticationRefs";
          check(resource, field, ref.kind, ref.namespace ?? own, ref.name, "the policy lets nobody in");
        }
        break;
      }
      case "ServerAuthorization":
        if (resource.server.kind === "name") {
          check(resource, "spec.server.name", "Server", own, resource.server.name, "it has no effect");
        }
        break;
      case "HTTPLocalRateLimitPolicy":
        check(resource, "spec.targetRef", "Server", own, resource.server, "it limits nothing");
        break;
      case "EndpointSlice":
        if (resource.service !== undefined) {
          check(resource, "metadata.labels", "Service", own, resource.service, "its addresses are not used");
        }
        for (const [index, { target }] of resource.endpoints.entries()) {
          if (target?.kind !== "ExternalWorkload") continue;
          const field = `endpoints[${index}].targetRef`;
          check(
            resource,
            field,
            target.kind,
            target.namespace,
            target.name,
            "its address counts as unmeshed",
          );
        }
        break;
      default:
        break;
    }
  }
  return warnings;
}

function key(kind: string, namespace: string, name: string): string {
  return `${kind} ${namespace}/${name}`;
}

/** Two groups have HTTPRoutes, and a policy means those of one. */
function routeKind({ kind, group }: { readonly kind: string; readonly group: string }): string {
  return `${kind} (${group})`;
}

function isRoute(resource: AnyResource): resource is AnyRoute {
  return "parents" in resource;
}

/** The backends of a route and where each stands. */
function backendsOf(route: AnyRoute): readonly (readonly [field: string, backend: BackendRef<unknown>])[] {
  const rules = "rules" in route ? route.rules : [route];
  return rules.flatMap(({ backends }, rule) =>
    backends.map((backend, index) => [`spec.rules[${rule}].backendRefs[${index}]`, backend] as const),
  );
}
