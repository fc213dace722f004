import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifest } from "../../src/control-plane/resources/parse-manifest.ts";
import { formatProblem } from "../../src/control-plane/resources/problem.ts";
import { resourcesOf } from "./support.ts";

/** The problems of a document, one line each. */
function problemsOf(text: string): readonly string[] {
  return parseManifest("shop.yaml", text).problems.map(formatProblem);
}

const POLICY = "policy.linkerd.io";
const GATEWAY = "gateway.networking.k8s.io";

function document(apiVersion: string, kind: string, spec: string): string {
  return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata:\n  name: x\n${spec}`;
}

const GOOD: readonly (readonly [what: string, text: string, kind: string])[] = [
  [
    "a Service",
    document("v1", "Service", "spec: {ports: [{port: 80, appProtocol: http}], clusterIP: 10.0.0.1}"),
    "Service",
  ],
  ["a Namespace", document("v1", "Namespace", ""), "Namespace"],
  [
    "an EndpointSlice",
    document(
      "discovery.k8s.io/v1",
      "EndpointSlice",
      "addressType: IPv6\nendpoints: [{addresses: ['2001:db8::1'], conditions: {ready: false}, targetRef: {kind: Pod, name: p}}]\nports: [{name: http, port: 80}]",
    ),
    "EndpointSlice",
  ],
  [
    "an HTTPRoute of Gateway API",
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec: {hostnames: ['*.example.org'], rules: [{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}], timeouts: {request: 1m30s}}]}",
    ),
    "HTTPRoute",
  ],
  ["an HTTPRoute of Linkerd", document(`${POLICY}/v1beta3`, "HTTPRoute", "spec: {}"), "HTTPRoute"],
  [
    "a GRPCRoute",
    document(
      `${GATEWAY}/v1`,
      "GRPCRoute",
      "spec: {rules: [{matches: [{method: {service: shop.Stock, method: Get}}]}]}",
    ),
    "GRPCRoute",
  ],
  [
    "a Server",
    document(`${POLICY}/v1beta3`, "Server", "spec: {podSelector: {}, port: http, proxyProtocol: gRPC}"),
    "Server",
  ],
  [
    "a ServerAuthorization",
    document(
      `${POLICY}/v1beta1`,
      "ServerAuthorization",
      "spec: {server: {name: s}, client: {networks: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}], meshTLS: {serviceAccounts: [{name: web}]}}}",
    ),
    "ServerAuthorization",
  ],
  [
    "an AuthorizationPolicy",
    document(
      `${POLICY}/v1alpha1`,
      "AuthorizationPolicy",
      `spec: {targetRef: {group: ${POLICY}, kind: Server, name: s}, requiredAuthenticationRefs: [{kind: ServiceAccount, name: web}]}`,
    ),
    "AuthorizationPolicy",
  ],
  [
    "a MeshTLSAuthentication",
    document(
      `${POLICY}/v1alpha1`,
      "MeshTLSAuthentication",
      "spec: {identities: ['*', '*.ops.example', 'spiffe://example.org/web']}",
    ),
    "MeshTLSAuthentication",
  ],
  [
    "a NetworkAuthentication",
    document(`${POLICY}/v1alpha1`, "NetworkAuthentication", "spec: {networks: [{cidr: 192.0.2.7}]}"),
    "NetworkAuthentication",
  ],
  [
    "an HTTPLocalRateLimitPolicy",
    document(
      `${POLICY}/v1alpha1`,
      "HTTPLocalRateLimitPolicy",
      `spec: {targetRef: {group: ${POLICY}, kind: Server, name: s}, total: {requestsPerSecond: 5}}`,
    ),
    "HTTPLocalRateLimitPolicy",
  ],
  [
    "an ExternalWorkload",
    document(
      "workload.linkerd.io/v1beta1",
      "ExternalWorkload",
      "spec: {meshTLS: {identity: 'spiffe://example.org/vm', serverName: vm.example.org}, workloadIPs: [{ip: 192.0.2.1}], ports: [{port: 80}]}",
    ),
    "ExternalWorkload",
  ],
  [
    "an ExternalWorkload in its first spelling",
    document(
      "workload.linkerd.io/v1alpha1",
      "ExternalWorkload",
      "spec: {meshTls: {identity: vm.example.org, serverName: vm.example.org}}",
    ),
    "ExternalWorkload",
  ],
];

for (const [what, text, kind] of GOOD) {
  test(`reads ${what}`, () => {
    assert.deepEqual(
      resourcesOf(text).all.map((r) => [r.kind, r.meta.namespace, r.meta.name]),
      [[kind, "default", "x"]],
    );
  });
}

const MISTAKES: readonly (readonly [text: string, ...problems: string[]])[] = [
  ["- a\n- b", "shop.yaml:1: found a list, expected a resource: a map with apiVersion, kind and metadata"],
  ["kind: Service", "shop.yaml:1: apiVersion: found nothing, expected a value: the field is required"],
  [
    "apiVersion: v1\nkind: Service\nmetadata: {}\nspec: {}",
    "shop.yaml:3: metadata.name: found nothing, expected a value: the field is required",
  ],
  [
    "apiVersion: v1\nkind: Service\nmetadata: {name: Web}\nspec: {}",
    `shop.yaml:3: metadata.name: found "Web", expected a name of lower-case letters, digits, '-' and '.'`,
  ],
  [
    `apiVersion: ${POLICY}/v9\nkind: Server\nmetadata: {name: x}`,
    `shop.yaml:1: apiVersion: found "${POLICY}/v9", expected ${POLICY}/v1beta3 or ${POLICY}/v1beta2 or ${POLICY}/v1beta1 or ${POLICY}/v1alpha1`,
  ],
  [
    document(
      "v1",
      "Service",
      "spec:\n  ports:\n    - port: 70000\n      targetPort: 80.5\n      protcol: TCP\n",
    ),
    "shop.yaml:9: spec.ports[0].protcol: found an unknown field, expected one of name, port, targetPort, protocol, appProtocol, nodePort",
    "shop.yaml:7: spec.ports[0].port: found number 70000, expected a whole number from 1 to 65535",
    "shop.yaml:8: spec.ports[0].targetPort: found number 80.5, expected a port from 1 to 65535 or the name of a port",
  ],
  [
    document("v1", "Service", "  labels: {version: 2}\nspec: {}"),
    "shop.yaml:5: metadata.labels.version: found number 2, expected a string (put it in quotes)",
  ],
  [
    document("v1", "Service", "spec:\n  ports: [{port: 80}, {port: 80, name: a}]"),
    "shop.yaml:6: spec.ports[0]: found a port without a name, expected names when a service has several ports",
    "shop.yaml:6: spec.ports[1]: found port 80 twice, expected ports that differ",
  ],
  [
    document("v1", "Service", "  annotations:\n    config.linkerd.io/opaque-ports: 80-20\nspec: {}"),
    `shop.yaml:6: metadata.annotations[config.linkerd.io/opaque-ports]: found "80-20", expected ports such as "25,3306,8000-8010"`,
  ],
  [
    document("v1", "Service", "  annotations:\n    balancer.linkerd.io/failure-accrual: always\nspec: {}"),
    `shop.yaml:6: metadata.annotations[balancer.linkerd.io/failure-accrual]: found "always", expected "consecutive" or "unified"`,
  ],
  [
    document("v1", "Service", "  annotations:\n    timeout.linkerd.io/request: '5'\nspec: {}"),
    `shop.yaml:6: metadata.annotations[timeout.linkerd.io/request]: found "5", expected a duration such as "10s" or "250ms"`,
  ],
  [
    document("v1", "Service", "  annotations:\n    retry.linkerd.io/http: 6xx\nspec: {}"),
    `shop.yaml:6: metadata.annotations[retry.linkerd.io/http]: found "6xx", expected statuses such as "5xx,gateway-error,429,500-504"`,
  ],
  [
    document("discovery.k8s.io/v1", "EndpointSlice", "addressType: IPv4\nendpoints:\n  - addresses: ['::1']"),
    `shop.yaml:1: endpoints[0].addresses[0]: found "::1", expected an address of type IPv4`,
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - matches:\n        - path: {value: items}\n          method: get\n",
    ),
    `shop.yaml:8: spec.rules[0].matches[0].path.value: found "items", expected a path that begins with "/" and has no query`,
    `shop.yaml:9: spec.rules[0].matches[0].method: found "get", expected one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH`,
  ],
  [
    document(`${GATEWAY}/v1`, "HTTPRoute", "spec:\n  rules:\n    - filters: [{type: URLRewrite}]"),
    `shop.yaml:7: spec.rules[0].filters[0].type: found "URLRewrite", expected one of RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect`,
  ],
  [
    document(`${GATEWAY}/v1`, "HTTPRoute", "spec:\n  rules:\n    - filters: [{type: RequestRedirect}]"),
    "shop.yaml:7: spec.rules[0].filters[0]: found no requestRedirect, expected it beside type RequestRedirect",
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - timeouts: {request: 2 seconds}\n      backendRefs: [{name: a, kind: Pod, port: 1}]",
    ),
    `shop.yaml:8: spec.rules[0].backendRefs[0].kind: found "Pod", expected Service of the core group`,
    `shop.yaml:7: spec.rules[0].timeouts.request: found "2 seconds", expected a duration such as "10s", "500ms" or "1m30s"`,
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "GRPCRoute",
      "spec:\n  rules:\n    - matches: [{method: {type: RegularExpression}}]",
    ),
    `shop.yaml:7: spec.rules[0].matches[0].method.type: found "RegularExpression", expected Exact`,
  ],
  [
    document(`${POLICY}/v1beta3`, "Server", "spec:\n  port: 80\n  proxyProtocol: HTTP"),
    `shop.yaml:7: spec.proxyProtocol: found "HTTP", expected one of unknown, HTTP/1, HTTP/2, gRPC, opaque, TLS`,
  ],
  [
    document(`${POLICY}/v1beta3`, "Server", "spec:\n  port: 80"),
    "shop.yaml:6: spec: found neither podSelector and externalWorkloadSelector, expected exactly one of them",
  ],
  [
    document(
      `${POLICY}/v1beta3`,
      "Server",
      "spec:\n  podSelector: {matchExpressions: [{key: a, operator: In}]}\n  port: 80",
    ),
    "shop.yaml:6: spec.podSelector.matchExpressions[0].values: found 0 values for In, expected at least one",
  ],
  [
    document(`${POLICY}/v1beta1`, "ServerAuthorization", "spec:\n  server: {name: s}\n  client: {}"),
    "shop.yaml:7: spec.client: found nobody who is let in, expected unauthenticated: true, or meshTLS with clients",
  ],
  [
    document(
      `${POLICY}/v1alpha1`,
      "AuthorizationPolicy",
      "spec:\n  targetRef: {kind: Namespace, name: other}\n  requiredAuthenticationRefs: []",
    ),
    `shop.yaml:6: spec.targetRef.name: found "other", expected the policy's own namespace "default"`,
  ],
  [
    document(
      `${POLICY}/v1alpha1`,
      "AuthorizationPolicy",
      `spec:\n  targetRef: {kind: Service, name: web}\n  requiredAuthenticationRefs: [{kind: Secret, name: a}]`,
    ),
    `shop.yaml:6: spec.targetRef: found Service of group "", expected Server (${POLICY}), HTTPRoute (${POLICY} or ${GATEWAY}), GRPCRoute (${GATEWAY}) or Namespace`,
    `shop.yaml:7: spec.requiredAuthenticationRefs[0]: found Secret of group "", expected MeshTLSAuthentication or NetworkAuthentication (${POLICY}) or ServiceAccount`,
  ],
  [
    document(
      `${POLICY}/v1alpha1`,
      "AuthorizationPolicy",
      `spec:\n  targetRef: {kind: Namespace, name: default}\n  requiredAuthenticationRefs: [{kind: ServiceAccount, name: a}, {kind: ServiceAccount, name: b}]`,
    ),
    "shop.yaml:7: spec.requiredAuthenticationRefs: found 2 references to clients, expected one MeshTLSAuthentication or ServiceAccount",
  ],
  [
    document(`${POLICY}/v1alpha1`, "MeshTLSAuthentication", "spec: {identities: ['not a name']}"),
    `shop.yaml:5: spec.identities[0]: found "not a name", expected an identity such as "web.shop.serviceaccount.identity.linkerd.cluster.local", "*", "*.example" or a URI`,
  ],
  [
    document(`${POLICY}/v1alpha1`, "MeshTLSAuthentication", "spec: {}"),
    "shop.yaml:5: spec: found neither identities and identityRefs, expected exactly one of them",
  ],
  [
    document(
      `${POLICY}/v1alpha1`,
      "NetworkAuthentication",
      "spec:\n  networks:\n    - {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}",
    ),
    "shop.yaml:7: spec.networks[0].except: found 11.0.0.0/16, expected a part of 10.0.0.0/8",
  ],
  [
    document(`${POLICY}/v1alpha1`, "NetworkAuthentication", "spec: {networks: []}"),
    "shop.yaml:5: spec.networks: found 0 items, expected at least 1",
  ],
  [
    document("workload.linkerd.io/v1beta1", "ExternalWorkload", "spec:\n  workloadIPs: [{ip: 1.2.3}]"),
    `shop.yaml:6: spec.workloadIPs[0].ip: found "1.2.3", expected an IP address`,
  ],
  [
    document("workload.linkerd.io/v1beta1", "ExternalWorkload", "spec:\n  ports: []"),
    "shop.yaml:6: spec.meshTLS: found nothing, expected identity and serverName",
  ],
];

