import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { tcpAddress } from "../../src/control-plane/index/messages.ts";
import { Destination } from "../../src/proto/gen/destination_pb.js";
import { OutboundPolicies, type OutboundPolicy, type TrafficSpec } from "../../src/proto/gen/outbound_pb.js";
import { codeOf, type TestStream } from "./grpc-client.ts";
import { ipOf, start, type Mesh } from "./running.ts";
import { WEB, workloadString } from "./support.ts";

/** Manifests of each kind of the outbound side, as they change, over the real API. */

function to(
  ip: string,
  port: number,
): Pick<TrafficSpec, "sourceWorkload"> & { target: { case: "addr"; value: ReturnType<typeof tcpAddress> } } {
  return {
    sourceWorkload: workloadString("shop", "x"),
    target: { case: "addr", value: tcpAddress(ipOf(ip), port) },
  };
}

function watch({ client }: Mesh, ip: string, port: number): TestStream<OutboundPolicy> {
  return client.stream(OutboundPolicies.method.watch, to(ip, port));
}

function parentOf({ metadata }: OutboundPolicy): string | undefined {
  return metadata?.kind.case === "resource" ? metadata.kind.value.name : metadata?.kind.value;
}

/** The mesh of the tests, and a service that nobody asks about. */
function meshText(declared = ""): string {
  return `${WEB}---\napiVersion: v1\nkind: Service\nmetadata: {name: elsewhere, namespace: ops}\nspec: {clusterIP: 10.96.9.9, ports: [{port: 1${declared}}]}\n`;
}

/** Changes what nobody asks about, and waits until every stream that was open before has heard of it. */
async function reloadElsewhere(mesh: Mesh): Promise<void> {
  const witness = watch(mesh, "10.96.9.9", 1);
  await witness.next();
  await mesh.put("mesh.yaml", meshText(", appProtocol: http"));
  assert.equal((await witness.next()).protocol?.kind.case, "http1");
}

const NETWORK = (policy: string): string => `apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: internet, namespace: shop}
spec: {trafficPolicy: ${policy}, networks: [{cidr: 203.0.113.0/24}]}
`;

/** Waits until what is asked afresh comes from `parent`. */
async function untilParent(mesh: Mesh, ip: string, parent: string): Promise<void> {
  for (;;) {
    const stream = watch(mesh, ip, 443);
    const found = parentOf(await stream.next());
    if (found === parent) return stream.cancel();
    await stream.status();
  }
}

test("an EgressNetwork that comes, changes and goes: changes reach its streams, the rest makes clients ask again", async (t) => {
  const mesh = await start(t, meshText());
  const before = watch(mesh, "203.0.113.9", 443);
  const outside = watch(mesh, "192.0.2.9", 443);
  assert.equal(parentOf(await before.next()), "egress-fallback");
  assert.equal(parentOf(await outside.next()), "egress-fallback");
  await mesh.put("egress.yaml", NETWORK("Deny"));
  assert.equal(await before.status(), status.OK);

  const stream = watch(mesh, "203.0.113.9", 443);
  const denied = await stream.next();
  assert.equal(parentOf(denied), "internet");
  assert.ok(denied.protocol?.kind.case === "detect");
  assert.equal(denied.protocol.kind.value.opaque?.routes[0]?.rules[0]?.filters[0]?.kind.case, "forbidden");

  await mesh.put("egress.yaml", NETWORK("Allow"));
  const allowed = await stream.next();
  assert.ok(allowed.protocol?.kind.case === "detect");
  assert.deepEqual(allowed.protocol.kind.value.opaque?.routes[0]?.rules[0]?.filters, []);

  await reloadElsewhere(mesh);
  assert.equal(stream.waiting, 0);
  await mesh.put("egress.yaml", "");
  assert.equal(await stream.status(), status.OK);
  await untilParent(mesh, "203.0.113.9", "egress-fallback");
  assert.equal(outside.waiting, 0);
});

const PARENT = `parentRefs: [{group: "", kind: Service, name: web}]`;
const KINDS: readonly (readonly [kind: string, version: string, spec: string, protocol: string])[] = [
  ["HTTPRoute", "v1", `${PARENT}, rules: [{matches: [{path: {value: /a}}]}]`, "detect"],
  ["GRPCRoute", "v1", `${PARENT}, rules: [{matches: [{method: {service: a.B}}]}]`, "grpc"],
  [
    "TLSRoute",
    "v1alpha2",
    `${PARENT}, hostnames: [a.example], rules: [{backendRefs: [{name: web, port: 80}]}]`,
    "tls",
  ],
  ["TCPRoute", "v1alpha2", `${PARENT}, rules: [{backendRefs: [{name: web, port: 80}]}]`, "opaque"],
];

