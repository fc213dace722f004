/** Addresses of one workload or service: one of each family. */
export interface DualStack {
  readonly v4: string;
  readonly v6: string;
}

export const SERVICE_PORT = 80;
export const APPLICATION_PORT = 8080;

const MESH_NAMESPACE = "shop";

export function identityOf(workload: string): string {
  return `${workload}.${MESH_NAMESPACE}.serviceaccount.identity.linkerd.cluster.local`;
}

/** How a workload tells the controllers who asks. */
export function workloadToken(workload: string): string {
  return JSON.stringify({ ns: MESH_NAMESPACE, external_workload: workload });
}

export function contextToken(): string {
  return JSON.stringify({ ns: MESH_NAMESPACE });
}

/** A workload that has an application. */
export function serverManifest(workload: string, ips: DualStack, clusterIps: DualStack): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${workload}, namespace: ${MESH_NAMESPACE} }
spec:
  selector: { app: ${workload} }
  clusterIP: ${clusterIps.v4}
  clusterIPs: ["${clusterIps.v4}", "${clusterIps.v6}"]
  ipFamilyPolicy: RequireDualStack
  ports:
    - { name: http, port: ${SERVICE_PORT}, targetPort: http }
---
${workloadManifest(workload, ips, [`{ name: http, port: ${APPLICATION_PORT} }`])}`;
}

/** A workload that only calls others. */
export function clientManifest(workload: string, ips: DualStack): string {
  return workloadManifest(workload, ips, []);
}

function workloadManifest(workload: string, ips: DualStack, ports: readonly string[]): string {
  return `
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: ${workload}, namespace: ${MESH_NAMESPACE}, labels: { app: ${workload} } }
spec:
  meshTLS: { identity: ${identityOf(workload)}, serverName: ${identityOf(workload)} }
  workloadIPs: [{ ip: "${ips.v4}" }, { ip: "${ips.v6}" }]
  ports: [${ports.join(", ")}]
status: { conditions: [{ type: Ready, status: "True" }] }
`;
}
