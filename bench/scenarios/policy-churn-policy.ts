import { identityOf, NAMESPACE } from "../../test/support/mesh-manifest.ts";

/** Two clients of the mesh, and one that has no proxy and no identity. */
export const CLIENTS = ["anna", "ben", "plain"] as const;
export type ChurnClient = (typeof CLIENTS)[number];

export const PROTOCOLS = ["http1", "http2", "grpc", "tcp"] as const;
export type ChurnProtocol = (typeof PROTOCOLS)[number];

export const SERVICE = "web";

/** Set on each request by the route of a version: tells the application which one routed it. */
export const VERSION_HEADER = "x-version";

/** Where the client without a proxy comes from, by protocol. */
export const PLAIN_ADDRESSES: Readonly<Record<ChurnProtocol, string>> = {
  http1: "127.0.0.11",
  http2: "127.0.0.12",
  grpc: "127.0.0.13",
  tcp: "127.0.0.14",
};
const PLAIN_NETWORK = "127.0.0.8/29";
const NOBODY_NETWORK = "192.0.2.0/24";

/** Versions during which those who may connect over TCP stay the same: long enough to see that tunnels are cut. */
const TCP_PHASE = 40;

/** Whether a version of the policy lets a client in. No two neighbours agree about everybody. */
export function allows(version: number, client: ChurnClient, protocol: ChurnProtocol): boolean {
  const n = protocol === "tcp" ? Math.floor(version / TCP_PHASE) : version;
  switch (client) {
    case "anna":
      return n % 2 === 0;
    case "ben":
      return n % 3 !== 0;
    case "plain":
      return n % 4 < 2;
    default:
      return client satisfies never;
  }
}

/**
 * One version of the policy. What routes (a filter that names the version) and what authorizes (other resources) keep their
 * names from version to version: whoever mixed two of them would let in somebody under a version that does not.
 */
export function policyManifest(version: number): string {
  const parts = PROTOCOLS.flatMap((protocol) => [
    serverOf(protocol),
    ...(protocol === "tcp" ? [] : [routeOf(protocol, version)]),
    ...authorizationsOf(protocol, version),
  ]);
  return parts.join("---");
}

function serverOf(protocol: ChurnProtocol): string {
  const kind = { http1: "HTTP/1", http2: "HTTP/2", grpc: "gRPC", tcp: "opaque" }[protocol];
  return `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: ${protocol}, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: ${SERVICE} } }
  port: ${protocol}
  proxyProtocol: ${kind}
`;
}

function routeOf(protocol: ChurnProtocol, version: number): string {
  const modifier = `{ set: [{ name: ${VERSION_HEADER}, value: "${version}" }] }`;
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: ${routeKind(protocol)}
metadata: { name: ${protocol}, namespace: ${NAMESPACE} }
spec:
  parentRefs: [{ group: policy.linkerd.io, kind: Server, name: ${protocol} }]
  rules:
    - filters: [{ type: RequestHeaderModifier, requestHeaderModifier: ${modifier} }]
`;
}

function routeKind(protocol: ChurnProtocol): string {
  return protocol === "grpc" ? "GRPCRoute" : "HTTPRoute";
}

function authorizationsOf(protocol: ChurnProtocol, version: number): readonly string[] {
  const target =
    protocol === "tcp"
      ? `{ group: policy.linkerd.io, kind: Server, name: tcp }`
      : `{ group: gateway.networking.k8s.io, kind: ${routeKind(protocol)}, name: ${protocol} }`;
  const meshed = CLIENTS.filter((client) => client !== "plain" && allows(version, client, protocol));
  const network = allows(version, "plain", protocol) ? PLAIN_NETWORK : NOBODY_NETWORK;
  const policy = (name: string, kind: string): string => `
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  targetRef: ${target}
  requiredAuthenticationRefs: [{ group: policy.linkerd.io, kind: ${kind}, name: ${name} }]
`;
  return [
    policy(`${protocol}-meshed`, "MeshTLSAuthentication"),
    policy(`${protocol}-plain`, "NetworkAuthentication"),
    `
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: ${protocol}-meshed, namespace: ${NAMESPACE} }
spec: { identities: [${["nobody", ...meshed].map(identityOf).join(", ")}] }
`,
    `
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: { name: ${protocol}-plain, namespace: ${NAMESPACE} }
spec: { networks: [{ cidr: ${network} }] }
`,
  ];
}
