import assert from "node:assert/strict";
import { parseManifest } from "../../src/control-plane/resources/parse-manifest.ts";
import { formatProblem } from "../../src/control-plane/resources/problem.ts";
import { ResourceSet } from "../../src/control-plane/resources/resource-set.ts";
import { Cluster } from "../../src/control-plane/index/cluster.ts";
import type { Lookup } from "../../src/control-plane/index/lookup.ts";
import { DEFAULT_SETTINGS, type ClusterSettings } from "../../src/control-plane/index/settings.ts";

/** The resources of a good manifest. */
export function resourcesOf(text: string): ResourceSet {
  const manifest = parseManifest("test.yaml", text);
  assert.deepEqual(manifest.problems.map(formatProblem), []);
  return new ResourceSet(manifest.resources);
}

export function clusterOf(text: string, settings: Partial<ClusterSettings> = {}): Cluster {
  return new Cluster(resourcesOf(text), { ...DEFAULT_SETTINGS, ...settings });
}

export function valueOf<T>(found: Lookup<T>): T {
  if (!found.ok) assert.fail(`${found.status}: ${found.message}`);
  return found.value;
}

export function statusOf(found: Lookup<unknown>): string {
  return found.ok ? "ok" : found.status;
}

/** The workload string of a proxy beside ExternalWorkload `name`. */
export function workloadString(namespace: string, name: string): string {
  return `${JSON.stringify({ ns: namespace, external_workload: name })}\n`;
}

export const WEB_ID = "web.shop.serviceaccount.identity.linkerd.cluster.local";

/** A service and one workload behind it; `extra` is put into the workload's metadata. */
export const WEB = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  clusterIP: 10.96.7.20
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
${workload("web-1", "192.168.1.10", ["http=8080", "admin=9990", "linkerd-proxy=14143"])}`;

/** An ExternalWorkload of namespace shop with label app=web. */
export function workload(name: string, ip: string, ports: readonly string[], extra = ""): string {
  const list = ports.map((port) => {
    const [portName = "", number = ""] = port.split("=");
    return `{name: ${portName}, port: ${number}}`;
  });
  return `apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: {name: ${name}, namespace: shop, labels: {app: web}${extra}}
spec:
  meshTLS: {identity: ${WEB_ID}, serverName: ${WEB_ID}}
  workloadIPs: [{ip: ${ip}}]
  ports: [${list.join(", ")}]
`;
}
