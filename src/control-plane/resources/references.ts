import type { AnyResource } from "./kinds.ts";
import type { Problem } from "./problem.ts";

/**
 * Finds names that lead nowhere. They are warnings and not problems: a cluster accepts them too, and answers with a
 * policy that denies or fails until the missing resource appears.
 */
export function findDanglingReferences(resources: readonly AnyResource[]): readonly Problem[] {
  const names = new Set(resources.map((r) => key(r.kind, r.meta.namespace, r.meta.name)));
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
        for (const [index, parent] of resource.parents.entries()) {
          // A route for a Server must live beside it.
          const namespace = parent.kind === "Server" ? own : (parent.namespace ?? own);
          check(
            resource,
            `spec.parentRefs[${index}]`,
            parent.kind,
            namespace,
            parent.name,
            "the route has no effect",
          );
        }
        for (const [ruleIndex, rule] of resource.rules.entries()) {
          for (const [index, backend] of rule.backends.entries()) {
            const field = `spec.rules[${ruleIndex}].backendRefs[${index}]`;
            check(
              resource,
              field,
              "Service",
              backend.namespace ?? own,
              backend.name,
              "its share of requests fails",
            );
          }
        }
        break;
      case "AuthorizationPolicy": {
        const { target } = resource;
        if (target.kind !== "Namespace") {
          check(resource, "spec.targetRef", target.kind, own, target.name, "the policy has no effect");
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
