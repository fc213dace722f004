/** Manifests that make the work of `outriggerWith` harder than that of ourselves as we start. */

import { annotated, identityOf, NAMESPACE, type Annotations } from "../../test/support/mesh-manifest.ts";

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
    slices.push(endpointSlice(HOP_SERVICE, name, addresses.slice(i, i + ENDPOINTS_PER_SLICE), port));
  }
  return { "plain.yaml": [service(HOP_SERVICE, port, ""), ...slices].join("---") };
}

/** A Service with endpoints outside the mesh. @param extra further entries of its metadata. */
export function plainService(name: string, port: number, addresses: readonly string[], extra = ""): string {
  return [service(name, port, extra), endpointSlice(name, name, addresses, port)].join("---");
}

function service(name: string, port: number, extra: string): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${NAMESPACE}${extra} }
spec:
  ports:
    - { name: app, port: ${port} }
`;
}

function endpointSlice(ofService: string, name: string, addresses: readonly string[], port: number): string {
  return `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: ${NAMESPACE}, labels: { kubernetes.io/service-name: ${ofService} } }
addressType: IPv4
endpoints:
${addresses.map((address) => `  - { addresses: [${address}] }`).join("\n")}
ports:
  - { name: app, port: ${port} }
`;
}

/** What Gateway API takes in one HTTPRoute. */
const RULES_PER_ROUTE = 16;

/** The HTTPRoute that the bench's requests take among those of `manyRoutes` and `routesWithPolicy`. */
export const LAST_ROUTE = "every-other";

/**
 * A pair with so many rules on its Service, by turns for a path and for a header, of which the last takes every request
 * that the others leave: all of the bench's.
 */
export function manyRoutes(count: number): Manifests {
  const rules = Array.from({ length: count - 1 }, (_, i) => selectiveMatch(i));
  const routes: string[] = [];
  for (let i = 0; i < rules.length; i += RULES_PER_ROUTE) {
    const some = rules.slice(i, i + RULES_PER_ROUTE);
    routes.push(httpRoute(`some-${routes.length}`, serviceParent(PAIR_SERVICE), some));
  }
  routes.push(httpRoute(LAST_ROUTE, serviceParent(PAIR_SERVICE), [ANY_REQUEST]));
  return { "routes.yaml": routes.join("---") };
}

/**
 * A pair with so many HTTPRoutes on its Service, each with retries and timeouts, of which the last takes all of the bench's
 * requests. `BREAKER` belongs to it, as an annotation of the Service.
 *
 * @param requestTimeout for a request with all its attempts: `10s`. A response that goes well is never so late.
 */
export function routesWithPolicy(count: number, requestTimeout = "10s"): Manifests {
  const annotations = {
    "retry.linkerd.io/http": "5xx",
    "retry.linkerd.io/limit": "2",
    "retry.linkerd.io/timeout": "5s",
    "timeout.linkerd.io/request": requestTimeout,
    "timeout.linkerd.io/idle": "10s",
  };
  const route = (name: string, match: string): string =>
    httpRoute(name, serviceParent(PAIR_SERVICE), [match], { annotations });
  const others = Array.from({ length: count - 1 }, (_, i) => route(`some-${i}`, selectiveMatch(i)));
  return { "routes.yaml": [...others, route(LAST_ROUTE, ANY_REQUEST)].join("---") };
}

/** Annotations of a Service: an endpoint that fails seven times in a row gets no requests for a while. */
export const BREAKER: Annotations = { "balancer.linkerd.io/failure-accrual": "consecutive" };

/** A reference to a Service that a route belongs to. */
export function serviceParent(name: string): string {
  return `{ group: "", kind: Service, name: ${name} }`;
}

export const ANY_REQUEST = "{ path: { type: PathPrefix, value: / } }";

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

export interface HttpRouteOptions {
  readonly annotations?: Annotations;
  /** Further entries of each rule: `backendRefs: [...]`. */
  readonly ofRules?: readonly string[];
}

/** @param matches one for each rule. */
export function httpRoute(
  name: string,
  parent: string,
  matches: readonly string[],
  { annotations = {}, ofRules = [] }: HttpRouteOptions = {},
): string {
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: ${NAMESPACE}${annotated(annotations)} }
spec:
  parentRefs: [${parent}]
  rules:
${matches.map((match) => `    - { ${[`matches: [${match}]`, ...ofRules].join(", ")} }`).join("\n")}
`;
}
