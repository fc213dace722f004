import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson, type JsonValue } from "@bufbuild/protobuf";
import { findEndpoints } from "../../src/control-plane/index/destination.ts";
import { findInboundPolicy } from "../../src/control-plane/index/inbound-policy.ts";
import { findProfile } from "../../src/control-plane/index/profile.ts";
import type { Cluster } from "../../src/control-plane/index/cluster.ts";
import { DestinationProfileSchema, WeightedAddrSchema } from "../../src/proto/gen/destination_pb.js";
import { PortSpecSchema, ServerSchema, type Server } from "../../src/proto/gen/inbound_pb.js";
import { backend, first, outboundJson, outboundTo, serviceMeta } from "./outbound.ts";
import { clusterOf, statusOf, valueOf, WEB, WEB_ID, workload, workloadString } from "./support.ts";

function inbound(cluster: Cluster, name: string, port: number): Server {
  return valueOf(
    findInboundPolicy(cluster, create(PortSpecSchema, { workload: workloadString("shop", name), port })),
  );
}

function inboundJson(cluster: Cluster, name: string, port: number): JsonValue {
  return toJson(ServerSchema, inbound(cluster, name, port), { useProtoFieldName: true });
}

function endpointKeys(cluster: Cluster, path: string, token = ""): readonly string[] {
  return [...valueOf(findEndpoints(cluster, path, token)).endpoints.keys()].toSorted();
}

const EVERYWHERE: JsonValue = [{ net: { ip: { ipv4: 0 } } }, { net: { ip: { ipv6: {} } } }];

// --- destination ---

test("finds the workloads that a service selects, with identity, hint and the proxy's inbound port", () => {
  const found = valueOf(findEndpoints(clusterOf(WEB), "web.shop.svc.cluster.local:80", ""));
  assert.deepEqual(found.labels, { service: "web", namespace: "shop" });
  const endpoints = [...found.endpoints.values()].map((e) =>
    toJson(WeightedAddrSchema, e, { useProtoFieldName: true }),
  );
  assert.deepEqual(endpoints, [
    {
      addr: { ip: { ipv4: 0xc0a8010a }, port: 8080 },
      weight: 10000,
      metric_labels: { external_workload: "web-1", zone: "", zone_locality: "unknown" },
      tls_identity: { dns_like_identity: { name: WEB_ID }, server_name: { name: WEB_ID } },
      protocol_hint: { h2: {}, opaque_transport: { inbound_port: 14143 } },
      http2: { keep_alive: { interval: "10s", timeout: "3s", while_idle: true } },
    },
  ]);
});

test("gives a SPIFFE identity as a URI, and port 4143 where no port is named linkerd-proxy", () => {
  const text = WEB.replace(
    `identity: ${WEB_ID}`,
    "identity: 'spiffe://root.linkerd.cluster.local/vm-1'",
  ).replace(", {name: linkerd-proxy, port: 14143}", "");
  const [endpoint] = valueOf(
    findEndpoints(clusterOf(text), "web.shop.svc.cluster.local:80", ""),
  ).endpoints.values();
  assert.deepEqual(endpoint?.tlsIdentity?.strategy.case, "uriLikeIdentity");
  assert.equal(endpoint?.tlsIdentity?.serverName?.name, WEB_ID);
  assert.equal(endpoint?.protocolHint?.opaqueTransport?.inboundPort, 4143);
});

test("leaves out workloads that are not ready or do not list the target port", () => {
  const notReady = `${workload("web-2", "192.168.1.11", ["http=8080"])}status: {conditions: [{type: Ready, status: "False"}]}\n`;
  const otherPort = workload("web-3", "192.168.1.12", ["http=8081"]);
  const cluster = clusterOf([WEB, notReady, otherPort].join("\n---\n"));
  assert.deepEqual(endpointKeys(cluster, "web.shop.svc.cluster.local:80"), ["192.168.1.10:8080"]);
});

