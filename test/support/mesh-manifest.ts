/** Manifests and names of the small meshes that tests and benchmarks run. */

export interface Workload {
  readonly name: string;
  /** Ports of the application by name. */
  readonly ports: Readonly<Record<string, number>>;
  readonly proxyPort: number;
  /** Its bytes are not to be interpreted: peers may not even wait for the first of them. */
  readonly opaque?: boolean;
  /** Further ones of its Service. */
  readonly annotations?: Annotations;
  /** Its identity comes from a SPIRE agent. */
  readonly spire?: SpireWorkload;
}

export interface SpireWorkload {
  /** A `spiffe://` URI. The name that peers ask for is the one of a workload without SPIRE. */
  readonly id: string;
  /** The agent's. */
  readonly socketPath: string;
}

export type Annotations = Readonly<Record<string, string>>;

export const NAMESPACE = "shop";

export function identityOf(name: string): string {
  return `${name}.${NAMESPACE}.serviceaccount.identity.linkerd.cluster.local`;
}

/** Manifests of a Service and an ExternalWorkload for each workload: Service `NAME` has every port under its own number. */
export function meshManifest(workloads: readonly Workload[]): string {
  return workloads
    .map(({ name, ports, proxyPort, opaque, annotations, spire }) => {
      const entries = Object.entries(ports);
      const ofPorts = opaque === true ? opaquePortsOf(Object.values(ports)) : {};
      return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE}${annotated({ ...ofPorts, ...annotations })} }
spec:
  selector: { app: ${name} }
  ports:
${entries.map(([port, number]) => `    - { name: ${port}, port: ${number}, targetPort: ${port} }`).join("\n") || "    []"}
---
apiVersion: workload.linkerd.io/v1beta1
kind: ExternalWorkload
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { app: ${name} }${annotated(ofPorts)} }
spec:
  meshTLS: { identity: "${spire?.id ?? identityOf(name)}", serverName: ${identityOf(name)} }
  workloadIPs: [{ ip: 127.0.0.1 }]
  ports:
${entries.map(([port, number]) => `    - { name: ${port}, port: ${number} }`).join("\n")}
    - { name: linkerd-proxy, port: ${proxyPort} }
`;
    })
    .join("---");
}

/** An entry of `metadata` that ends the protocol detection of these ports. */
export function opaquePorts(ports: readonly number[]): string {
  return annotated(opaquePortsOf(ports));
}

function opaquePortsOf(ports: readonly number[]): Annotations {
  return { "config.linkerd.io/opaque-ports": ports.join(",") };
}

/** An entry that follows others in a `metadata` of one line. */
export function annotated(annotations: Annotations): string {
  return Object.keys(annotations).length === 0 ? "" : `, annotations: ${JSON.stringify(annotations)}`;
}

function identityEnvironment(
  { name, spire }: Workload,
  mesh: { readonly control: string; readonly tokenFile: string; readonly identityDir: string },
): Record<string, string> {
  if (spire !== undefined) {
    return {
      LINKERD2_PROXY_IDENTITY_SPIRE_WORKLOAD_API_ADDRESS: `unix://${spire.socketPath}`,
      LINKERD2_PROXY_IDENTITY_SERVER_ID: spire.id,
      LINKERD2_PROXY_IDENTITY_SERVER_NAME: identityOf(name),
    };
  }
  return {
    LINKERD2_PROXY_IDENTITY_SVC_ADDR: mesh.control,
    LINKERD2_PROXY_IDENTITY_LOCAL_NAME: identityOf(name),
    LINKERD2_PROXY_IDENTITY_DIR: mesh.identityDir,
    LINKERD2_PROXY_IDENTITY_TOKEN_FILE: mesh.tokenFile,
  };
}

/** The variables of a workload's proxy, all of it on loopback. `extra` replaces single ones. */
export function proxyEnvironment(
  workload: Workload,
  mesh: {
    readonly control: string;
    readonly trustAnchorsPem: string;
    readonly tokenFile: string;
    readonly identityDir: string;
  },
  extra: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const { name, proxyPort } = workload;
  return {
    LINKERD2_PROXY_DESTINATION_SVC_ADDR: mesh.control,
    LINKERD2_PROXY_POLICY_SVC_ADDR: mesh.control,
    LINKERD2_PROXY_POLICY_WORKLOAD: JSON.stringify({ ns: NAMESPACE, external_workload: name }),
    LINKERD2_PROXY_DESTINATION_CONTEXT: JSON.stringify({ ns: NAMESPACE }),
    LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS: mesh.trustAnchorsPem,
    ...identityEnvironment(workload, mesh),
    LINKERD2_PROXY_INBOUND_LISTEN_ADDR: `127.0.0.1:${proxyPort}`,
    LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR: "127.0.0.1:0",
    LINKERD2_PROXY_ADMIN_LISTEN_ADDR: "127.0.0.1:0",
    LINKERD2_PROXY_INBOUND_DEFAULT_POLICY: "all-unauthenticated",
    OUTRIGGER_ALLOW_LOOPBACK: "true",
    OUTRIGGER_ORIG_DST: "local",
    ...extra,
  };
}
