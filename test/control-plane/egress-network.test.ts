import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { findOverlaps } from "../../src/control-plane/index/egress-networks.ts";
import { DEFAULT_SETTINGS } from "../../src/control-plane/index/settings.ts";
import { CALLER, outboundJson, outboundTo } from "./outbound.ts";
import { clusterOf, resourcesOf, statusOf, valueOf, WEB, workload, workloadString } from "./support.ts";

interface NetworkText {
  readonly namespace?: string;
  readonly created?: string;
  readonly networks?: string;
  readonly policy?: "Allow" | "Deny";
  readonly annotations?: string;
}

function network(name: string, text: NetworkText = {}): string {
  const { namespace = "shop", created = "", networks, policy = "Deny", annotations = "" } = text;
  return `---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}", annotations: {${annotations}}}
spec: {trafficPolicy: ${policy}${networks === undefined ? "" : `, networks: [${networks}]`}}
`;
}

function route(kind: string, spec: string, options: { port?: number; namespace?: string } = {}): string {
  const { port = 80, namespace = "shop" } = options;
  const version = kind === "HTTPRoute" || kind === "GRPCRoute" ? "v1" : "v1alpha2";
  return `---
apiVersion: gateway.networking.k8s.io/${version}
kind: ${kind}
metadata: {name: r, namespace: ${namespace}}
spec:
  parentRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet, namespace: shop, port: ${port}}]
  ${spec}
`;
}

const META: JsonValue = {
  resource: {
    group: "policy.linkerd.io",
    kind: "EgressNetwork",
    name: "internet",
    namespace: "shop",
    port: 80,
  },
};
const FORWARD: JsonValue = {
  metadata: META,
  forward: { addr: { ip: { ipv4: 3405803856 }, port: 80 }, weight: 1 },
  queue: { capacity: 100, failfast_timeout: "3s" },
};
const BACKENDS: JsonValue = { first_available: { backends: [{ backend: FORWARD }] } };
const ROOT: JsonValue = [{ path: { prefix: "/" } }];
const ADDRESS = "203.0.113.80:80";

test("outbound 13.1: a network that denies, with a route that allows (control-plane-api 16.8)", () => {
  const allow = route(
    "HTTPRoute",
    "hostnames: [api.example.com]\n  rules: [{matches: [{path: {value: /v1}}]}]",
  ).replace("name: r,", "name: allow-api,");
  const http: JsonValue = {
    routes: [
      {
        metadata: {
          resource: {
            group: "gateway.networking.k8s.io",
            kind: "HTTPRoute",
            name: "allow-api",
            namespace: "shop",
          },
        },
        hosts: [{ exact: "api.example.com" }],
        rules: [{ matches: [{ path: { prefix: "/v1" } }], backends: BACKENDS, timeouts: {} }],
      },
      {
        metadata: { default: "http-egress-deny" },
        rules: [
          {
            matches: ROOT,
            filters: [{ failure_injector: { status: 403, message: "traffic not allowed" } }],
            backends: BACKENDS,
            timeouts: {},
          },
        ],
      },
    ],
  };
  assert.deepEqual(outboundJson(clusterOf(network("internet") + allow), ADDRESS), {
    metadata: META,
    protocol: {
      detect: {
        timeout: "10s",
        opaque: {
          routes: [
            {
              metadata: { default: "tcp-egress-deny" },
              rules: [{ backends: BACKENDS, filters: [{ forbidden: {} }] }],
            },
          ],
        },
        http1: http,
        http2: http,
      },
    },
  });
});

test("outbound 13.1: a network that allows sends everything where it was meant to go, with its own limits", () => {
  const annotations =
    "timeout.linkerd.io/response: 1s, retry.linkerd.io/http: 5xx, balancer.linkerd.io/failure-accrual: consecutive";
  const { protocol } = valueOf(
    outboundTo(clusterOf(network("internet", { policy: "Allow", annotations })), ADDRESS),
  );
  assert.ok(protocol?.kind.case === "detect");
  const { opaque, http1 } = protocol.kind.value;
  assert.deepEqual(opaque?.routes[0]?.metadata?.kind, { case: "default", value: "tcp-egress-allow" });
  assert.deepEqual(opaque.routes[0].rules[0]?.filters, []);
  assert.deepEqual(http1?.routes[0]?.metadata?.kind, { case: "default", value: "http-egress-allow" });
  const [rule] = http1.routes[0].rules;
  assert.deepEqual(rule?.filters, []);
  assert.equal(rule.timeouts?.response?.seconds, 1n);
  assert.equal(rule.retry?.conditions?.statusRanges[0]?.start, 500);
  assert.equal(http1.failureAccrual?.kind.case, "consecutiveFailures");
});

