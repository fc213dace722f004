import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { ProxyProtocolSchema } from "../../src/proto/gen/outbound_pb.js";
import { backend, first, outboundTo, serviceMeta } from "./outbound.ts";
import { clusterOf, valueOf, workloadString } from "./support.ts";

/** Each feature of routes and annotations as the outbound API says it: manifest in, message out. */

const QUEUE = { capacity: 100, failfast_timeout: "3s" };

function service(
  name: string,
  options: { namespace?: string; annotations?: string; port?: string } = {},
): string {
  const { namespace = "shop", annotations = "", port = "port: 80" } = options;
  const ip = name === "web" ? "clusterIP: 10.96.7.20, " : "";
  return `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: ${namespace}, annotations: {${annotations}}}\nspec: {${ip}ports: [{${port}}]}\n`;
}

interface RouteText {
  readonly kind?: string;
  readonly group?: string;
  readonly name?: string;
  readonly namespace?: string;
  readonly annotations?: string;
  readonly created?: string;
  readonly port?: number;
  readonly hostnames?: string;
  readonly rules?: string;
}

function route(text: RouteText = {}): string {
  const { kind = "HTTPRoute", group = "gateway.networking.k8s.io/v1", name = "r", namespace = "shop" } = text;
  const { annotations = "", created = "", port, hostnames = "", rules } = text;
  return `---
apiVersion: ${group}
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}", annotations: {${annotations}}}
spec:
  parentRefs: [{group: "", kind: Service, name: web, namespace: shop${port === undefined ? "" : `, port: ${port}`}}]
  hostnames: [${hostnames}]
${rules === undefined ? "" : `  rules: ${rules}`}
`;
}

const CALLER = workloadString("shop", "client");

/** The protocol of web:80. */
function protocolOf(text: string, caller = CALLER): JsonObject {
  const policy = valueOf(outboundTo(clusterOf(text), "10.96.7.20:80", caller));
  assert.ok(policy.protocol !== undefined);
  const json = toJson(ProxyProtocolSchema, policy.protocol, { useProtoFieldName: true });
  // A message of this type has an object for its JSON.
  return json as JsonObject;
}

/** A path of keys into JSON; undefined where it leads nowhere. */
function at(json: JsonValue | undefined, ...path: readonly (string | number)[]): JsonValue | undefined {
  let here: unknown = json;
  for (const key of path) here = (here as Record<string | number, unknown> | undefined)?.[key];
  // Parts of JSON are JSON.
  return here as JsonValue | undefined;
}

const httpRule = (text: string, caller = CALLER): JsonValue | undefined =>
  at(protocolOf(text, caller), "detect", "http1", "routes", 0, "rules", 0);
const grpcRule = (text: string): JsonValue | undefined =>
  at(protocolOf(text), "grpc", "routes", 0, "rules", 0);

const WEB = service("web");
const GRPC = { kind: "GRPCRoute" };
const base64 = (text: string): string => Buffer.from(text).toString("base64");

// --- matches, filters, hosts ---

const PARTS: readonly (readonly [
  what: string,
  rule: string,
  path: string,
  expected: JsonValue | undefined,
])[] = [
  ["an exact path", "matches: [{path: {type: Exact, value: /a}}]", "matches", [{ path: { exact: "/a" } }]],
  [
    "a path by regex",
    "matches: [{path: {type: RegularExpression, value: '/a+'}}]",
    "matches",
    [{ path: { regex: "/a+" } }],
  ],
  [
    "no path",
    "matches: [{method: PUT}]",
    "matches",
    [{ path: { prefix: "/" }, method: { registered: "PUT" } }],
  ],
  ["no matches", "filters: []", "matches", [{ path: { prefix: "/" } }]],
  [
    "headers and query parameters",
    "matches: [{headers: [{name: A, value: b}, {type: RegularExpression, name: c, value: 'd+'}], queryParams: [{name: q, value: '1'}, {type: RegularExpression, name: r, value: '2+'}]}]",
    "matches",
    [
      {
        path: { prefix: "/" },
        headers: [
          { name: "a", exact: base64("b") },
          { name: "c", regex: "d+" },
        ],
        query_params: [
          { name: "q", exact: "1" },
          { name: "r", regex: "2+" },
        ],
      },
    ],
  ],
  [
    "header modifiers both ways",
    "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: A, value: b}]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: c, value: d}], remove: [E]}}]",
    "filters",
    [
      { request_header_modifier: { add: {}, set: { headers: [{ name: "a", value: base64("b") }] } } },
      {
        response_header_modifier: {
          add: { headers: [{ name: "c", value: base64("d") }] },
          set: {},
          remove: ["e"],
        },
      },
    ],
  ],
  [
    "a redirect",
    "filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.example, port: 8443, statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]",
    "filters",
    [
      {
        redirect: {
          scheme: { registered: "HTTPS" },
          host: "a.example",
          port: 8443,
          status: 301,
          path: { prefix: "/b" },
        },
      },
    ],
  ],
  ["a request's timeout", "timeouts: {request: 1m30s, backendRequest: 1s}", "timeouts", { request: "90s" }],
  ["a timeout of zero, which is none", "timeouts: {request: 0s}", "timeouts", {}],
];

