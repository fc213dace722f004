/** Which of several resources at one place counts, and what is said of the others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { findInboundPolicy } from "../../src/control-plane/index/inbound-policy.ts";
import { parseManifest } from "../../src/control-plane/resources/parse-manifest.ts";
import { formatProblem } from "../../src/control-plane/resources/problem.ts";
import { readResources } from "../../src/control-plane/resources/read-folder.ts";
import { PortSpecSchema, type Server } from "../../src/proto/gen/inbound_pb.js";
import { clusterOf, valueOf, WEB, workloadString } from "./support.ts";

function inbound(text: string, port = 8080): Server {
  const spec = create(PortSpecSchema, { workload: workloadString("shop", "web-1"), port });
  return valueOf(findInboundPolicy(clusterOf(text), spec));
}

function warningsOf(text: string): readonly string[] {
  const state = readResources(new Map([["test.yaml", { text }]]), "");
  assert.ok(state.ok, state.ok ? "" : state.problems.map(formatProblem).join("\n"));
  return state.warnings.map(formatProblem);
}

function problemsOf(text: string): readonly string[] {
  return parseManifest("test.yaml", text).problems.map(formatProblem);
}

const POLICY = "policy.linkerd.io";

interface Said {
  readonly at?: string;
  readonly namespace?: string;
}

function resource(kind: string, name: string, spec: string, { at, namespace = "shop" }: Said = {}): string {
  const version: Record<string, string> = {
    Server: `${POLICY}/v1beta3`,
    ServerAuthorization: `${POLICY}/v1beta1`,
    HTTPRoute: "gateway.networking.k8s.io/v1",
    GRPCRoute: "gateway.networking.k8s.io/v1",
  };
  const created = at === undefined ? "" : `, creationTimestamp: "${at}"`;
  return `
---
apiVersion: ${version[kind] ?? `${POLICY}/v1alpha1`}
kind: ${kind}
metadata: {name: ${name}, namespace: ${namespace}${created}}
spec: ${spec}
`;
}

const server = (name: string, protocol: string, said?: Said): string =>
  resource("Server", name, `{externalWorkloadSelector: {}, port: http, proxyProtocol: ${protocol}}`, said);
const route = (kind: "HTTPRoute" | "GRPCRoute", name: string, parent: string, said?: Said): string =>
  resource(kind, name, `{parentRefs: [{group: ${POLICY}, kind: Server, ${parent}}]}`, said);

function routeNames({ protocol }: Server): readonly string[] {
  const { kind } = protocol ?? {};
  const routes =
    kind?.case === "detect"
      ? kind.value.httpRoutes
      : kind?.case === "http2" || kind?.case === "grpc"
        ? kind.value.routes
        : [];
  return routes.map(({ metadata }) => {
    const of = metadata?.kind;
    return of?.case === "resource" ? of.value.name : String(of?.value);
  });
}

test("inbound 1.5: a GRPCRoute takes the place of every HTTPRoute at the same Server, which is told", () => {
  const both = route("HTTPRoute", "h", "name: s") + route("GRPCRoute", "g", "name: s");
  assert.deepEqual(routeNames(inbound(WEB + server("s", "gRPC") + both)), ["g"]);
  assert.deepEqual(routeNames(inbound(WEB + server("s", "HTTP/2") + both)), ["default"]);
  assert.deepEqual(routeNames(inbound(WEB + server("s", "HTTP/2") + route("HTTPRoute", "h", "name: s"))), [
    "h",
  ]);
  const [warning, ...others] = warningsOf(WEB + server("s", "gRPC") + both);
  assert.match(
    warning ?? "",
    /spec.parentRefs\[0\]: Server shop\/s has a GRPCRoute at the same port: the route has no effect there$/,
  );
  assert.deepEqual(others, []);
});

test("inbound 6.4: routes of a Server are in the order of their age, then of group and name", () => {
  const text =
    server("s", "unknown") +
    route("HTTPRoute", "b-young", "name: s", { at: "2026-02-01T00:00:00Z" }) +
    route("HTTPRoute", "z-undated", "name: s") +
    route("HTTPRoute", "c-old", "name: s", { at: "2026-01-01T00:00:00Z" }) +
    route("HTTPRoute", "a-undated", "name: s");
  const older = route("HTTPRoute", "0-linkerd", "name: s").replace(
    "gateway.networking.k8s.io/v1",
    `${POLICY}/v1beta3`,
  );
  assert.deepEqual(routeNames(inbound(WEB + text + older)), [
    "c-old",
    "b-young",
    "a-undated",
    "z-undated",
    "0-linkerd",
  ]);
});

test("inbound 6.4: a route of another namespace has no say at a Server, neither by itself nor against others", () => {
  const text =
    WEB +
    server("s", "HTTP/2") +
    route("HTTPRoute", "own", "name: s") +
    route("GRPCRoute", "foreign", "name: s, namespace: shop", { namespace: "other" });
  assert.deepEqual(routeNames(inbound(text)), ["own"]);
  assert.deepEqual(
    warningsOf(text).map((warning) => warning.replace(/^.*?: /, "")),
    [
      "spec.parentRefs[0]: Server shop/s takes routes of its own namespace only: the route has no effect there",
    ],
  );
});

test("inbound 6.4: a route that asks for a part of a Server is refused, since its requests would fall to others", () => {
  const problems = ["name: s, port: 8080", "name: s, sectionName: x"].flatMap((parent) =>
    problemsOf(route("HTTPRoute", "r", parent)),
  );
  assert.deepEqual(
    problems.map((problem) => problem.replace(/^test.yaml:\d+: /, "")),
    [
      "spec.parentRefs[0].port: found a value, expected none: a route belongs to a Server as a whole",
      "spec.parentRefs[0].sectionName: found a value, expected none: a route belongs to a Server as a whole",
    ],
  );
});

test("inbound 1.3: of several Servers that select a port the oldest speaks for it, and the others are told", () => {
  const text =
    WEB +
    server("a", "HTTP/1", { at: "2026-02-01T00:00:00Z" }) +
    server("b", "HTTP/2", { at: "2026-01-01T00:00:00Z" }) +
    resource("Server", "other-port", "{externalWorkloadSelector: {}, port: admin}") +
    resource("Server", "nobody", "{externalWorkloadSelector: {matchLabels: {app: gone}}, port: http}");
  assert.equal(inbound(text).labels["name"], "b");
  const [warning, ...others] = warningsOf(text);
  assert.match(
    warning ?? "",
    /: spec.port: port shop\/web-1:8080 belongs to the older Server b \(test.yaml:\d+\): this one has no effect there$/,
  );
  assert.deepEqual(others, []);
});

test("inbound 6.7: of several rate limits of a Server the oldest counts, one without a date last, and the others are told", () => {
  const limit = (name: string, rps: number, at?: string): string =>
    resource(
      "HTTPLocalRateLimitPolicy",
      name,
      `{targetRef: {group: ${POLICY}, kind: Server, name: s}, total: {requestsPerSecond: ${rps}}}`,
      at === undefined ? {} : { at },
    );
  const text = WEB + server("s", "unknown") + limit("undated", 1) + limit("young", 2, "2026-02-01T00:00:00Z");
  const total = (manifest: string): number | undefined => {
    const { kind } = inbound(manifest).protocol ?? {};
    return kind?.case === "detect" ? kind.value.httpLocalRateLimit?.total?.requestsPerSecond : undefined;
  };
  assert.equal(total(text), 2);
  assert.equal(total(text + limit("old", 3, "2026-01-01T00:00:00Z")), 3);
  assert.match(
    warningsOf(text)[0] ?? "",
    /: spec.targetRef: Server shop\/s belongs to the older HTTPLocalRateLimitPolicy young \(test.yaml:\d+\): this one has no effect there$/,
  );
});

test("inbound 6.5: a policy for an HTTPRoute of the other group is told that it has no effect", () => {
  const text =
    WEB +
    server("s", "unknown") +
    route("HTTPRoute", "r", "name: s") +
    resource(
      "AuthorizationPolicy",
      "p",
      `{targetRef: {group: ${POLICY}, kind: HTTPRoute, name: r}, requiredAuthenticationRefs: []}`,
    );
  assert.match(
    warningsOf(text)[0] ?? "",
    /HTTPRoute \(policy.linkerd.io\) shop\/r does not exist: the policy has no effect$/,
  );
  const { kind } = inbound(text).protocol ?? {};
  assert.deepEqual(kind?.case === "detect" && kind.value.httpRoutes.map((r) => r.authorizations), [[]]);
});

test("inbound 1.4: a workload that is no pod has no probes: nothing is open to them", () => {
  const annotated = WEB.replace(
    "labels: {app: web}}",
    "labels: {app: web}, annotations: {config.linkerd.io/default-inbound-policy: deny}}",
  );
  const { protocol, authorizations } = inbound(annotated);
  assert.ok(protocol?.kind.case === "detect");
  assert.deepEqual(routeNames(inbound(annotated)), ["default"]);
  assert.deepEqual(
    protocol.kind.value.httpRoutes.map((r) => r.authorizations),
    [[]],
  );
  assert.deepEqual(authorizations, []);
});

/** Contradictions that could be read as letting more people in than was meant. */
const REFUSED: readonly (readonly [kind: string, spec: string, problem: RegExp])[] = [
  [
    "ServerAuthorization",
    "{server: {name: s}, client: {unauthenticated: true, meshTLS: {identities: ['a.b']}}}",
    /spec.client: found unauthenticated: true beside meshTLS, expected one of them$/,
  ],
  [
    "ServerAuthorization",
    "{server: {name: s}, client: {meshTLS: {unauthenticatedTLS: true, serviceAccounts: [{name: a}]}}}",
    /spec.client: found unauthenticatedTLS: true beside identities or serviceAccounts, expected one of them$/,
  ],
  [
    "ServerAuthorization",
    "{server: {name: s}, client: {}}",
    /spec.client: found nobody who is let in, expected unauthenticated: true, or meshTLS with clients$/,
  ],
  [
    "ServerAuthorization",
    "{server: {name: s}, client: {networks: [], unauthenticated: true}}",
    /spec.client.networks: found /,
  ],
  [
    "NetworkAuthentication",
    "{networks: [{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}]}",
    /except: found 10.0.0.0\/8, which leaves nothing, expected a part of 10.0.0.0\/8$/,
  ],
  [
    "NetworkAuthentication",
    "{networks: [{cidr: 10.0.0.0/8, except: [11.0.0.0/16]}]}",
    /except: found 11.0.0.0\/16, expected a part of 10.0.0.0\/8$/,
  ],
  ["NetworkAuthentication", "{networks: []}", /spec.networks: found /],
  [
    "HTTPLocalRateLimitPolicy",
    `{targetRef: {group: ${POLICY}, kind: Server, name: s}, total: {requestsPerSecond: 5}, identity: {requestsPerSecond: 6}}`,
    /spec.identity.requestsPerSecond: found 6, expected at most the total of 5, which counts first$/,
  ],
  [
    "HTTPLocalRateLimitPolicy",
    `{targetRef: {group: ${POLICY}, kind: Server, name: s}, total: {requestsPerSecond: 5}, overrides: [{requestsPerSecond: 9, clientRefs: [{kind: ServiceAccount, name: a}]}]}`,
    /spec.overrides\[0\].requestsPerSecond: found 9, expected at most the total of 5, which counts first$/,
  ],
  [
    "HTTPLocalRateLimitPolicy",
    `{targetRef: {group: ${POLICY}, kind: Server, name: s}, identity: {requestsPerSecond: 0}}`,
    /spec.identity.requestsPerSecond: found number 0, expected /,
  ],
];
for (const [kind, spec, problem] of REFUSED) {
  test(`invariant 16: refuses a ${kind} with ${spec}`, () => {
    const problems = problemsOf(resource(kind, "x", spec));
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? "", problem);
  });
}
