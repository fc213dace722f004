import type { AnyResource } from "./kinds.ts";
import { selects } from "./label-selector.ts";
import type { Problem } from "./problem.ts";
import type { RateLimitPolicy } from "./rate-limit-policy.ts";
import { byAge, compareText } from "./resource-set.ts";
import type { Server } from "./server.ts";

/**
 * Finds Servers that select a port of a workload which an older one speaks for, and rate limits of a Server that has an
 * older one: each is without effect there, whatever it says, and both are easy to write.
 *
 * Source: linkerd2, policy-controller/k8s/index/src/inbound/index.rs and policy-controller/k8s/status/src/index.rs.
 */
export function findTakenPorts(resources: readonly AnyResource[]): readonly Problem[] {
  return [...serversWithoutEffect(resources), ...rateLimitsWithoutEffect(resources)];
}

/** Which port numbers of a workload a Server selects. A name that the workload does not have selects none. */
export function portsOf(
  server: Server,
  workload: { readonly ports: readonly { readonly name: string; readonly port: number }[] },
): readonly number[] {
  if (typeof server.port === "number") return [server.port];
  return workload.ports.filter(({ name }) => name === server.port).map(({ port }) => port);
}

/** The rate limits of one Server, the one in force first: those of known age before others. */
export function inForceFirst(a: RateLimitPolicy, b: RateLimitPolicy): number {
  const known = Number(a.meta.createdAt === "") - Number(b.meta.createdAt === "");
  return known || compareText(a.meta.createdAt, b.meta.createdAt) || compareText(a.meta.name, b.meta.name);
}

function serversWithoutEffect(resources: readonly AnyResource[]): readonly Problem[] {
  const servers = resources.filter((r) => r.kind === "Server").sort(byAge);
  const workloads = resources.filter((r) => r.kind === "ExternalWorkload");
  const first = new Map<string, Server>();
  const told = new Set<string>();
  const warnings: Problem[] = [];
  for (const server of servers) {
    const { kind, selector } = server.selects;
    if (kind === "pods") continue;
    for (const workload of workloads) {
      const { namespace, name } = workload.meta;
      if (namespace !== server.meta.namespace || !selects(selector, workload.meta.labels)) continue;
      for (const port of portsOf(server, workload)) {
        const key = `${namespace}/${name}:${port}`;
        const prior = first.get(key);
        if (prior === undefined) first.set(key, server);
        // One line a pair of Servers is enough, however many workloads they share.
        const pair = `${prior?.meta.name} ${server.meta.name}`;
        if (prior === undefined || prior === server || told.has(pair)) continue;
        told.add(pair);
        warnings.push({ ...server.origin, field: "spec.port", text: `port ${key} ${takenBy(prior)}` });
      }
    }
  }
  return warnings;
}

function rateLimitsWithoutEffect(resources: readonly AnyResource[]): readonly Problem[] {
  const limits = resources.filter((r) => r.kind === "HTTPLocalRateLimitPolicy").sort(inForceFirst);
  const first = new Map<string, RateLimitPolicy>();
  const warnings: Problem[] = [];
  for (const limit of limits) {
    const key = `${limit.meta.namespace}/${limit.server}`;
    const prior = first.get(key);
    if (prior === undefined) first.set(key, limit);
    else warnings.push({ ...limit.origin, field: "spec.targetRef", text: `Server ${key} ${takenBy(prior)}` });
  }
  return warnings;
}

function takenBy({ kind, meta, origin }: Server | RateLimitPolicy): string {
  return `belongs to the older ${kind} ${meta.name} (${origin.file}:${origin.line}): this one has no effect there`;
}