test("resolves a named target port for each workload on its own", () => {
  const service = WEB.replace("targetPort: 8080", "targetPort: http");
  const cluster = clusterOf(`${service}\n---\n${workload("web-2", "192.168.1.10", ["http=9080"])}`);
  assert.deepEqual(endpointKeys(cluster, "web.shop.svc.cluster.local:80"), [
    "192.168.1.10:8080",
    "192.168.1.10:9080",
  ]);
});

const SLICES = `
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: None, ports: [{name: sql, port: 5432}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
ports: [{name: sql, port: 15432}]
endpoints:
- {addresses: [192.0.2.1], hostname: db-0, nodeName: n1}
- {addresses: [192.0.2.2], hostname: db-1, nodeName: n2, conditions: {ready: false}}
- {addresses: [192.0.2.3], hostname: db-2, nodeName: n2, targetRef: {kind: ExternalWorkload, name: web-1}}
---
${WEB}`;

test("takes the ready addresses of EndpointSlices, unmeshed unless they refer to a workload", () => {
  const cluster = clusterOf(SLICES);
  const { endpoints } = valueOf(findEndpoints(cluster, "db.shop.svc.cluster.local:5432", ""));
  assert.deepEqual([...endpoints.keys()], ["192.0.2.1:15432", "192.0.2.3:15432"]);
  const [plain, meshed] = [...endpoints.values()];
  assert.equal(plain?.tlsIdentity, undefined);
  assert.equal(plain?.protocolHint, undefined);
  assert.equal(meshed?.tlsIdentity?.serverName?.name, WEB_ID);
});

test("finds one instance of a headless service by its host name", () => {
  assert.deepEqual(endpointKeys(clusterOf(SLICES), "db-0.db.shop.svc.cluster.local:5432"), [
    "192.0.2.1:15432",
  ]);
});

test("takes a port that the service does not define as it is", () => {
  assert.deepEqual(endpointKeys(clusterOf(WEB), "web.shop.svc.cluster.local:9990"), ["192.168.1.10:9990"]);
  assert.deepEqual(endpointKeys(clusterOf(WEB), "web.shop.svc.cluster.local:1"), []);
});

test("keeps traffic on the caller's node where the service asks for it", () => {
  const cluster = clusterOf(
    SLICES.replace("clusterIP: None", "clusterIP: None, internalTrafficPolicy: Local"),
  );
  const path = "db.shop.svc.cluster.local:5432";
  assert.deepEqual(endpointKeys(cluster, path, '{"ns":"shop","nodeName":"n2"}\n'), ["192.0.2.3:15432"]);
  assert.deepEqual(endpointKeys(cluster, path, "ns:shop"), []);
});

test("refuses paths that name no service", () => {
  const cluster = clusterOf(
    `${WEB}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: ext, namespace: shop}\nspec: {type: ExternalName, externalName: example.org}`,
  );
  const statuses = [
    ["10.96.7.20:80", "invalid_argument"],
    ["web.shop.svc.example.org:80", "invalid_argument"],
    ["shop.svc.cluster.local:80", "invalid_argument"],
    ["a.b.web.shop.svc.cluster.local:80", "invalid_argument"],
    ["web.shop.svc.cluster.local:0", "invalid_argument"],
    ["web.shop.svc.cluster.local:x", "invalid_argument"],
    ["ext.shop.svc.cluster.local:80", "invalid_argument"],
    ["gone.shop.svc.cluster.local:80", "not_found"],
    ["web.shop.svc.cluster.local", "ok"],
    ["WEB.shop.svc.cluster.local.:80", "ok"],
  ] as const;
  for (const [path, status] of statuses)
    assert.equal(statusOf(findEndpoints(cluster, path, "")), status, path);
});

// --- profiles ---

function profileJson(cluster: Cluster, path: string): JsonValue {
  return toJson(DestinationProfileSchema, valueOf(findProfile(cluster, path)), { useProtoFieldName: true });
}

const BUDGET: JsonValue = { retry_ratio: 0.2, min_retries_per_second: 10, ttl: "10s" };