const KINDS: readonly (readonly [kind: string, spec: string, protocol: string, routes: readonly string[]])[] =
  [
    ["GRPCRoute", "rules: [{matches: [{method: {service: a.B}}]}]", "grpc", ["r", "grpc-egress-deny"]],
    ["TLSRoute", "hostnames: [a.example]\n  rules: [{}]", "tls", ["r", "tls-egress-deny"]],
    // Nothing could tell which connections the default speaks for.
    ["TCPRoute", "rules: [{}]", "opaque", ["r"]],
  ];

for (const [kind, spec, protocol, routes] of KINDS) {
  test(`outbound 13.1: a ${kind} of a network, and what becomes of the rest`, () => {
    const policy = valueOf(outboundTo(clusterOf(network("internet") + route(kind, spec)), ADDRESS));
    const found = policy.protocol?.kind;
    assert.equal(found?.case, protocol);
    assert.ok(found.value !== undefined && "routes" in found.value);
    const names = found.value.routes.map(({ metadata }) =>
      metadata?.kind.case === "resource" ? metadata.kind.value.name : metadata?.kind.value,
    );
    assert.deepEqual(names, routes);
  });
}

test("outbound 13.1: gRPC that is not allowed is refused with PermissionDenied", () => {
  const text = network("internet") + route("GRPCRoute", "rules: [{matches: [{method: {service: a.B}}]}]");
  const { protocol } = valueOf(outboundTo(clusterOf(text), ADDRESS));
  assert.ok(protocol?.kind.case === "grpc");
  const filter = protocol.kind.value.routes[1]?.rules[0]?.filters[0]?.kind;
  assert.ok(filter?.case === "failureInjector");
  assert.deepEqual([filter.value.code, filter.value.message], [7, "traffic not allowed"]);
});

const REF = "group: policy.linkerd.io, kind: EgressNetwork";
const BACKEND_CASES: readonly (readonly [what: string, ref: string, expected: JsonValue])[] = [
  [
    "the same network forwards, by its weight",
    `{${REF}, name: internet, weight: 5}`,
    {
      backend: {
        backend: { ...FORWARD, forward: { addr: { ip: { ipv4: 3405803856 }, port: 80 }, weight: 5 } },
      },
      weight: 5,
    },
  ],
  [
    "another network fails",
    `{${REF}, name: other, port: 443}`,
    {
      backend: {
        backend: {
          metadata: {
            resource: {
              group: "policy.linkerd.io",
              kind: "EgressNetwork",
              name: "other",
              namespace: "shop",
              port: 443,
            },
          },
          queue: { capacity: 100, failfast_timeout: "3s" },
        },
        filters: [
          {
            failure_injector: {
              status: 500,
              message: "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent",
            },
          },
        ],
      },
      weight: 1,
    },
  ],
];

for (const [what, ref, expected] of BACKEND_CASES) {
  test(`outbound 13.1: as a backend, ${what}`, () => {
    const other = network("other", { networks: "{cidr: 198.51.100.0/24}" });
    const text = network("internet") + other + route("HTTPRoute", `rules: [{backendRefs: [${ref}]}]`);
    // The answer is the JSON of a policy, which its protocol is a part of.
    const policy = outboundJson(clusterOf(text), ADDRESS) as {
      protocol: { detect: { http1: { routes: [{ rules: [{ backends: JsonValue }] }] } } };
    };
    assert.deepEqual(policy.protocol.detect.http1.routes[0].rules[0].backends, {
      random_available: { backends: [expected] },
    });
  });
}

test("outbound 13.1: a Service as the backend of a network's route is balanced", () => {
  const text =
    WEB + network("internet") + route("HTTPRoute", "rules: [{backendRefs: [{name: web, port: 80}]}]");
  const { protocol } = valueOf(outboundTo(clusterOf(text), ADDRESS));
  assert.ok(protocol?.kind.case === "detect");
  const backends = protocol.kind.value.http1?.routes[0]?.rules[0]?.backends?.kind;
  assert.ok(backends?.case === "randomAvailable");
  assert.equal(backends.value.backends[0]?.backend?.backend?.kind.case, "balancer");
});

function networkOf(text: string, target: string, caller = CALLER): string {
  const found = outboundTo(clusterOf(text), target, caller);
  if (!found.ok) return found.status;
  const meta = found.value.metadata?.kind;
  return meta?.case === "resource" ? meta.value.name : `${meta?.value}`;
}

