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
    "a TLSRoute",
    document(
      `${GATEWAY}/v1alpha2`,
      "TLSRoute",
      `spec: {parentRefs: [{group: ${POLICY}, kind: EgressNetwork, name: e, port: 443}], hostnames: [example.org], rules: [{backendRefs: [{group: ${POLICY}, kind: EgressNetwork, name: e}]}]}`,
    ),
    "TLSRoute",
  ],
  [
    "a TCPRoute",
    document(
      `${GATEWAY}/v1alpha2`,
      "TCPRoute",
      "spec: {rules: [{backendRefs: [{name: a, port: 1, weight: 0}]}]}",
    ),
    "TCPRoute",
  ],
  [
    "an EgressNetwork",
    document(
      `${POLICY}/v1alpha1`,
      "EgressNetwork",
      "spec: {trafficPolicy: Deny, networks: [{cidr: 203.0.113.0/24, except: [203.0.113.7]}]}",
    ),
    "EgressNetwork",
  ],
  [
    "a ServiceProfile",
    document(
      "linkerd.io/v1alpha2",
      "ServiceProfile",
      "spec: {routes: [{name: a, condition: {any: [{method: GET}, {not: {pathRegex: /a}}]}, isRetryable: true, timeout: 1.5s}], opaquePorts: ['80'], dstOverrides: [{authority: web, weight: 0.25}]}",
    ),
    "ServiceProfile",
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
    document(`${GATEWAY}/v1`, "HTTPRoute", "spec:\n  rules:\n    - filters: [{type: Rewrite}]"),
    `shop.yaml:7: spec.rules[0].filters[0].type: found "Rewrite", expected one of RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect, URLRewrite, RequestMirror, CORS, ExternalAuth, ExtensionRef`,
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      `spec:\n  parentRefs: [{group: ${POLICY}, kind: Server, name: s}]\n  rules:\n    - filters: [{type: URLRewrite}]`,
    ),
    "shop.yaml:8: spec.rules[0].filters[0]: found the URLRewrite filter, expected one that the mesh supports, because a Server relies on the route",
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: new}}}]",
    ),
    `shop.yaml:7: spec.rules[0].filters[0].requestRedirect.path.replaceFullPath: found "new", expected a path that begins with "/"`,
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - timeouts: {request: 1s, backendRequest: 2s}",
    ),
    `shop.yaml:7: spec.rules[0].timeouts.backendRequest: found "2s", expected at most the time of the request`,
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      `spec:\n  parentRefs:\n    - {group: ${POLICY}, kind: EgressNetwork, name: internet}`,
    ),
    "shop.yaml:7: spec.parentRefs[0].port: found nothing, expected a port: the parent is an EgressNetwork",
  ],
  [
    document(`${GATEWAY}/v1`, "GRPCRoute", "spec:\n  rules:\n    - filters: [{type: RequestHeaderModifier}]"),
    "shop.yaml:7: spec.rules[0].filters[0]: found no requestHeaderModifier, expected it beside type RequestHeaderModifier",
  ],
  [
    document(
      `${GATEWAY}/v1alpha2`,
      "TLSRoute",
      "spec:\n  hostnames: ['*']\n  rules:\n    - {backendRefs: [{name: a, port: 1}]}\n    - {}",
    ),
    `shop.yaml:6: spec.hostnames[0]: found "*", expected a host name such as "example.org" or "*.example.org"`,
    "shop.yaml:8: spec.rules: found 2 items, expected 1",
  ],
  [
    document(
      `${GATEWAY}/v1alpha2`,
      "TCPRoute",
      "spec:\n  rules:\n    - backendRefs: [{name: a, port: 1, filters: [{}]}]",
    ),
    "shop.yaml:7: spec.rules[0].backendRefs[0].filters[0]: found a filter, expected none: TLSRoute and TCPRoute know no filters",
  ],
  [
    document(`${POLICY}/v1alpha1`, "EgressNetwork", "spec:\n  networks: []\n  trafficPolicy: Audit"),
    `shop.yaml:6: spec.networks: found 0 items, expected at least 1`,
    `shop.yaml:7: spec.trafficPolicy: found "Audit", expected one of Allow, Deny`,
  ],
  [
    document(
      "linkerd.io/v1alpha2",
      "ServiceProfile",
      "spec:\n  routes:\n    - name: a\n      condition: {}\n      timeout: soon\n    - condition: {pathRegex: '('}\n  retryBudget:\n    {retryRatio: -1, minRetriesPerSecond: 1, ttl: 10s}\n  dstOverrides:\n    - {authority: 10.0.0.1:80, weight: -1}",
    ),
    "shop.yaml:8: spec.routes[0].condition: found no condition, expected all, any, method, not or pathRegex",
    `shop.yaml:9: spec.routes[0].timeout: found "soon", expected a duration such as "10s", "1.5s" or "1m30s"`,
    'shop.yaml:10: spec.routes[1].condition.pathRegex: found a regular expression that cannot be used ("(" is not a regular expression: missing closing ): `(`), expected RE2 syntax',
    "shop.yaml:10: spec.routes[1].name: found nothing, expected a value: the field is required",
    "shop.yaml:12: spec.retryBudget.retryRatio: found number -1, expected a number from 0 to 1000",
    `shop.yaml:14: spec.dstOverrides[0].authority: found "10.0.0.1:80", expected a name such as web.shop.svc.cluster.local or web.shop.svc.cluster.local:80`,
    "shop.yaml:14: spec.dstOverrides[0].weight: found number -1, expected a weight such as 1 or 500m, up to 429496",
  ],
  [
    document(
      "linkerd.io/v1alpha2",
      "ServiceProfile",
      "spec:\n  routes:\n    - name: a\n      condition: {method: GET}\n      responseClasses: [{condition: {status: {min: 500, max: 404}}}]",
    ),
    "shop.yaml:9: spec.routes[0].responseClasses[0].condition.status.max: found 404, expected at least the min of 500",
  ],
  [
    document(`${GATEWAY}/v1`, "HTTPRoute", "spec:\n  rules:\n    - filters: [{type: RequestRedirect}]"),
    "shop.yaml:7: spec.rules[0].filters[0]: found no requestRedirect, expected it beside type RequestRedirect",
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - timeouts: {request: 2 seconds}\n      backendRefs: [{name: a, weight: -1, port: 1}]",
    ),
    "shop.yaml:8: spec.rules[0].backendRefs[0].weight: found number -1, expected a whole number from 0 to 1000000",
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