test("gives a service the same profile by cluster IP and by name", () => {
  const profile = {
    fully_qualified_name: "web.shop.svc.cluster.local",
    retry_budget: BUDGET,
    parent_ref: serviceMeta("web", 80),
    profile_ref: { resource: { group: "linkerd.io" } },
  };
  assert.deepEqual(profileJson(clusterOf(WEB), "10.96.7.20:80"), profile);
  assert.deepEqual(profileJson(clusterOf(WEB), "web.shop.svc.cluster.local:80"), profile);
});

test("gives an empty profile for a port that the service does not define", () => {
  assert.deepEqual(profileJson(clusterOf(WEB), "10.96.7.20:81"), {});
});

test("tells opaque ports of services by annotation, else by the default list", () => {
  assert.equal(
    valueOf(findProfile(clusterOf(SLICES), "db.shop.svc.cluster.local:5432")).opaqueProtocol,
    true,
  );
  const annotated = WEB.replace(
    "name: web, namespace: shop}",
    "name: web, namespace: shop, annotations: {config.linkerd.io/opaque-ports: '80'}}",
  );
  assert.equal(valueOf(findProfile(clusterOf(annotated), "10.96.7.20:80")).opaqueProtocol, true);
});

test("gives the endpoint of a workload by its address, and a bare endpoint for an unknown one", () => {
  const known = valueOf(findProfile(clusterOf(WEB), "192.168.1.10:8080"));
  assert.equal(known.fullyQualifiedName, "");
  assert.equal(known.endpoint?.tlsIdentity?.serverName?.name, WEB_ID);
  assert.deepEqual(known.endpoint?.metricLabels, { external_workload: "web-1", zone: "", namespace: "shop" });
  assert.deepEqual(profileJson(clusterOf(WEB), "10.9.8.7:8443"), {
    retry_budget: BUDGET,
    endpoint: { addr: { ip: { ipv4: 168364039 }, port: 8443 }, weight: 10000 },
  });
});

test("tells names that lead nowhere, and addresses that two workloads claim", () => {
  const cluster = clusterOf(`${WEB}\n---\n${workload("web-2", "192.168.1.10", ["http=8080"])}`);
  assert.equal(statusOf(findProfile(cluster, "192.168.1.10:8080")), "failed_precondition");
  assert.equal(statusOf(findProfile(cluster, "192.168.1.10:14143")), "ok");
  assert.equal(statusOf(findProfile(cluster, "gone.shop.svc.cluster.local:80")), "unknown");
  assert.equal(statusOf(findProfile(cluster, "x.web.shop.svc.cluster.local:80")), "not_found");
  assert.equal(statusOf(findProfile(cluster, "example.org:80")), "invalid_argument");
});

test("gives an instance of a service its endpoint", () => {
  const profile = valueOf(findProfile(clusterOf(SLICES), "db-0.db.shop.svc.cluster.local:5432"));
  assert.deepEqual(profile.endpoint?.metricLabels, { namespace: "shop" });
  assert.equal(profile.endpoint?.addr?.port, 15432);
});

// --- outbound ---

const DEFAULT_RULE = {
  matches: [{ path: { prefix: "/" } }],
  backends: first(backend("web", 80)),
  timeouts: {},
};

test("answers for a service without routes with its default routes", () => {
  const http = { routes: [{ metadata: { default: "http" }, rules: [DEFAULT_RULE] }] };
  const expected = {
    metadata: serviceMeta("web", 80),
    protocol: {
      detect: {
        timeout: "10s",
        opaque: {
          routes: [{ metadata: { default: "opaq" }, rules: [{ backends: first(backend("web", 80)) }] }],
        },
        http1: http,
        http2: http,
      },
    },
  };
  assert.deepEqual(outboundJson(clusterOf(WEB), "10.96.7.20:80"), expected);
  assert.deepEqual(outboundJson(clusterOf(WEB), "web.shop.svc.cluster.local:80"), expected);
});

test("answers for a name without a service as if the service were still to come", () => {
  assert.equal(statusOf(outboundTo(clusterOf(""), "web.shop.svc.cluster.local:80")), "ok");
});

