/**
 * Two clusters that trust each other, as `linkerd multicluster` links them: the client's cluster has a mirror of each
 * service of the other, whose endpoints are the other's gateway.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect, type TLSSocket } from "node:tls";
import type { RunningProxy } from "../../src/proxy.ts";
import { TRANSPORT_HEADER_ALPN } from "../../src/wire/transport-header.ts";
import { TestCa, type TestLeaf } from "../support/certs.ts";
import { identityOf, NAMESPACE } from "../support/mesh-manifest.ts";
import { Mesh } from "../support/mesh.ts";
import { freePort } from "../support/process-mesh.ts";

export const CLUSTER = "east";
export const GATEWAY = identityOf("gateway");

export interface TwoClustersOptions {
  /** Ports of the application in the other cluster by name; each is a service of that name there. */
  readonly ports: Readonly<Record<string, number>>;
  /** Names of those that are declared opaque, in both clusters. */
  readonly opaque?: readonly string[];
  readonly gateway?: Readonly<Record<string, string>>;
  /** Further manifests of the gateway's cluster. */
  readonly manifests?: Readonly<Record<string, string>>;
  /** Whether the gateway lets in every meshed client, as an installation does. */
  readonly open?: boolean;
}

export class TwoClusters {
  readonly client: RunningProxy;
  readonly gateway: RunningProxy;
  readonly server: RunningProxy;
  /** The cluster of gateway and server. */
  readonly east: Mesh;
  readonly #west: Mesh;
  readonly #ca: TestCa;
  readonly #issuer: TestCa;
  readonly #dir: string;
  readonly #forwards: ReadonlyMap<string, number>;

  private constructor(parts: {
    proxies: { client: RunningProxy; gateway: RunningProxy; server: RunningProxy };
    west: Mesh;
    east: Mesh;
    ca: TestCa;
    issuer: TestCa;
    dir: string;
    forwards: ReadonlyMap<string, number>;
  }) {
    ({ client: this.client, gateway: this.gateway, server: this.server } = parts.proxies);
    this.#west = parts.west;
    this.east = parts.east;
    this.#ca = parts.ca;
    this.#issuer = parts.issuer;
    this.#dir = parts.dir;
    this.#forwards = parts.forwards;
  }

  static async start(options: TwoClustersOptions): Promise<TwoClusters> {
    const { ports, opaque = [], manifests = {}, open = true } = options;
    const ca = TestCa.create();
    const issuer = ca.intermediate();
    const dir = await mkdtemp(join(tmpdir(), "outrigger-ca-"));
    await writeFile(join(dir, "ca.crt"), ca.certPem);
    await writeFile(join(dir, "issuer.crt"), issuer.certPem);
    await writeFile(join(dir, "issuer.key"), issuer.key.export({ type: "pkcs8", format: "pem" }));
    const gatewayPort = await freePort();
    const names = Object.keys(ports);
    const east = await Mesh.start({
      caDir: dir,
      workloads: [
        { name: "web", ports, proxyPort: await freePort() },
        { name: "gateway", ports: {}, proxyPort: gatewayPort },
      ],
      manifests: {
        "services.yaml": names
          .map((name) => service(name, ports[name] ?? 0, opaque.includes(name), "web"))
          .join("---"),
        ...(open ? { "gateway.yaml": GATEWAY_POLICY } : {}),
        ...manifests,
      },
    });
    const west = await Mesh.start({
      caDir: dir,
      workloads: [{ name: "client", ports: {}, proxyPort: await freePort() }],
      manifests: {
        "mirrors.yaml": names
          .map((name) => mirror(name, ports[name] ?? 0, opaque.includes(name), gatewayPort))
          .join("---"),
      },
    });
    const forwards = new Map<string, number>();
    for (const name of names) forwards.set(name, await freePort());
    const forward = names.map(
      (name) =>
        `127.0.0.1:${forwards.get(name)}=${name}-${CLUSTER}.${NAMESPACE}.svc.cluster.local:${ports[name]}`,
    );
    const watched = Object.values(ports).join(",");
    const [server, gateway, client] = await Promise.all([
      east.proxy("web", { ...QUICK, LINKERD2_PROXY_INBOUND_PORTS: watched }),
      east.proxy("gateway", {
        ...QUICK,
        LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES: "svc.cluster.local.",
        LINKERD2_PROXY_INBOUND_DEFAULT_POLICY: "deny",
        ...options.gateway,
      }),
      west.proxy("client", { ...QUICK, OUTRIGGER_FORWARD: forward.join(",") }),
    ]);
    return new TwoClusters({ proxies: { client, gateway, server }, west, east, ca, issuer, dir, forwards });
  }