for (const group of ["gateway.networking.k8s.io/v1", "policy.linkerd.io/v1beta3"]) {
  for (const [what, rule, path, expected] of PARTS) {
    test(`outbound 4: an HTTPRoute of ${group} with ${what}`, () => {
      assert.deepEqual(at(httpRule(WEB + route({ group, rules: `[{${rule}}]` })), path), expected);
    });
  }
}

test("outbound 4: hosts of a route are exact, or suffixes with their labels reversed", () => {
  const hosts = [{ exact: "a.example" }, { suffix: { reverse_labels: ["example", "b"] } }];
  for (const kind of ["HTTPRoute", "GRPCRoute"]) {
    const protocol = protocolOf(WEB + route({ kind, hostnames: "a.example, '*.b.example'" }));
    const routes = kind === "GRPCRoute" ? at(protocol, "grpc") : at(protocol, "detect", "http1");
    assert.deepEqual(at(routes, "routes", 0, "hosts"), hosts);
  }
});

test("outbound 4: a GRPCRoute with methods, headers and a header modifier", () => {
  const rules = `[{matches: [{method: {service: shop.Stock, method: Get}, headers: [{name: a, value: b}]}, {method: {method: Get}}], filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [c]}}]}]`;
  const rule = grpcRule(WEB + route({ ...GRPC, rules }));
  assert.deepEqual(at(rule, "matches"), [
    { rpc: { service: "shop.Stock", method: "Get" }, headers: [{ name: "a", exact: base64("b") }] },
    { rpc: { method: "Get" } },
  ]);
  assert.deepEqual(at(rule, "filters"), [{ request_header_modifier: { add: {}, set: {}, remove: ["c"] } }]);
  assert.deepEqual(at(rule, "backends"), first(backend("web", 80)));
});

test("outbound 4: a route with a filter that the API cannot carry is left out, and the others stay", () => {
  const rewrite = "[{filters: [{type: URLRewrite, urlRewrite: {hostname: a.example}}]}]";
  const routes = (text: string): JsonValue | undefined => at(protocolOf(text), "detect", "http1", "routes");
  assert.equal(at(routes(WEB + route({ rules: rewrite })), 0, "metadata", "default"), "http");
  const both = routes(WEB + route({ rules: rewrite }) + route({ name: "good" }));
  assert.equal(at(both, "length"), 1);
  assert.equal(at(both, 0, "metadata", "resource", "name"), "good");
});

// --- backends ---

/** What a rule's only backend becomes. */
function backendOf(refs: string, more = "", namespace = "shop"): JsonValue | undefined {
  const caller = workloadString(namespace, "x");
  const text = WEB + more + route({ namespace, rules: `[{backendRefs: [${refs}]}]` });
  return at(httpRule(text, caller), "backends", "random_available", "backends");
}

const failing = (metadata: JsonValue, message: string, weight = 1): JsonValue => ({
  backend: {
    backend: { metadata, queue: QUEUE },
    filters: [{ failure_injector: { status: 500, message } }],
  },
  weight,
});

const metaIn = (namespace: string, name: string, port: number): JsonValue => ({
  resource: { group: "core", kind: "Service", name, namespace, port },
});

test("outbound 4: splits by weight over services of several namespaces, without asking for a grant", () => {
  const split = backendOf(
    "{name: web, port: 80, weight: 0}, {name: web, namespace: ops, port: 8080, weight: 3}",
    service("web", { namespace: "ops" }).replace("clusterIP: 10.96.7.20, ", ""),
  );
  assert.deepEqual(at(split, 0), { backend: { backend: backend("web", 80) } });
  assert.deepEqual(at(split, 1, "weight"), 3);
  assert.deepEqual(at(split, 1, "backend", "backend", "metadata"), metaIn("ops", "web", 8080));
  const path = at(split, 1, "backend", "backend", "balancer", "discovery", "dst", "path");
  assert.equal(path, "web.ops.svc.cluster.local:8080");
});

