import assert from "node:assert/strict";
import { test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { findEndpoints } from "../../src/control-plane/index/destination.ts";
import { parseManifest } from "../../src/control-plane/resources/parse-manifest.ts";
import { WeightedAddrSchema } from "../../src/proto/gen/destination_pb.js";
import { clusterOf, valueOf, WEB } from "./support.ts";

const IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local";

const SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web-east, namespace: shop, labels: {mirror.linkerd.io/cluster-name: east}}
spec: {ports: [{name: http, port: 80}, {name: admin, port: 81}]}
`;
const METADATA = `
  labels:
    mirror.linkerd.io/cluster-name: east
    kubernetes.io/service-name: web-east
  annotations:
    mirror.linkerd.io/remote-svc-fq-name: web.shop.svc.cluster.local
    mirror.linkerd.io/remote-gateway-identity: ${IDENTITY}`;
const ENDPOINTS = `
apiVersion: v1
kind: Endpoints
metadata:
  name: web-east
  namespace: shop${METADATA}
subsets:
- addresses: [{ip: 198.51.100.7}]
  notReadyAddresses: [{ip: 198.51.100.9}]
  ports: [{name: http, port: 4143}, {name: admin, port: 4143}]
`;
const SLICE = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-east-abcde
  namespace: shop${METADATA}
addressType: IPv4
ports: [{name: http, port: 4143}, {name: admin, port: 4143}]
endpoints: [{addresses: [198.51.100.8]}]
`;

/** As the specification has it (control-plane-api.md, 16.10). */
const GATEWAY = {
  weight: 10_000,
  metricLabels: { zone_locality: "unknown" },
  tlsIdentity: { dnsLikeIdentity: { name: IDENTITY } },
  protocolHint: { h2: {} },
  authorityOverride: { authorityOverride: "web.shop.svc.cluster.local:80" },
  http2: { keepAlive: { interval: "10s", timeout: "3s", whileIdle: true } },
};

function find(manifests: string, port = 80) {
  const found = valueOf(findEndpoints(clusterOf(manifests), `web-east.shop.svc.cluster.local:${port}`, ""));
  const endpoints = [...found.endpoints].map(([key, addr]) => {
    const { addr: _addr, ...rest } = toJson(WeightedAddrSchema, addr) as Record<string, unknown>;
    return [key, rest] as const;
  });
  return { labels: found.labels, endpoints };
}

test("control-plane-api 16.10: a mirrored service is the other cluster's gateway, asked for the service there", () => {
  const found = find([SERVICE, ENDPOINTS].join("---"));
  assert.deepEqual(found.endpoints, [["198.51.100.7:4143", GATEWAY]]);
  assert.deepEqual(found.labels, {
    service: "web-east",
    namespace: "shop",
    target_cluster: "east",
    target_service: "web",
    target_service_namespace: "shop",
  });
});

test("each port of a mirrored service is asked for by its own number", () => {
  const [[, endpoint] = []] = find([SERVICE, ENDPOINTS].join("---"), 81).endpoints;
  assert.deepEqual(endpoint?.["authorityOverride"], { authorityOverride: "web.shop.svc.cluster.local:81" });
});

test("EndpointSlices say the same, and count before Endpoints", () => {
  assert.deepEqual(find([SERVICE, SLICE].join("---")).endpoints, [["198.51.100.8:4143", GATEWAY]]);
  assert.deepEqual(find([SERVICE, ENDPOINTS, SLICE].join("---")).endpoints, [["198.51.100.8:4143", GATEWAY]]);
});

test("an address that a workload of this cluster has is that workload, whatever the annotations say", () => {
  const target = "endpoints: [{addresses: [198.51.100.8], targetRef: {kind: ExternalWorkload, name: web-1}}]";
  const slice = SLICE.replace(/endpoints: .*/, target);
  const [[, endpoint] = []] = find([SERVICE, slice, WEB].join("\n---\n")).endpoints;
  assert.equal(endpoint?.["authorityOverride"], undefined);
  assert.notDeepEqual(endpoint?.["tlsIdentity"], GATEWAY.tlsIdentity);
});

test("a gateway without an identity is not spoken to by TLS; the probe service names no other service", () => {
  const clear = ENDPOINTS.replace(/.*remote-gateway-identity.*\n/, "");
  const [[, endpoint] = []] = find([SERVICE, clear].join("---")).endpoints;
  assert.deepEqual(Object.keys(endpoint ?? {}).toSorted(), ["authorityOverride", "metricLabels", "weight"]);
  const probe = find([SERVICE, ENDPOINTS.replace(/.*remote-svc-fq-name.*\n/, "")].join("---"));
  assert.equal(probe.endpoints[0]?.[1]["authorityOverride"], undefined);
  assert.deepEqual(probe.labels, { service: "web-east", namespace: "shop", target_cluster: "east" });
});

const WRONG: readonly (readonly [what: string, from: string, to: string, problem: RegExp])[] = [
  [
    "an identity that is none",
    IDENTITY,
    "not an identity",
    /remote-gateway-identity.*expected a DNS identity/,
  ],
  ["an identity that is a URI", IDENTITY, "spiffe://example.org/gateway", /expected a DNS identity/],
  [
    "a service that is no name",
    "web.shop.svc.cluster.local",
    "web..shop",
    /remote-svc-fq-name.*expected the DNS name of a service/,
  ],
  ["an address that is none", "198.51.100.7", "gateway", /expected an IP address/],
];

for (const [what, from, to, problem] of WRONG) {
  test(`${what} is a problem of the manifest, never a gateway in clear text`, () => {
    const { problems } = parseManifest("test.yaml", ENDPOINTS.replace(from, to));
    assert.match(problems.map(({ field, text }) => `${field}: ${text}`).join("\n"), problem);
  });
}