test("control-plane-api 15.4: which network speaks for an address", () => {
  const wide = network("wide", { networks: "{cidr: 203.0.112.0/22}" });
  const narrow = network("narrow", { networks: "{cidr: 198.51.100.0/24}, {cidr: 203.0.113.0/24}" });
  const punched = network("punched", { networks: "{cidr: 203.0.113.0/24, except: [203.0.113.80]}" });
  const global = network("global", { namespace: "linkerd-egress" });
  const elsewhere = workloadString("ops", "x");
  const table: readonly (readonly [
    why: string,
    text: string,
    target: string,
    expected: string,
    caller?: string,
  ])[] = [
    ["the smallest block", wide + narrow, ADDRESS, "narrow"],
    ["outside of it", wide + narrow, "203.0.112.9:80", "wide"],
    ["an exception", wide + punched, ADDRESS, "wide"],
    ["nobody's address", narrow, "192.0.2.1:80", "egress-fallback"],
    [
      "networks of the caller hide global ones, covering or not",
      narrow + global,
      "192.0.2.1:80",
      "egress-fallback",
    ],
    ["callers without their own have the global ones", narrow + global, "192.0.2.1:80", "global", elsewhere],
    ["others' networks are not theirs", narrow, ADDRESS, "egress-fallback", elsewhere],
    ["without blocks, all that is not the cluster", network("all"), "192.0.2.1:80", "all"],
    ["without blocks, all that is not the cluster, also of IPv6", network("all"), "10.0.0.1:80", "not_found"],
    [
      "the cluster's own, if it is named",
      network("in", { networks: "{cidr: 10.0.0.0/8}" }),
      "10.0.0.1:80",
      "in",
    ],
    ["a service first", WEB + network("in", { networks: "{cidr: 10.0.0.0/8}" }), "10.96.7.20:80", "web"],
  ];
  for (const [why, text, target, expected, caller] of table)
    assert.equal(networkOf(text, target, caller), expected, why);
  const at = (created: string): NetworkText => ({ networks: "{cidr: 203.0.113.0/24}", created });
  const young = network("a", at("2026-03-01T00:00:00Z")) + network("b", at("2026-02-01T00:00:00Z"));
  assert.equal(networkOf(young, ADDRESS), "b", "the older");
  assert.equal(networkOf(network("b", at("")) + network("a", at("")), ADDRESS), "a", "the first by name");
});

test("a workload outside the cluster networks belongs to the cluster, unless a network names its address", () => {
  const text = `${WEB}\n---\n${workload("vm", "203.0.113.80", ["http=80"])}`;
  assert.equal(networkOf(text + network("all"), ADDRESS), "not_found");
  assert.equal(networkOf(text + network("all"), "203.0.113.80:81"), "all");
  assert.equal(networkOf(text + network("net", { networks: "{cidr: 203.0.113.0/24}" }), ADDRESS), "net");
});

test("ports that are opaque are not looked into", () => {
  const kind = (annotations: string, target: string): string | undefined =>
    valueOf(outboundTo(clusterOf(network("internet", { annotations })), target)).protocol?.kind.case;
  assert.equal(kind("", "203.0.113.80:3306"), "opaque");
  assert.equal(kind("config.linkerd.io/opaque-ports: '80'", ADDRESS), "opaque");
  assert.equal(kind("config.linkerd.io/opaque-ports: '80'", "203.0.113.80:3306"), "detect");
});

test("routes of another namespace speak to its own callers, and none speaks for another port", () => {
  const text =
    network("internet", { namespace: "shop" }) + route("TLSRoute", "rules: [{}]", { namespace: "ops" });
  const global = { globalEgressNamespace: "shop" };
  const kind = (target: string, caller: string): string | undefined =>
    valueOf(outboundTo(clusterOf(text, global), target, caller)).protocol?.kind.case;
  assert.equal(kind(ADDRESS, workloadString("ops", "x")), "tls");
  assert.equal(kind(ADDRESS, workloadString("shop", "x")), "detect");
  assert.equal(kind("203.0.113.80:81", workloadString("ops", "x")), "detect");
});

test("a network that reaches into the cluster takes no routes, and a warning says so", () => {
  const networks = "{cidr: 203.0.113.0/24}, {cidr: 10.1.0.0/16}";
  const text = network("internet", { networks }) + route("TLSRoute", "rules: [{}]");
  assert.equal(valueOf(outboundTo(clusterOf(text), ADDRESS)).protocol?.kind.case, "detect");
  const overlaps = (t: string): number => findOverlaps(resourcesOf(t), DEFAULT_SETTINGS).length;
  assert.equal(overlaps(text), 1);
  assert.equal(overlaps(network("internet")), 0);
  assert.equal(overlaps(network("internet", { networks: "{cidr: 0.0.0.0/0}" })), 1);
  assert.equal(statusOf(outboundTo(clusterOf(text), "10.2.0.1:80")), "not_found");
});