test("outbound 4: a backend without a namespace is beside the parent, also in a route from elsewhere", () => {
  assert.deepEqual(backendOf("{name: web, port: 80}", "", "ops"), [
    { backend: { backend: backend("web", 80) }, weight: 1 },
  ]);
});

test("outbound 4: filters of a backend are its own", () => {
  const filter = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: b}]}}";
  assert.deepEqual(at(backendOf(`{name: web, port: 80, filters: [${filter}]}`), 0, "backend", "filters"), [
    { request_header_modifier: { add: {}, set: { headers: [{ name: "a", value: base64("b") }] } } },
  ]);
});

const INVALID = { default: "invalid" };
const LOST: readonly (readonly [what: string, ref: string, metadata: JsonValue, message: string])[] = [
  ["does not exist", "{name: gone, port: 80}", serviceMeta("gone", 80), "Service not found gone"],
  ["has no port", "{name: web}", INVALID, "missing port for backend Service web"],
  ["has port 0", "{name: web, port: 0}", INVALID, "missing port for backend Service web"],
  ["is of an unknown kind", "{name: web, kind: Pod, port: 1}", INVALID, "unsupported backend type core Pod"],
  [
    "has a filter that the API cannot carry",
    "{name: web, port: 80, filters: [{type: RequestMirror}]}",
    INVALID,
    "unsupported backend filter: RequestMirror filter is not supported",
  ],
  [
    "is an EgressNetwork that does not exist",
    "{group: policy.linkerd.io, kind: EgressNetwork, name: out}",
    { resource: { group: "policy.linkerd.io", kind: "EgressNetwork", name: "out", namespace: "shop" } },
    "EgressNetwork not found out",
  ],
];

for (const [what, ref, metadata, message] of LOST) {
  test(`outbound 4: a backend that ${what} fails its share with 500, the others do not`, () => {
    const split = backendOf(`{name: web, port: 80, weight: 9}, ${ref}`);
    assert.deepEqual(split, [
      { backend: { backend: backend("web", 80) }, weight: 9 },
      failing(metadata, message),
    ]);
  });
}

test("outbound 4: an EgressNetwork is no backend of a Service's route", () => {
  const network =
    "---\napiVersion: policy.linkerd.io/v1alpha1\nkind: EgressNetwork\nmetadata: {name: out, namespace: shop}\nspec: {trafficPolicy: Allow}\n";
  const split = backendOf("{group: policy.linkerd.io, kind: EgressNetwork, name: out, port: 443}", network);
  const metadata = {
    resource: {
      group: "policy.linkerd.io",
      kind: "EgressNetwork",
      name: "out",
      namespace: "shop",
      port: 443,
    },
  };
  assert.deepEqual(split, [failing(metadata, "EgressNetwork backends attach to EgressNetwork parents only")]);
});

test("outbound 4: a backend's filters give way to the failure of one that does not exist; gRPC callers learn Unavailable", () => {
  const filter = "{type: RequestHeaderModifier, requestHeaderModifier: {remove: [a]}}";
  const rules = `[{backendRefs: [{name: gone, port: 80, filters: [${filter}]}]}]`;
  const rule = grpcRule(WEB + route({ ...GRPC, rules }));
  assert.deepEqual(at(rule, "backends", "random_available", "backends", 0, "backend", "filters"), [
    { failure_injector: { code: 14, message: "Service not found gone" } },
  ]);
});

// --- timeouts and retries ---

const BACKOFF = { min_backoff: "0.025s", max_backoff: "0.250s", jitter_ratio: 1 };
const RETRY = { max_request_bytes: 65536, backoff: BACKOFF };

