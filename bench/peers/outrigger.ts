import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { NAMESPACE } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh, type ProcessMeshOptions } from "../../test/support/process-mesh.ts";
import { pinned, PROXY_CORE } from "../harness/cpu.ts";
import type { Job, Peer, RunningPeer, Site } from "./peer.ts";

const PAIR = `web.${NAMESPACE}.svc.cluster.local`;
const HOP = `plain.${NAMESPACE}.svc.cluster.local`;

/**
 * Ourselves, as users run us: sidecars driven by the embedded control plane, with policy, balancing and metrics on.
 *
 * `hop` is one outbound side in front of an endpoint outside the mesh.
 */
export const outrigger: Peer = {
  name: "outrigger",
  missing: () => undefined,
  takes: () => true,
  start: (job, site) => startOutrigger(job, site, {}),
};

/** Another state of ourselves, to measure a change: a checkout with its dependencies installed. */
export function outriggerAt(checkout: string): Peer {
  const main = join(resolve(checkout), "src", "main.ts");
  return {
    name: "base",
    missing: () => (existsSync(main) ? undefined : `there is no ${main}`),
    takes: () => true,
    start: (job, site) => startOutrigger(job, site, { main }),
  };
}

export async function startOutrigger(
  { topology }: Job,
  { appPort }: Site,
  options: Pick<ProcessMeshOptions, "nodeArgs" | "main">,
): Promise<RunningPeer> {
  const mesh = await ProcessMesh.start({
    workloads: [
      { name: "client", ports: {}, proxyPort: await freePort() },
      { name: "web", ports: { app: appPort }, proxyPort: await freePort() },
    ],
    manifests: { "plain.yaml": unmeshed(appPort) },
    prefix: pinned(PROXY_CORE),
    ...options,
    logFilter: "warn",
  });
  try {
    const client = await mesh.sidecar("client", [`${topology === "pair" ? PAIR : HOP}:${appPort}`]);
    const [port = 0] = client.forwardPorts;
    const sidecars = [client];
    const stop = async (): Promise<void> => {
      // In order, so that a profile is written.
      for (const sidecar of sidecars) await mesh.stop(sidecar.process);
      await mesh.close();
    };
    if (topology === "hop") return { port, proxies: { proxy: [client.pid] }, stop };
    const server = await mesh.sidecar("web");
    sidecars.push(server);
    return { port, proxies: { outbound: [client.pid], inbound: [server.pid] }, stop };
  } catch (error) {
    await mesh.close();
    throw error;
  }
}

function unmeshed(port: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: plain, namespace: ${NAMESPACE} }
spec:
  ports:
    - { name: app, port: ${port} }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: plain, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: plain } }
addressType: IPv4
endpoints:
  - { addresses: [127.0.0.1] }
ports:
  - { name: app, port: ${port} }
`;
}