for (const [kind, version, spec, protocol] of KINDS) {
  test(`a ${kind} reaches an open stream, and leaves it`, async (t) => {
    const mesh = await start(t, meshText());
    const stream = watch(mesh, "10.96.7.20", 80);
    await stream.next();
    const text = `apiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\nmetadata: {name: r, namespace: shop}\nspec: {${spec}}\n`;
    await mesh.put("route.yaml", text);
    const attached = (await stream.next()).protocol?.kind;
    assert.equal(attached?.case, protocol);
    const holder = attached.case === "detect" ? attached.value.http1 : attached.value;
    assert.ok(holder !== undefined && "routes" in holder);
    const [route] = holder.routes;
    assert.equal(route?.metadata?.kind.case === "resource" ? route.metadata.kind.value.kind : "", kind);

    await reloadElsewhere(mesh);
    assert.equal(stream.waiting, 0);
    await mesh.put("route.yaml", "");
    const left = (await stream.next()).protocol?.kind;
    assert.ok(left?.case === "detect");
    assert.equal(left.value.http1?.routes[0]?.metadata?.kind.case, "default");
  });
}

test("a backend that is deleted fails its share on open streams, and comes back", async (t) => {
  const route = `---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\nspec: {${PARENT}, rules: [{backendRefs: [{name: other, port: 80}]}]}\n`;
  const other =
    "apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
  const mesh = await start(t, WEB + route);
  await mesh.put("other.yaml", other);
  const stream = watch(mesh, "10.96.7.20", 80);
  const filtersOf = (policy: OutboundPolicy): readonly unknown[] => {
    assert.ok(policy.protocol?.kind.case === "detect");
    const backends = policy.protocol.kind.value.http1?.routes[0]?.rules[0]?.backends?.kind;
    assert.ok(backends?.case === "randomAvailable");
    return backends.value.backends[0]?.backend?.filters ?? [];
  };
  let filters = filtersOf(await stream.next());
  // The first answer may be from before the file was read.
  if (filters.length > 0) filters = filtersOf(await stream.next());
  assert.deepEqual(filters, []);
  await mesh.put("other.yaml", "");
  assert.equal(filtersOf(await stream.next()).length, 1);
  await mesh.put("other.yaml", other);
  assert.deepEqual(filtersOf(await stream.next()), []);
});

test("a ServiceProfile reaches an open stream, for its namespace, and leaves it", async (t) => {
  const mesh = await start(t, WEB);
  const path = "10.96.7.20:80";
  const mine = mesh.client.stream(Destination.method.getProfile, { path, contextToken: '{"ns":"ops"}' });
  const theirs = mesh.client.stream(Destination.method.getProfile, { path, contextToken: '{"ns":"shop"}' });
  assert.deepEqual((await mine.next()).routes, []);
  assert.deepEqual((await theirs.next()).routes, []);
  await mesh.put(
    "profile.yaml",
    "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: web.shop.svc.cluster.local, namespace: ops}\nspec: {routes: [{name: a, condition: {method: GET}}]}\n",
  );
  assert.equal((await mine.next()).routes.length, 1);
  await mesh.put("profile.yaml", "");
  assert.deepEqual((await mine.next()).routes, []);
  assert.equal(theirs.waiting, 0);
});

test("a network that is refused leaves the last good one in force, and says which field of which file", async (t) => {
  const mesh = await start(t, WEB + "---\n" + NETWORK("Deny"));
  await mesh.put("bad.yaml", NETWORK("Sometimes").replace("internet", "second"));
  const line = await mesh.lines.including("trafficPolicy");
  assert.match(line, /bad\.yaml:4: spec\.trafficPolicy: found "Sometimes", expected one of Allow, Deny$/);
  const policy = await mesh.client.unary(OutboundPolicies.method.get, to("203.0.113.9", 443));
  assert.equal(parentOf(policy), "internet");
  assert.equal(
    await codeOf(mesh.client.unary(OutboundPolicies.method.get, to("10.1.2.3", 443))),
    status.NOT_FOUND,
  );
});