const LIMITS: readonly (readonly [
  what: string,
  service: string,
  route: string,
  rule: string,
  expected: JsonValue,
])[] = [
  ["nothing", "", "", "", { timeouts: {} }],
  [
    "the service's annotations alone",
    "timeout.linkerd.io/request: 2s, timeout.linkerd.io/idle: 1m, retry.linkerd.io/limit: '2'",
    "",
    "",
    {
      requestTimeout: "2s",
      timeouts: { request: "2s", idle: "60s" },
      retry: { ...RETRY, max_retries: 2, conditions: {} },
    },
  ],
  [
    "one timeout of its own, which hides all of the service's",
    "timeout.linkerd.io/request: 2s, timeout.linkerd.io/idle: 1m",
    "timeout.linkerd.io/response: 300ms",
    "",
    { timeouts: { response: "0.300s" } },
  ],
  [
    "an annotation that beats the rule",
    "",
    "timeout.linkerd.io/request: 1s",
    "timeouts: {request: 5s}",
    { requestTimeout: "1s", timeouts: { request: "1s" } },
  ],
  [
    "a rule that hides the service's timeouts",
    "timeout.linkerd.io/response: 1s",
    "",
    "timeouts: {request: 5s}",
    { requestTimeout: "5s", timeouts: { request: "5s" } },
  ],
  [
    "retries of its own, which hide all of the service's",
    "retry.linkerd.io/http: 5xx, retry.linkerd.io/limit: '7', retry.linkerd.io/timeout: 1s",
    "retry.linkerd.io/http: 'gateway-error,429,500-501'",
    "",
    {
      timeouts: {},
      retry: {
        ...RETRY,
        max_retries: 1,
        conditions: {
          status_ranges: [
            { start: 502, end: 504 },
            { start: 429, end: 429 },
            { start: 500, end: 501 },
          ],
        },
      },
    },
  ],
  [
    "a limit of zero, which is none",
    "retry.linkerd.io/http: 5xx",
    "retry.linkerd.io/limit: '0'",
    "",
    {
      timeouts: {},
      retry: { ...RETRY, max_retries: 1, conditions: { status_ranges: [{ start: 500, end: 599 }] } },
    },
  ],
  [
    "a time for each try, and conditions of gRPC that do not count here",
    "",
    "retry.linkerd.io/timeout: 400ms",
    "",
    { timeouts: {}, retry: { ...RETRY, max_retries: 1, conditions: {}, timeout: "0.400s" } },
  ],
];

for (const [what, onService, onRoute, rule, expected] of LIMITS) {
  test(`outbound 8 and 9: a route with ${what}`, () => {
    const text =
      service("web", { annotations: onService }) + route({ annotations: onRoute, rules: `[{${rule}}]` });
    // The rule's match and backends are those of every rule.
    const { matches: _matches, backends: _backends, ...limits } = httpRule(text) as JsonObject;
    assert.deepEqual(limits, expected);
  });
}

test("outbound 8: gRPC conditions of a route, else of its service", () => {
  const onService = {
    annotations: "retry.linkerd.io/grpc: 'cancelled,deadline-exceeded', retry.linkerd.io/limit: '3'",
  };
  const retryOf = (annotations: string): JsonValue | undefined =>
    at(grpcRule(service("web", onService) + route({ ...GRPC, annotations })), "retry");
  assert.deepEqual(retryOf(""), {
    ...RETRY,
    max_retries: 3,
    conditions: { cancelled: true, deadine_exceeded: true },
  });
  assert.deepEqual(retryOf("retry.linkerd.io/grpc: 'internal,resource-exhausted,unavailable'"), {
    ...RETRY,
    max_retries: 1,
    conditions: { internal: true, resource_exhausted: true, unavailable: true },
  });
});

test("outbound 8: the default route of a service has the service's timeouts and retries", () => {
  const text = service("web", {
    annotations: "retry.linkerd.io/http: '503', timeout.linkerd.io/response: 1s",
  });
  const rule = httpRule(text);
  assert.deepEqual(at(rule, "timeouts"), { response: "1s" });
  assert.deepEqual(at(rule, "retry", "conditions"), { status_ranges: [{ start: 503, end: 503 }] });
});

// --- circuit breaking and load ---

const CONSECUTIVE = "balancer.linkerd.io/failure-accrual-consecutive";
const ALPHA = "balancer.alpha.linkerd.io";
const backoff = (min: string, max: string, jitter: number): JsonObject => ({
  min_backoff: min,
  max_backoff: max,
  jitter_ratio: jitter,
});

const ACCRUALS: readonly (readonly [what: string, annotations: string, expected: JsonValue | undefined])[] = [
  ["no mode", `${CONSECUTIVE}-max-failures: '3'`, undefined],
  [
    "the consecutive mode",
    `balancer.linkerd.io/failure-accrual: consecutive, ${CONSECUTIVE}-max-failures: '3', ${CONSECUTIVE}-min-penalty: 2s, ${CONSECUTIVE}-max-penalty: 1m, ${CONSECUTIVE}-jitter-ratio: '.25', ${ALPHA}/failure-accrual-honor-retry-after: 'true'`,
    { consecutive_failures: { max_failures: 3, backoff: backoff("2s", "60s", 0.25) } },
  ],
  [
    "the unified mode and its defaults",
    "balancer.linkerd.io/failure-accrual: unified",
    {
      unified: {
        success_rate_threshold: 0.8,
        decay: "10s",
        min_requests: 5,
        max_consecutive_failures: 7,
        backoff: backoff("1s", "60s", 0.5),
      },
    },
  ],
  [
    "the unified mode and what it can be told",
    `balancer.linkerd.io/failure-accrual: unified, ${ALPHA}/failure-accrual-success-rate-threshold: '0.5', ${ALPHA}/failure-accrual-success-rate-window: 30s, ${ALPHA}/failure-accrual-success-rate-min-requests: '20', ${ALPHA}/failure-accrual-honor-retry-after: 'T'`,
    {
      unified: {
        success_rate_threshold: 0.5,
        decay: "30s",
        min_requests: 20,
        max_consecutive_failures: 7,
        backoff: { ...backoff("1s", "60s", 0.5), respect_retry_after_hint: true },
      },
    },
  ],
];