for (const [text, ...problems] of MISTAKES) {
  test(`reports ${problems.map((p) => p.slice(0, 90)).join("; and ")}`, () => {
    assert.deepEqual(problemsOf(text).toSorted(), problems.toSorted());
  });
}

test("reports a regular expression that is not RE2 and names where it stands", () => {
  const [problem = "", ...more] = problemsOf(
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - matches: [{path: {type: RegularExpression, value: '(?=a)'}}]",
    ),
  );
  assert.match(
    problem,
    /^shop\.yaml:7: spec\.rules\[0\]\.matches\[0\]\.path\.value: found a regular expression that cannot/,
  );
  assert.deepEqual(more, []);
});

test("reports every document of a file, with the line in the file, and reads the good ones", () => {
  const text = `${document("v1", "Service", "spec: {tpye: A}")}\n---\n${document("v1", "Service", "spec: {}")}\n---\n${document("v1", "Service", "spec: {tpye: B}")}`;
  const manifest = parseManifest("shop.yaml", text);
  assert.deepEqual(
    manifest.problems.map(({ line, field }) => [line, field]),
    [
      [5, "spec.tpye"],
      [17, "spec.tpye"],
    ],
  );
  assert.equal(manifest.resources.length, 1);
});

test("reports text that is no YAML with its line", () => {
  const [problem = ""] = problemsOf("apiVersion: v1\nkind: [Service\nmetadata: {}\n");
  assert.match(problem, /^shop\.yaml:[0-9]+: not readable as YAML: /);
});