const CANARY = `
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  annotations: {balancer.linkerd.io/failure-accrual: consecutive}
spec: {clusterIP: 10.96.7.20, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-v2, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web-canary
  namespace: shop
  annotations:
    timeout.linkerd.io/response: 1s
    retry.linkerd.io/http: 5xx
    retry.linkerd.io/limit: "3"
    retry.linkerd.io/timeout: 400ms
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
  rules:
  - matches:
    - {path: {value: /api}, headers: [{name: X-Canary, value: "true"}], method: GET}
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: x-route, value: canary}], remove: [x-debug]}}
    backendRefs: [{name: web-v2, port: 80, weight: 90}, {name: web-v3, port: 80, weight: 10}]
    timeouts: {request: 2s}
  - timeouts: {request: 2s}
`;

test("answers for an HTTPRoute with matches, filters, weights, timeouts, retries and circuit breaking", () => {
  const limits = {
    requestTimeout: "2s",
    timeouts: { request: "2s", response: "1s" },
    retry: {
      max_retries: 3,
      max_request_bytes: 65536,
      conditions: { status_ranges: [{ start: 500, end: 599 }] },
      timeout: "0.400s",
      backoff: { min_backoff: "0.025s", max_backoff: "0.250s", jitter_ratio: 1 },
    },
  };
  const http = {
    routes: [
      {
        metadata: {
          resource: {
            group: "gateway.networking.k8s.io",
            kind: "HTTPRoute",
            name: "web-canary",
            namespace: "shop",
          },
        },
        rules: [
          {
            matches: [
              {
                path: { prefix: "/api" },
                headers: [{ name: "x-canary", exact: "dHJ1ZQ==" }],
                method: { registered: "GET" },
              },
            ],
            filters: [
              {
                request_header_modifier: {
                  add: { headers: [{ name: "x-route", value: "Y2FuYXJ5" }] },
                  set: {},
                  remove: ["x-debug"],
                },
              },
            ],
            backends: {
              random_available: {
                backends: [
                  { backend: { backend: backend("web-v2", 80) }, weight: 90 },
                  {
                    backend: {
                      backend: {
                        metadata: serviceMeta("web-v3", 80),
                        queue: { capacity: 100, failfast_timeout: "3s" },
                      },
                      filters: [{ failure_injector: { status: 500, message: "Service not found web-v3" } }],
                    },
                    weight: 10,
                  },
                ],
              },
            },
            ...limits,
          },
          { matches: [{ path: { prefix: "/" } }], backends: first(backend("web", 80)), ...limits },
        ],
      },
    ],
    failure_accrual: {
      consecutive_failures: {
        max_failures: 7,
        backoff: { min_backoff: "1s", max_backoff: "60s", jitter_ratio: 0.5 },
      },
    },
  };
  assert.deepEqual(outboundJson(clusterOf(CANARY), "10.96.7.20:80"), {
    metadata: serviceMeta("web", 80),
    protocol: {
      detect: {
        timeout: "10s",
        opaque: {
          routes: [{ metadata: { default: "opaq" }, rules: [{ backends: first(backend("web", 80)) }] }],
        },
        http1: http,
        http2: http,
      },
    },
  });
});

