import { formatSocketAddr } from "../../addr/socket-addr.ts";
import type { AnyResource } from "./kinds.ts";
import { hasLabels } from "./label-selector.ts";
import type { Problem } from "./problem.ts";

/** Finds workloads that a service selects in vain, and addresses that two workloads claim: both are easy to write and hard to see. */
export function findUnreachableWorkloads(resources: readonly AnyResource[]): readonly Problem[] {
  const warnings: Problem[] = [];
  const workloads = resources.filter((resource) => resource.kind === "ExternalWorkload");
  const claimed = new Map<string, AnyResource>();
  for (const workload of workloads) {
    for (const ip of workload.ips) {
      for (const { port } of workload.ports) {
        const address = formatSocketAddr({ ip, port });
        const first = claimed.get(address);
        if (first === undefined) {
          claimed.set(address, workload);
          continue;
        }
        const { file, line } = first.origin;
        const text = `${address} also belongs to ${nameOf(first)} (${file}:${line}): clients of the address get neither`;
        warnings.push({ ...workload.origin, field: "spec.workloadIPs", text });
      }
    }
  }
  for (const service of resources) {
    if (service.kind !== "Service" || service.selector === undefined) continue;
    const { selector, ports, meta } = service;
    const selected = workloads.filter(
      (w) => w.meta.namespace === meta.namespace && hasLabels(selector, w.meta.labels),
    );
    for (const [index, { targetPort }] of ports.entries()) {
      for (const workload of selected) {
        if (workload.ports.some((p) => p.name === targetPort || p.port === targetPort)) continue;
        const text = `ExternalWorkload ${nameOf(workload)} is selected but lists no port ${targetPort}: it is no endpoint of this port`;
        warnings.push({ ...service.origin, field: `spec.ports[${index}].targetPort`, text });
      }
    }
  }
  return warnings;
}

function nameOf(resource: AnyResource): string {
  return `${resource.meta.namespace}/${resource.meta.name}`;
}