test("reports a field that stands twice", () => {
  const [problem = ""] = problemsOf(document("v1", "Service", "spec: {}\nspec: {}"));
  assert.match(problem, /^shop\.yaml:6: not readable as YAML: Map keys must be unique/);
});

test("passes over a kind that it does not know, with a warning that names file and kind", () => {
  const manifest = parseManifest("shop.yaml", document("apps/v1", "Deployment", "spec: {replicas: 2}"));
  assert.deepEqual(manifest.problems, []);
  assert.deepEqual(manifest.warnings.map(formatProblem), [
    "shop.yaml:1: Deployment of apps/v1 is not read by this control plane and has no effect",
  ]);
});

test("takes a Service of another API group for an unknown kind", () => {
  const manifest = parseManifest(
    "shop.yaml",
    document("serving.knative.dev/v1", "Service", "spec: {template: {}}"),
  );
  assert.equal(manifest.problems.length, 0);
  assert.equal(manifest.warnings.length, 1);
});

test("warns of a parent that is a gateway", () => {
  const text = document(`${GATEWAY}/v1`, "HTTPRoute", "spec: {parentRefs: [{name: edge}]}");
  const [warning = "", ...more] = parseManifest("shop.yaml", text).warnings.map(formatProblem);
  assert.match(warning, /^shop\.yaml:5: spec\.parentRefs\[0\]: found a parent Gateway/);
  assert.deepEqual(more, []);
});