for (const [what, annotations, expected] of ACCRUALS) {
  test(`outbound 7: circuit breaking with ${what}`, () => {
    const protocol = at(protocolOf(service("web", { annotations })), "detect");
    assert.deepEqual(at(protocol, "http1", "failure_accrual"), expected);
    assert.deepEqual(at(protocol, "http2", "failure_accrual"), expected);
    const grpc = protocolOf(service("web", { annotations }) + route(GRPC));
    assert.deepEqual(at(grpc, "grpc", "failure_accrual"), expected);
  });
}

test("outbound 6: failures count as load in every balancer of requests, and in none of connections", () => {
  const annotations = `${ALPHA}/penalize-failures: '1', ${ALPHA}/load-biaser-penalty: 7s`;
  const penalty = {
    default_rtt: "0.030s",
    decay: "10s",
    penalty: "7s",
    max_retry_after: "300s",
    penalty_decay: "10s",
  };
  const rules = "[{backendRefs: [{name: other, port: 80}]}]";
  const split = httpRule(service("web", { annotations }) + service("other") + route({ rules }));
  const load = ["backend", "balancer", "penalty_peak_ewma"];
  assert.deepEqual(at(split, "backends", "random_available", "backends", 0, "backend", ...load), penalty);
  const own = httpRule(service("web", { annotations }));
  assert.deepEqual(at(own, "backends", "first_available", "backends", 0, ...load), penalty);
  const opaque = protocolOf(
    service("web", { annotations, port: "port: 80, appProtocol: linkerd.io/opaque" }),
  );
  assert.deepEqual(at(opaque, "opaque", "routes", 0, "rules", 0, "backends"), first(backend("web", 80)));
});

// --- which routes ---

function routeNames(text: string, caller = CALLER): readonly unknown[] {
  const routes = at(protocolOf(text, caller), "detect", "http1", "routes");
  assert.ok(Array.isArray(routes));
  return routes.map((r) => at(r, "metadata", "resource", "name") ?? at(r, "metadata", "default"));
}

test("sorts routes by age, then by name; those whose age is unknown come last", () => {
  const text = [
    WEB,
    route({ name: "d" }),
    route({ name: "c", created: "2026-03-01T00:00:00Z" }),
    route({ name: "b", namespace: "ops" }),
    route({ name: "e", created: "2026-02-01T00:00:00Z" }),
  ].join("");
  assert.deepEqual(routeNames(text, workloadString("ops", "x")), ["e", "c", "b", "d"]);
});

test("a route for another port of the service, or for a service without an address, has no effect", () => {
  assert.deepEqual(routeNames(WEB + route({ port: 8080 })), ["http"]);
  assert.deepEqual(routeNames(WEB + route({ port: 80 })), ["r"]);
  const headless = WEB.replace("clusterIP: 10.96.7.20", "clusterIP: None") + route();
  const policy = valueOf(outboundTo(clusterOf(headless), "web.shop.svc.cluster.local:80"));
  assert.ok(policy.protocol?.kind.case === "detect");
  assert.equal(policy.protocol.kind.value.http1?.routes[0]?.metadata?.kind.case, "default");
});

test("a GRPCRoute takes the place of an HTTPRoute at the same port, whatever the port declares", () => {
  const both = (port?: number): string =>
    route(port === undefined ? GRPC : { ...GRPC, port }) + route({ name: "h" });
  assert.deepEqual(Object.keys(protocolOf(WEB + both())), ["grpc"]);
  const declared = service("web", { port: "port: 80, appProtocol: http" });
  const routesAt = (text: string): JsonValue | undefined => at(protocolOf(text), "http1", "routes");
  assert.equal(at(routesAt(declared + both()), 0, "metadata", "default"), "http");
  // One names the port and one does not: no conflict.
  assert.equal(at(routesAt(declared + both(80)), 0, "metadata", "resource", "name"), "h");
});