  /** The port where the application of the first cluster reaches a service of the other one. */
  forward(name: string): number {
    const port = this.#forwards.get(name);
    if (port === undefined) throw new Error(`no forward to ${name}`);
    return port;
  }

  /** A certificate that both clusters trust. */
  certify(id: string): TestLeaf {
    return this.#issuer.issue({ id });
  }

  get trustAnchorsPem(): string {
    return this.#ca.certPem;
  }

  /** Connects to a proxy as a peer of its own making, which may send what no proxy would. */
  dial(
    to: RunningProxy,
    serverName: string,
    leaf: TestLeaf | undefined,
    alpn = [TRANSPORT_HEADER_ALPN],
  ): TLSSocket {
    const socket = tlsConnect({
      host: "127.0.0.1",
      port: to.addrs.inbound.port,
      servername: serverName,
      ca: this.#ca.certPem,
      checkServerIdentity: () => undefined,
      minVersion: "TLSv1.3",
      ...(alpn.length === 0 ? {} : { ALPNProtocols: alpn }),
      ...(leaf === undefined ? {} : { key: leaf.keyPem, cert: leaf.chainPem }),
    });
    socket.on("error", () => {});
    return socket;
  }

  async close(): Promise<void> {
    await Promise.all([this.#west.close(), this.east.close()]);
    await rm(this.#dir, { recursive: true, force: true });
  }
}

/** Nothing in a test should wait as long as it may in a cluster. */
const QUICK = {
  LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT: "200ms",
  LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT: "200ms",
  LINKERD2_PROXY_SHUTDOWN_GRACE_PERIOD: "1s",
};

/** What the chart of linkerd-multicluster installs for its gateway. */
const GATEWAY_POLICY = `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: linkerd-gateway, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: gateway } }
  port: linkerd-proxy
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: linkerd-gateway, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: policy.linkerd.io, kind: Server, name: linkerd-gateway }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: any-meshed }
    - { group: policy.linkerd.io, kind: NetworkAuthentication, name: source-cluster }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: any-meshed, namespace: ${NAMESPACE} }
spec: { identities: ["*"] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: { name: source-cluster, namespace: ${NAMESPACE} }
spec: { networks: [{ cidr: 0.0.0.0/0 }, { cidr: "::/0" }] }
`;

function service(name: string, port: number, opaque: boolean, app: string): string {
  const annotations = opaque ? `, annotations: { config.linkerd.io/opaque-ports: "${port}" }` : "";
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE}${annotations} }
spec:
  selector: { app: ${app} }
  ports: [{ name: ${name}, port: ${port}, targetPort: ${name} }]
`;
}

/** What the service mirror writes into the client's cluster for an exported service. */
function mirror(name: string, port: number, opaque: boolean, gatewayPort: number): string {
  const annotations = opaque ? `\n    config.linkerd.io/opaque-ports: "${port}"` : "";
  return `
apiVersion: v1
kind: Service
metadata:
  name: ${name}-${CLUSTER}
  namespace: ${NAMESPACE}
  labels:
    mirror.linkerd.io/cluster-name: ${CLUSTER}
    mirror.linkerd.io/mirrored-service: "true"
  annotations:
    mirror.linkerd.io/remote-svc-fq-name: ${name}.${NAMESPACE}.svc.cluster.local${annotations}
spec:
  ports: [{ name: ${name}, port: ${port} }]
---
apiVersion: v1
kind: Endpoints
metadata:
  name: ${name}-${CLUSTER}
  namespace: ${NAMESPACE}
  labels:
    mirror.linkerd.io/cluster-name: ${CLUSTER}
    mirror.linkerd.io/mirrored-service: "true"
  annotations:
    mirror.linkerd.io/remote-svc-fq-name: ${name}.${NAMESPACE}.svc.cluster.local
    mirror.linkerd.io/remote-gateway-identity: ${GATEWAY}
subsets:
  - addresses: [{ ip: 127.0.0.1 }]
    ports: [{ name: ${name}, port: ${gatewayPort} }]
`;
}
