/** Manifests that make the work of `outriggerWith` harder than that of ourselves as we start. */

import { identityOf, NAMESPACE } from "../../test/support/mesh-manifest.ts";

/** Text by file name. A file named as one of the mesh's own takes its place. */
export type Manifests = Readonly<Record<string, string>>;

/** Of the workload behind a pair, and of its Service. */
export const PAIR_SERVICE = "web";
/** Of a hop: its endpoints are outside the mesh. */
export const HOP_SERVICE = "plain";

/** Of a slice, as Kubernetes' own controller fills them. */
const ENDPOINTS_PER_SLICE = 100;

/**
 * A hop that balances over many addresses.
 *
 * @param addresses IPv4 addresses, on all of which the application must listen, such as `loopbackAddresses` gives.
 */
export function manyEndpoints(addresses: readonly string[], port: number): Manifests {
  const slices: string[] = [];
  for (let i = 0; i < addresses.length; i += ENDPOINTS_PER_SLICE) {
    const name = `${HOP_SERVICE}-${slices.length}`;
    slices.push(endpointSlice(name, addresses.slice(i, i + ENDPOINTS_PER_SLICE), port));
  }
  return { "plain.yaml": [hopService(port, ""), ...slices].join("---") };
}

/** @param extra further entries of its metadata. */
export function hopService(port: number, extra: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${HOP_SERVICE}, namespace: ${NAMESPACE}${extra} }
spec:
  ports:
    - { name: app, port: ${port} }
`;
}

export function endpointSlice(name: string, addresses: readonly string[], port: number): string {
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: ${HOP_SERVICE} } }
addressType: IPv4
endpoints:
${addresses.map((address) => `  - { addresses: [${address}] }`).join("\n")}
ports:
  - { name: app, port: ${port} }
`;
}

/** What Gateway API takes in one HTTPRoute. */
const RULES_PER_ROUTE = 16;

/** The HTTPRoute that the bench's requests take among those of `manyRoutes`. */
export const LAST_ROUTE = "every-other";

/**
 * A pair with so many rules on its Service, by turns for a path and for a header, of which the last takes every request
 * that the others leave: all of the bench's.
 */
export function manyRoutes(count: number): Manifests {
  const rules = Array.from({ length: count - 1 }, (_, i) => selectiveMatch(i));
  const routes: string[] = [];
  for (let i = 0; i < rules.length; i += RULES_PER_ROUTE) {
    routes.push(httpRoute(`some-${routes.length}`, SERVICE_PARENT, rules.slice(i, i + RULES_PER_ROUTE)));
  }
  routes.push(httpRoute(LAST_ROUTE, SERVICE_PARENT, [ANY_REQUEST]));
  return { "routes.yaml": routes.join("---") };
}

const SERVICE_PARENT = `{ group: "", kind: Service, name: ${PAIR_SERVICE} }`;
const ANY_REQUEST = "{ path: { type: PathPrefix, value: / } }";

function selectiveMatch(i: number): string {
  return i % 2 === 0
    ? `{ path: { type: PathPrefix, value: /part-${i} } }`
    : `{ headers: [{ name: x-tenant, value: tenant-${i} }] }`;
}

/**
 * A pair in which the inbound side lets nobody in but these clients, and asks for each request: the authorization is that
 * of a route. For HTTP alone, since opaque connections take no route.
 */
export function withPolicy(clients: readonly string[] = [identityOf("client")]): Manifests {
  return {
    "policy.yaml": `
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: { name: ${PAIR_SERVICE}, namespace: ${NAMESPACE} }
spec:
  externalWorkloadSelector: { matchLabels: { app: ${PAIR_SERVICE} } }
  port: app
---
${httpRoute("all-of-web", `{ group: policy.linkerd.io, kind: Server, name: ${PAIR_SERVICE} }`, [ANY_REQUEST])}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: { name: ${PAIR_SERVICE}, namespace: ${NAMESPACE} }
spec:
  targetRef: { group: gateway.networking.k8s.io, kind: HTTPRoute, name: all-of-web }
  requiredAuthenticationRefs:
    - { group: policy.linkerd.io, kind: MeshTLSAuthentication, name: clients-of-web }
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: { name: clients-of-web, namespace: ${NAMESPACE} }
spec:
  identities: [${clients.join(", ")}]
`,
  };
}

/** @param matches one for each rule. */
function httpRoute(name: string, parent: string, matches: readonly string[]): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  parentRefs: [${parent}]
  rules:
${matches.map((match) => `    - { matches: [${match}] }`).join("\n")}
`;
}
