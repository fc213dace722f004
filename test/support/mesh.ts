/** A small mesh in this process: the embedded control plane and proxies as their users start them, all on loopback. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatSocketAddr, parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { FILES } from "../../src/cli/environment.ts";
import { load } from "../../src/config/load.ts";
import { EmbeddedControlPlane } from "../../src/control-plane/embedded.ts";
import { createLog } from "../../src/log/create-log.ts";
import { startProxy, type RunningProxy } from "../../src/proxy.ts";

export interface Workload {
  readonly name: string;
  /** Ports of the application by name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly proxyPort: number;
}

export interface MeshOptions {
  readonly workloads: readonly Workload[];
  /** Further manifests by file name; may replace `mesh.yaml`. */
  readonly manifests?: Readonly<Record<string, string>>;
  readonly identityLifetimeMs?: number;
  readonly logFilter?: string;
}

export const NAMESPACE = "shop";

export function identityOf(name: string): string {
  return `${name}.${NAMESPACE}.serviceaccount.identity.linkerd.cluster.local`;
}

/** Manifests of a Service and an ExternalWorkload for each workload: Service `NAME` has every port under its own number. */
export function meshManifest(workloads: readonly Workload[]): string {
  return workloads
    .map(({ name, ports, proxyPort }) => {
      const entries = Object.entries(ports);
      return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  selector: { app: ${name} }
  ports:
${entries.map(([port, number]) => `    - { name: ${port}, port: ${number}, targetPort: ${port} }`).join("\n") || "    []"}
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { app: ${name} } }
spec:
  meshTLS: { identity: ${identityOf(name)}, serverName: ${identityOf(name)} }
  workloadIPs: [{ ip: 127.0.0.1 }]
  ports:
${entries.map(([port, number]) => `    - { name: ${port}, port: ${number} }`).join("\n")}
    - { name: linkerd-proxy, port: ${proxyPort} }
`;
    })
    .join("---");
}

export class Mesh {
  readonly dir: string;
  readonly controlPlane: EmbeddedControlPlane;
  readonly #proxies: RunningProxy[] = [];
  readonly #options: MeshOptions;

  private constructor(dir: string, controlPlane: EmbeddedControlPlane, options: MeshOptions) {
    this.dir = dir;
    this.controlPlane = controlPlane;
    this.#options = options;
  }

  static async start(options: MeshOptions): Promise<Mesh> {
    const dir = await mkdtemp(join(tmpdir(), "outrigger-mesh-"));
    const manifests = { "mesh.yaml": meshManifest(options.workloads), ...options.manifests };
    const resources = join(dir, "resources");
    await import("node:fs/promises").then(({ mkdir }) => mkdir(resources));
    for (const [file, text] of Object.entries(manifests)) await writeFile(join(resources, file), text);
    const controlPlane = await EmbeddedControlPlane.start({
      resourcesDir: resources,
      listen: [addr("127.0.0.1:0")],
      tokensDir: join(dir, "tokens"),
      identityLifetimeMs: options.identityLifetimeMs,
      log: logging(options).log,
    });
    return new Mesh(dir, controlPlane, options);
  }

  /** Starts the proxy of a workload and waits until it has its certificate. */
  async proxy(name: string, extra: Readonly<Record<string, string>> = {}): Promise<RunningProxy> {
    const workload = this.#options.workloads.find((w) => w.name === name);
    if (workload === undefined) throw new Error(`no workload ${name}`);
    const control = formatSocketAddr(this.controlPlane.address);
    const token = join(this.dir, `${name}.token`);
    await writeFile(token, this.controlPlane.tokenFor(identityOf(name)) ?? "");
    const environment = new Map<string, string>(
      Object.entries({
        LINKERD2_PROXY_DESTINATION_SVC_ADDR: control,
        LINKERD2_PROXY_POLICY_SVC_ADDR: control,
        LINKERD2_PROXY_POLICY_WORKLOAD: JSON.stringify({ ns: NAMESPACE, external_workload: name }),
        LINKERD2_PROXY_DESTINATION_CONTEXT: JSON.stringify({ ns: NAMESPACE }),
        LINKERD2_PROXY_IDENTITY_SVC_ADDR: control,
        LINKERD2_PROXY_IDENTITY_LOCAL_NAME: identityOf(name),
        LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: this.controlPlane.trustAnchorsPem,
        LINKERD2_PROXY_IDENTITY_DIR: this.dir,
        LINKERD2_PROXY_IDENTITY_TOKEN_FILE: token,
        LINKERD2_PROXY_INBOUND_LISTEN_ADDR: `127.0.0.1:${workload.proxyPort}`,
        LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR: "127.0.0.1:0",
        LINKERD2_PROXY_ADMIN_LISTEN_ADDR: "127.0.0.1:0",
        LINKERD2_PROXY_INBOUND_DEFAULT_POLICY: "all-unauthenticated",
        OUTRIGGER_ALLOW_LOOPBACK: "true",
        OUTRIGGER_ORIG_DST: "local",
        ...extra,
      }),
    );
    const loaded = load((variable) => environment.get(variable), FILES);
    if (!loaded.ok) throw new Error(loaded.problems.join("\n"));
    const proxy = await startProxy(loaded.config, { logging: logging(this.#options, name), environment });
    this.#proxies.push(proxy);
    await waitUntilReady(proxy.addrs.admin);
    return proxy;
  }

  async close(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.shutdown("test")));
    await this.controlPlane.close();
    await rm(this.dir, { recursive: true, force: true });
  }
}

async function waitUntilReady(admin: SocketAddr): Promise<void> {
  const url = `http://${formatSocketAddr(admin)}/ready`;
  for (;;) {
    const response = await fetch(url);
    await response.text();
    if (response.ok) return;
  }
}

function logging(options: MeshOptions, who = "control-plane") {
  return createLog({
    filter: options.logFilter ?? "off",
    format: "plain",
    write: (line) => void process.stderr.write(`${who} ${line}`),
  });
}

function addr(text: string): SocketAddr {
  const parsed = parseSocketAddr(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}