/** What is accepted, as in a cluster, and has no effect or fails a share of the traffic. */
const WARNINGS: readonly (readonly [text: string, ...warnings: string[]])[] = [
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  parentRefs: [{group: '', kind: Service, name: web}]\n  rules:\n    - filters: [{type: URLRewrite, urlRewrite: {hostname: a}}, {type: RequestMirror}]\n      retry: {attempts: 2}",
    ),
    "shop.yaml:8: spec.rules[0].filters[0]: found the URLRewrite filter, which the mesh does not support: the route has no effect",
    "shop.yaml:8: spec.rules[0].filters[1]: found the RequestMirror filter, which the mesh does not support: the route has no effect",
    "shop.yaml:9: spec.rules[0].retry: found a value, which the mesh does not support: the field has no effect",
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "GRPCRoute",
      "spec:\n  parentRefs: [{group: '', kind: Service, name: web}]\n  rules:\n    - filters: [{type: ResponseHeaderModifier}]",
    ),
    "shop.yaml:8: spec.rules[0].filters[0]: found the ResponseHeaderModifier filter, which the mesh does not support: the route has no effect",
  ],
  [
    document(
      `${GATEWAY}/v1`,
      "HTTPRoute",
      "spec:\n  rules:\n    - backendRefs: [{name: a, kind: Pod, port: 1}, {name: b}, {name: c, port: 0}, {name: d, port: 1, filters: [{type: CORS}]}]\n      timeouts: {backendRequest: 1s}",
    ),
    "shop.yaml:7: spec.rules[0].backendRefs[0]: unsupported backend type core Pod: its share of the traffic fails",
    "shop.yaml:7: spec.rules[0].backendRefs[1]: missing port for backend Service b: its share of the traffic fails",
    "shop.yaml:7: spec.rules[0].backendRefs[2]: missing port for backend Service c: its share of the traffic fails",
    "shop.yaml:7: spec.rules[0].backendRefs[3]: unsupported backend filter: CORS filter is not supported: its share of the traffic fails",
    "shop.yaml:8: spec.rules[0].timeouts.backendRequest: found a timeout of one backend, which the mesh does not support: it has no effect",
  ],
  [
    document(
      "linkerd.io/v1alpha2",
      "ServiceProfile",
      "spec:\n  routes: [{name: a, condition: {method: GET}, responseClasses: [{condition: {status: {min: 500}}}]}]\n  retryBudget:\n    {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 2m}",
    ),
    "shop.yaml:6: spec.routes[0].responseClasses[0].condition.status: found one bound, expected min and max: proxies pass this condition over",
    "shop.yaml:8: spec.retryBudget.ttl: found 120000ms, expected 1s to 60s: proxies do not retry with this",
  ],
];

for (const [text, ...warnings] of WARNINGS) {
  test(`warns: ${warnings.map((w) => w.slice(0, 90)).join("; and ")}`, () => {
    const manifest = parseManifest("shop.yaml", text);
    assert.deepEqual(manifest.problems, []);
    assert.deepEqual(manifest.warnings.map(formatProblem).toSorted(), warnings.toSorted());
  });
}

test("ends on a condition that contains itself", () => {
  const text = document(
    "linkerd.io/v1alpha2",
    "ServiceProfile",
    "spec:\n  routes:\n    - name: a\n      condition: &c {all: [*c, *c]}",
  );
  const problems = problemsOf(text);
  assert.equal(problems.length, 1);
  assert.match(problems[0] ?? "", /found more than 256 conditions, expected fewer$/);
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