test("gives routes of another namespace to callers of that namespace only, oldest first", () => {
  const route = (name: string, namespace: string, created: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}"}
spec: {parentRefs: [{group: "", kind: Service, name: web, namespace: shop}]}
`;
  const cluster = clusterOf(
    [
      WEB,
      route("b", "shop", "2026-02-01T00:00:00Z"),
      route("a", "shop", "2026-03-01T00:00:00Z"),
      route("mine", "ops", "2026-01-01T00:00:00Z"),
    ].join("---"),
  );
  const names = (caller: string): readonly string[] => {
    const { protocol } = valueOf(outboundTo(cluster, "10.96.7.20:80", caller));
    assert.ok(protocol?.kind.case === "detect");
    return (protocol.kind.value.http1?.routes ?? []).map((r) =>
      r.metadata?.kind.case === "resource" ? r.metadata.kind.value.name : "",
    );
  };
  assert.deepEqual(names(workloadString("shop", "x")), ["b", "a"]);
  assert.deepEqual(names(workloadString("ops", "x")), ["mine", "b", "a"]);
});

test("chooses the protocol by appProtocol, opaque ports and routes", () => {
  const grpc = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: g, namespace: shop, annotations: {retry.linkerd.io/grpc: "unavailable,cancelled"}}
spec:
  parentRefs: [{group: core, kind: Service, name: web}]
  rules: [{matches: [{method: {service: shop.Stock}}, {}], backendRefs: [{name: gone, port: 1}]}]
`;
  const kind = (text: string): string | undefined =>
    valueOf(outboundTo(clusterOf(text), "10.96.7.20:80")).protocol?.kind.case;
  const withApp = (app: string): string => WEB.replace("port: 80,", `port: 80, appProtocol: ${app},`);
  assert.equal(kind(WEB), "detect");
  assert.equal(kind(withApp("http")), "http1");
  assert.equal(kind(withApp("kubernetes.io/h2c")), "http2");
  assert.equal(kind(withApp("kubernetes.io/h2c") + grpc), "grpc");
  assert.equal(kind(withApp("linkerd.io/tcp")), "opaque");
  assert.equal(kind(withApp("https")), "opaque");
  assert.equal(kind(WEB + grpc), "grpc");
  const { protocol } = valueOf(outboundTo(clusterOf(WEB + grpc), "10.96.7.20:80"));
  assert.ok(protocol?.kind.case === "grpc");
  const [rule] = protocol.kind.value.routes[0]?.rules ?? [];
  assert.deepEqual(
    rule?.matches.map((m) => m.rpc?.service),
    ["shop.Stock", ""],
  );
  assert.equal(rule?.retry?.conditions?.unavailable, true);
  assert.equal(rule?.retry?.conditions?.internal, false);
  const [lost] = rule?.backends?.kind.case === "randomAvailable" ? rule.backends.kind.value.backends : [];
  assert.deepEqual(lost?.backend?.backend?.kind.case, undefined);
  assert.equal(lost?.backend?.filters[0]?.kind.case, "failureInjector");
});

test("forbids a port that a service does not define", () => {
  assert.deepEqual(outboundJson(clusterOf(WEB), "10.96.7.20:9999"), {
    metadata: serviceMeta("web", 9999),
    protocol: {
      opaque: {
        routes: [
          {
            metadata: { default: "undefined-port" },
            rules: [{ backends: { empty: {} }, filters: [{ forbidden: {} }] }],
          },
        ],
      },
    },
  });
});

test("forwards addresses outside the cluster as they are", () => {
  const meta = { default: "egress-fallback" };
  const forward = first({
    metadata: meta,
    forward: { addr: { ip: { ipv4: 3405803856 }, port: 443 }, weight: 1 },
    queue: { capacity: 100, failfast_timeout: "3s" },
  });
  const http = { routes: [{ metadata: meta, rules: [{ matches: [{}], backends: forward }] }] };
  assert.deepEqual(outboundJson(clusterOf(WEB), "203.0.113.80:443"), {
    metadata: meta,
    protocol: {
      detect: {
        timeout: "10s",
        opaque: { routes: [{ metadata: meta, rules: [{ backends: forward }] }] },
        http1: http,
        http2: http,
      },
    },
  });
});

test("has no policy for unknown addresses of the cluster and for workloads, wherever they live", () => {
  const cluster = clusterOf(`${WEB}\n---\n${workload("vm", "203.0.113.5", ["http=8080"])}`);
  assert.equal(statusOf(outboundTo(cluster, "10.9.8.7:8443")), "not_found");
  assert.equal(statusOf(outboundTo(cluster, "192.168.1.10:8080")), "not_found");
  assert.equal(statusOf(outboundTo(cluster, "203.0.113.5:8080")), "not_found");
  assert.equal(statusOf(outboundTo(cluster, "203.0.113.5:8081")), "ok");
  assert.equal(statusOf(outboundTo(cluster, "example.org:80")), "not_found");
  assert.equal(statusOf(outboundTo(cluster, "10.96.7.20:0")), "invalid_argument");
  assert.equal(statusOf(outboundTo(cluster, "10.96.7.20:80", "{}")), "invalid_argument");
  assert.equal(statusOf(outboundTo(cluster, "10.96.7.20:80", "shop:web-0")), "ok");
});

