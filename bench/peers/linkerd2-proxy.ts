import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateKeyAndCsr } from "../../src/identity/key.ts";
import { identityOf, NAMESPACE, opaquePorts } from "../../test/support/mesh-manifest.ts";
import { freePort, ProcessMesh, type Sidecar } from "../../test/support/process-mesh.ts";
import { pinned, PROXY_CORE } from "../harness/cpu.ts";
import { givenProgram } from "./given-program.ts";
import type { Job, Peer, Site, StartedPeer } from "./peer.ts";
import { addLoopbackAddress, noRedirection, redirect, type Redirect } from "./redirection.ts";

const PROGRAM = "OUTRIGGER_BENCH_LINKERD2_PROXY";

/** Where the workload is. The stock proxy connects to nobody on 127.0.0.0/8 (outbound/src/tcp/connect.rs). */
const WORKLOAD_IP = "192.0.2.1";
/** The load connects there, so that it is the address of the Service too. */
const SERVICE_IP = "127.0.0.1";

/**
 * The stock proxy, driven by the same control plane as ourselves.
 *
 * It has no named forwards, and no way to go without redirection: it drops a connection of which the kernel's connection
 * tracking knows nothing (proxy/transport/src/orig_dst.rs), with LINKERD2_PROXY_INGRESS_MODE too, which only chooses the
 * target another way afterwards. The load, the application and the load's address are on loopback in the namespace of the
 * bench, and a socket asks the tracking of its own namespace. Hence the bench as a whole has to be in one that is its own;
 * `redirection.ts` says why not in another. All proxies of that run then have their connections tracked, as in a pod.
 */
export const linkerd2Proxy: Peer = {
  name: "linkerd2-proxy",

  missing() {
    const program = givenProgram(PROGRAM);
    if (program.kind === "missing") return program.reason;
    const problem = noRedirection();
    if (problem === undefined) return undefined;
    return `it lives by redirection, and ${problem}: run this in a network namespace of its own, with unshare --map-root-user --net sh -c 'ip link set lo up && npm run bench'`;
  },

  takes: () => true,

  async start(job, site) {
    const program = givenProgram(PROGRAM);
    if (program.kind === "missing") throw new Error(program.reason);
    const { appPort } = site;
    const [port, proxyPort] = [await freePort(), await freePort()];
    const mesh = await ProcessMesh.start({
      workloads: [
        { name: "client", ports: {}, proxyPort: await freePort() },
        { name: "web", ports: { app: appPort }, proxyPort },
      ],
      manifests: { "mesh.yaml": manifest(job, { port, appPort, proxyPort }) },
      prefix: pinned(PROXY_CORE),
      proxyProgram: program.path,
      logFilter: "warn",
    });
    const undo: (() => void)[] = [];
    const close = async (): Promise<void> => {
      for (const each of undo.splice(0)) each();
      await mesh.close();
    };
    const turn = (rule: Redirect): void => void undo.push(redirect(rule));
    try {
      addLoopbackAddress(WORKLOAD_IP);
      // The application listens on 127.0.0.1 alone.
      turn({ address: WORKLOAD_IP, port: appPort, toPort: appPort });
      const parts: Record<string, Sidecar> = {};
      const client = await startSidecar(mesh, "client");
      turn({ address: SERVICE_IP, port, toPort: client.outboundPort });
      parts[job.topology === "hop" ? "proxy" : "outbound"] = client;
      if (job.topology === "pair") {
        parts["inbound"] = await startSidecar(mesh, "web");
        turn({ address: WORKLOAD_IP, port: proxyPort, toPort: proxyPort });
      }
      const proxies = Object.entries(parts).map(([part, { pid }]) => [part, [pid]] as const);
      const readyMs = Object.values(parts).reduce((sum, { readyAfterMs }) => sum + readyAfterMs, 0);
      const started: StartedPeer = { port, proxies: Object.fromEntries(proxies), readyMs, stop: close };
      return started;
    } catch (error) {
      await close();
      throw error;
    }
  },
};

async function startSidecar(mesh: ProcessMesh, name: string): Promise<Sidecar> {
  const dir = join(mesh.dir, `identity-${name}`);
  await mkdir(dir);
  // The stock proxy does not make them itself; its image has a launcher that does (linkerd2, proxy-identity).
  const { key, csr } = generateKeyAndCsr(identityOf(name));
  await writeFile(join(dir, "key.p8"), key.export({ type: "pkcs8", format: "der" }), { mode: 0o600 });
  await writeFile(join(dir, "csr.der"), csr);
  return mesh.sidecar(name, [], {
    LINKERD2_PROXY_IDENTITY_DIR: dir,
    LINKERD2_PROXY_CORES: "1",
    // The injector names the cluster's networks here, so that the proxy asks for profiles as it does in a cluster.
    LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS: `${SERVICE_IP}/32,${WORKLOAD_IP}/32`,
  });
}

/** One Service, at the address and port that the load connects to: of the workload in a pair, of its bare address in a hop. */
function manifest(
  { topology, protocol }: Job,
  {
    port,
    appPort,
    proxyPort,
  }: { readonly port: number } & Pick<Site, "appPort"> & {
      readonly proxyPort: number;
    },
): string {
  const opaque = (ports: readonly number[]): string => (protocol === "tcp" ? opaquePorts(ports) : "");
  return `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: ${NAMESPACE}${opaque([port])} }
spec:
  clusterIP: ${SERVICE_IP}
  ${topology === "pair" ? "selector: { app: web }" : ""}
  ports:
    - { name: app, port: ${port}, targetPort: app }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
endpoints: ${topology === "hop" ? `[{ addresses: [${WORKLOAD_IP}] }]` : "[]"}
ports:
  - { name: app, port: ${appPort} }
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: web, namespace: ${NAMESPACE}, labels: { app: web }${opaque([appPort])} }
spec:
  meshTLS: { identity: ${identityOf("web")}, serverName: ${identityOf("web")} }
  workloadIPs: [{ ip: ${WORKLOAD_IP} }]
  ports:
    - { name: app, port: ${appPort} }
    - { name: linkerd-proxy, port: ${proxyPort} }
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: client, namespace: ${NAMESPACE}, labels: { app: client } }
spec:
  meshTLS: { identity: ${identityOf("client")}, serverName: ${identityOf("client")} }
  ports: []
`;
}