test("reads what `kubectl get -o yaml` writes: a List whose items carry bookkeeping and status", () => {
  const resources = resourcesOf(`
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata:
    annotations: {}
    creationTimestamp: "2026-01-02T03:04:05Z"
    name: web
    namespace: shop
    resourceVersion: "123"
    uid: 0b7e7b6e-0000-4000-8000-000000000000
  spec:
    clusterIP: 10.96.7.20
    clusterIPs: [10.96.7.20]
    internalTrafficPolicy: Cluster
    ipFamilies: [IPv4]
    ipFamilyPolicy: SingleStack
    ports: [{port: 80, protocol: TCP, targetPort: 8080}]
    selector: {app: web}
    sessionAffinity: None
    type: ClusterIP
  status: {loadBalancer: {}}
`);
  const [service] = resources.ofKind("Service");
  assert.equal(service?.meta.createdAt, "2026-01-02T03:04:05Z");
  assert.deepEqual(
    service?.clusterIps.map((ip) => ip.text),
    ["10.96.7.20"],
  );
});

test("reads JSON, anchors and empty documents", () => {
  assert.equal(
    resourcesOf('{"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{}}').all.length,
    1,
  );
  assert.equal(resourcesOf("---\n---\n# nothing\n").all.length, 0);
  const [service] = resourcesOf(
    document("v1", "Service", "  labels: &l {app: web}\nspec: {selector: *l}"),
  ).ofKind("Service");
  assert.equal(service?.selector?.get("app"), "web");
});

test("ends on an alias that contains itself", () => {
  assert.notDeepEqual(problemsOf(document("v1", "Service", "spec: &s {ports: [*s]}")), []);
});