test("sends the unified breaker and the penalty load where annotations ask for them", () => {
  const annotations = `annotations: {balancer.linkerd.io/failure-accrual: unified, balancer.alpha.linkerd.io/penalize-failures: "true"}`;
  const text = WEB.replace("name: web, namespace: shop}", `name: web, namespace: shop, ${annotations}}`);
  const { protocol } = valueOf(outboundTo(clusterOf(text), "10.96.7.20:80"));
  assert.ok(protocol?.kind.case === "detect");
  const accrual = protocol.kind.value.http1?.failureAccrual?.kind;
  assert.ok(accrual?.case === "unified");
  assert.equal(accrual.value.successRateThreshold, 0.8);
  assert.equal(accrual.value.minRequests, 5);
  const [rule] = protocol.kind.value.opaque?.routes[0]?.rules ?? [];
  const chosen =
    rule?.backends?.kind.case === "firstAvailable" ? rule.backends.kind.value.backends[0] : undefined;
  assert.ok(chosen?.backend?.kind.case === "balancer");
  assert.equal(chosen.backend.kind.value.load.case, "penaltyPeakEwma");
});

// --- inbound ---

const DEFAULT_ROUTE = { metadata: { default: "default" }, rules: [{ matches: [{ path: { prefix: "/" } }] }] };

test("lets everyone in by default", () => {
  assert.deepEqual(inboundJson(clusterOf(WEB), "web-1", 8080), {
    protocol: { detect: { timeout: "10s", http_routes: [DEFAULT_ROUTE] } },
    authorizations: [
      {
        networks: EVERYWHERE,
        authentication: { unauthenticated: {} },
        labels: { group: "", kind: "default", name: "all-unauthenticated" },
        metadata: { default: "all-unauthenticated" },
      },
    ],
    labels: { group: "", kind: "default", name: "all-unauthenticated" },
  });
});

test("admits meshed clients of the cluster networks where cluster-authenticated is the default", () => {
  assert.deepEqual(
    inboundJson(clusterOf(WEB, { defaultInboundPolicy: "cluster-authenticated" }), "web-1", 8080),
    {
      protocol: { detect: { timeout: "10s", http_routes: [DEFAULT_ROUTE] } },
      authorizations: [
        {
          networks: [
            { net: { ip: { ipv4: 167772160 }, prefix_len: 8 } },
            { net: { ip: { ipv4: 1681915904 }, prefix_len: 10 } },
            { net: { ip: { ipv4: 2886729728 }, prefix_len: 12 } },
            { net: { ip: { ipv4: 3232235520 }, prefix_len: 16 } },
            { net: { ip: { ipv6: { first: "18230571291595767808" } }, prefix_len: 8 } },
          ],
          authentication: { meshTLS: { identities: { suffixes: [{}] } } },
          labels: { group: "", kind: "default", name: "cluster-authenticated" },
          metadata: { default: "cluster-authenticated" },
        },
      ],
      labels: { group: "", kind: "default", name: "cluster-authenticated" },
    },
  );
});

test("takes default policy and opaque ports from the workload, else from its namespace", () => {
  const namespace = `
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations: {config.linkerd.io/default-inbound-policy: deny, config.linkerd.io/opaque-ports: "8080"}
`;
  const ofNamespace = inbound(clusterOf(WEB + namespace), "web-1", 8080);
  assert.equal(ofNamespace.labels["name"], "deny");
  assert.deepEqual(ofNamespace.authorizations, []);
  assert.equal(ofNamespace.protocol?.kind.case, "opaque");
  const own = WEB.replace(
    "labels: {app: web}}",
    `labels: {app: web}, annotations: {config.linkerd.io/default-inbound-policy: all-unauthenticated, config.linkerd.io/proxy-require-identity-inbound-ports: "8080"}}`,
  );
  assert.equal(inbound(clusterOf(own + namespace), "web-1", 8080).labels["name"], "all-authenticated");
  assert.equal(inbound(clusterOf(own + namespace), "web-1", 8081).labels["name"], "all-unauthenticated");
});

