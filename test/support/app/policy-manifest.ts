/** Policy of the scenarios' application: one Server for each of its ports, and who may talk to them. */
import { identityOf, NAMESPACE } from "../mesh-manifest.ts";

const PORTS = ["http1", "http2", "grpc", "tcp"];

/** @param allowed workloads, or SPIFFE ids, that may talk to the application; everybody else is refused. */
export function policyManifest(allowed: readonly string[]): string {
  const servers = PORTS.map(
    (port) => `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: web-${port}, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: web } }
  port: ${port}
  proxyProtocol: unknown
`,
  );
  const identities = allowed
    .map((name) => (name.includes("://") ? JSON.stringify(name) : identityOf(name)))
    .join(", ");
  const authorization = `
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: friends, namespace: ${NAMESPACE} }
spec: { identities: [${identities}] }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: friends-only, namespace: ${NAMESPACE} }
spec:
  targetRef: { kind: Namespace, name: ${NAMESPACE} }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: friends }
`;
  return [...servers, authorization].join("---");
}