const GUARDED = `${WEB}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web-http, namespace: shop}
spec: {externalWorkloadSelector: {matchLabels: {app: web}}, port: http, proxyProtocol: HTTP/1}
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: web-read, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: web-http}]
  rules: [{matches: [{path: {value: /items}, method: GET}]}]
---
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: web-health, namespace: shop, creationTimestamp: "2026-01-02T00:00:00Z"}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: Server, name: web-http}]
  rules: [{matches: [{path: {type: Exact, value: /healthz}, method: GET}]}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web-read-clients, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: HTTPRoute, name: web-read}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: clients}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web-health-kubelet, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: HTTPRoute, name: web-health}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: NetworkAuthentication, name: nodes}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: clients, namespace: shop}
spec:
  identityRefs: [{kind: ServiceAccount, name: client}, {kind: Namespace, name: ops}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: NetworkAuthentication
metadata: {name: nodes, namespace: shop}
spec: {networks: [{cidr: 10.0.0.0/8}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: HTTPLocalRateLimitPolicy
metadata: {name: web-rl, namespace: shop}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web-http}
  total: {requestsPerSecond: 1000}
  identity: {requestsPerSecond: 100}
  overrides: [{requestsPerSecond: 300, clientRefs: [{kind: ServiceAccount, name: batch}]}]
`;

test("answers for a Server with routes, authorizations of routes and a rate limit", () => {
  const meta = (kind: string, name: string): JsonValue => ({
    resource: { group: "policy.linkerd.io", kind, name },
  });
  const policy = (name: string): Record<string, JsonValue> => ({
    labels: { group: "policy.linkerd.io", kind: "authorizationpolicy", name },
    metadata: meta("authorizationpolicy", name),
  });
  assert.deepEqual(inboundJson(clusterOf(GUARDED), "web-1", 8080), {
    protocol: {
      http1: {
        routes: [
          {
            metadata: meta("HTTPRoute", "web-read"),
            rules: [{ matches: [{ path: { prefix: "/items" }, method: { registered: "GET" } }] }],
            authorizations: [
              {
                networks: EVERYWHERE,
                authentication: {
                  meshTLS: {
                    identities: {
                      identities: [{ name: "client.shop.serviceaccount.identity.linkerd.cluster.local" }],
                      suffixes: [
                        { parts: ["ops", "serviceaccount", "identity", "linkerd", "cluster", "local"] },
                      ],
                    },
                  },
                },
                ...policy("web-read-clients"),
              },
            ],
          },
          {
            metadata: meta("HTTPRoute", "web-health"),
            rules: [{ matches: [{ path: { exact: "/healthz" }, method: { registered: "GET" } }] }],
            authorizations: [
              {
                networks: [{ net: { ip: { ipv4: 167772160 }, prefix_len: 8 } }],
                authentication: { unauthenticated: {} },
                ...policy("web-health-kubelet"),
              },
            ],
          },
        ],
        local_rate_limit: {
          metadata: meta("HTTPLocalRateLimitPolicy", "web-rl"),
          total: { requestsPerSecond: 1000 },
          identity: { requestsPerSecond: 100 },
          overrides: [
            {
              limit: { requestsPerSecond: 300 },
              clients: { identities: [{ name: "batch.shop.serviceaccount.identity.linkerd.cluster.local" }] },
            },
          ],
        },
      },
    },
    labels: { group: "policy.linkerd.io", kind: "server", name: "web-http" },
  });
});

test("lets nobody in through a policy whose authentication does not exist", () => {
  const { protocol } = inbound(clusterOf(GUARDED.replace("name: clients}", "name: lost}")), "web-1", 8080);
  assert.ok(protocol?.kind.case === "http1");
  assert.deepEqual(protocol.kind.value.routes[0]?.authorizations, []);
});

test("collects the authorizations of a Server from every kind that can give one", () => {
  const cluster = clusterOf(`${WEB}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: s, namespace: shop, labels: {tier: front}}
spec: {externalWorkloadSelector: {}, port: 8080, proxyProtocol: opaque, accessPolicy: audit}
---
apiVersion: policy.linkerd.io/v1beta1
kind: ServerAuthorization
metadata: {name: by-name, namespace: shop}
spec: {server: {name: s}, client: {meshTLS: {unauthenticatedTLS: true}}}
---
apiVersion: policy.linkerd.io/v1beta1
kind: ServerAuthorization
metadata: {name: by-label, namespace: shop}
spec: {server: {selector: {matchLabels: {tier: front}}}, client: {networks: [{cidr: 192.0.2.0/24, except: [192.0.2.1/32]}], unauthenticated: true}}
---
apiVersion: policy.linkerd.io/v1beta1
kind: ServerAuthorization
metadata: {name: other, namespace: shop}
spec: {server: {name: another}, client: {unauthenticated: true}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: whole-namespace, namespace: shop}
spec: {targetRef: {kind: Namespace, name: shop}, requiredAuthenticationRefs: [{kind: ServiceAccount, name: web, namespace: ops}]}
`);
  const server = inbound(cluster, "web-1", 8080);
  assert.equal(server.protocol?.kind.case, "opaque");
  assert.deepEqual(
    server.authorizations.map((a) => [a.labels["kind"], a.labels["name"], a.networks.length]),
    [
      ["serverauthorization", "by-label", 1],
      // Without networks of its own it means the cluster's.
      ["serverauthorization", "by-name", 5],
      ["authorizationpolicy", "whole-namespace", 2],
      ["default", "audit", 2],
    ],
  );
  assert.equal(server.authorizations[0]?.networks[0]?.except.length, 1);
  // An opaque Server makes its port opaque for clients too.
  const [endpoint] = valueOf(findEndpoints(cluster, "web.shop.svc.cluster.local:80", "")).endpoints.values();
  assert.equal(endpoint?.protocolHint?.protocol.case, "opaque");
});

test("lets the oldest of several Servers speak for a port", () => {
  const server = (name: string, created: string): string => `
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: ${name}, namespace: shop, creationTimestamp: "${created}"}
spec: {externalWorkloadSelector: {}, port: 8080}
`;
  const text = `${WEB}${server("a", "2026-02-01T00:00:00Z")}${server("b", "2026-01-01T00:00:00Z")}`;
  assert.equal(inbound(clusterOf(text), "web-1", 8080).labels["name"], "b");
});

test("serves a gRPC Server with GRPCRoutes, or a default route that names no method", () => {
  const server = `${WEB}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: s, namespace: shop}
spec: {externalWorkloadSelector: {}, port: 8080, proxyProtocol: gRPC}
`;
  assert.deepEqual(inboundJson(clusterOf(server), "web-1", 8080), {
    protocol: {
      grpc: { routes: [{ metadata: { default: "default" }, rules: [{ matches: [{ rpc: {} }] }] }] },
    },
    labels: { group: "policy.linkerd.io", kind: "server", name: "s" },
  });
});

test("knows no policy for workloads that it does not know, and refuses what is no workload or port", () => {
  const status = (workloadText: string, port: number): string =>
    statusOf(findInboundPolicy(clusterOf(WEB), create(PortSpecSchema, { workload: workloadText, port })));
  assert.equal(status(workloadString("shop", "gone"), 80), "not_found");
  assert.equal(status('{"ns":"shop","pod":"web-1"}', 80), "not_found");
  assert.equal(status("shop:web-1", 80), "not_found");
  assert.equal(status("web-1", 80), "invalid_argument");
  assert.equal(status("{", 80), "invalid_argument");
  assert.equal(status(workloadString("shop", "web-1"), 0), "invalid_argument");
  assert.equal(status(workloadString("shop", "web-1"), 65536), "invalid_argument");
});
