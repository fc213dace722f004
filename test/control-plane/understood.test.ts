import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { clientPolicyFromProto } from "../../src/control/convert/client-policy.ts";
import { endpointFromProto } from "../../src/control/convert/endpoint.ts";
import { serverPolicyFromProto } from "../../src/control/convert/server-policy.ts";
import { findEndpoints } from "../../src/control-plane/index/destination.ts";
import { findInboundPolicy } from "../../src/control-plane/index/inbound-policy.ts";
import { tcpAddress } from "../../src/control-plane/index/messages.ts";
import { findOutboundPolicy } from "../../src/control-plane/index/outbound-policy.ts";
import { PortSpecSchema } from "../../src/proto/gen/inbound_pb.js";
import { TrafficSpecSchema } from "../../src/proto/gen/outbound_pb.js";
import { INBOUND_POLICIES } from "../../src/control-plane/resources/inbound-policy-mode.ts";
import { SERVER_PROTOCOLS } from "../../src/control-plane/resources/server.ts";
import { ipOf } from "./running.ts";
import { clusterOf, valueOf, WEB, workloadString } from "./support.ts";

/** What the control plane says must be what the proxy's side of the API understands: nothing invalid, nothing left out. */

const ANNOTATIONS = `annotations: {balancer.linkerd.io/failure-accrual: unified, retry.linkerd.io/http: "5xx,429", timeout.linkerd.io/idle: 1m}`;
const DETECT_TIMEOUT_MS = 10_000;

const ROUTES = `
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: h, namespace: shop}
spec:
  hostnames: [example.org, "*.example.org"]
  parentRefs: [{group: "", kind: Service, name: web}, {group: policy.linkerd.io, kind: Server, name: s}]
  rules:
  - matches:
    - {path: {type: RegularExpression, value: "/v[0-9]+/.*"}, headers: [{type: RegularExpression, name: a, value: "b+"}], queryParams: [{name: q, value: "1"}], method: PATCH}
    - {path: {type: Exact, value: /exact}}
    filters:
    - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: "1"}]}}
    - {type: ResponseHeaderModifier, responseHeaderModifier: {remove: [y]}}
    backendRefs: [{name: web, port: 80}, {name: gone, port: 80, weight: 0}]
    timeouts: {request: 1s500ms, backendRequest: 1s}
  - filters: [{type: RequestRedirect, requestRedirect: {hostname: example.net, port: 8443, path: {type: ReplaceFullPath, replaceFullPath: /}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: g, namespace: shop, annotations: {retry.linkerd.io/grpc: internal}}
spec:
  parentRefs: [{group: "", kind: Service, name: grpc}, {group: policy.linkerd.io, kind: Server, name: s-grpc}]
  rules: [{matches: [{method: {method: Get}}, {headers: [{name: a, value: b}]}], backendRefs: [{name: gone, port: 1}]}]
---
apiVersion: v1
kind: Service
metadata: {name: grpc, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec:
  targetRef: {group: gateway.networking.k8s.io, kind: HTTPRoute, name: h}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: m}]
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: m, namespace: shop}
spec: {identities: ["*", "*.ops.example", "spiffe://example.org/a"]}
`;

/** A GRPCRoute takes the place of an HTTPRoute at the same Server, so each kind has a Server of its own. */
function serverOf(protocol: string, accessPolicy: string): string {
  const name = protocol === "gRPC" ? "s-grpc" : "s";
  return `
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: ${name}, namespace: shop}
spec: {externalWorkloadSelector: {}, port: 8080, proxyProtocol: ${protocol}, accessPolicy: ${accessPolicy}}
`;
}

const MESH =
  WEB.replace("name: web, namespace: shop}", `name: web, namespace: shop, ${ANNOTATIONS}}`) + ROUTES;

for (const authority of [
  "web.shop.svc.cluster.local:80",
  "grpc.shop.svc.cluster.local:80",
  "new.shop.svc.cluster.local:80",
]) {
  test(`a proxy understands the outbound policy of ${authority}`, () => {
    const policy = valueOf(
      findOutboundPolicy(
        clusterOf(MESH + serverOf("unknown", "deny")),
        create(TrafficSpecSchema, {
          sourceWorkload: workloadString("shop", "x"),
          target: { case: "authority", value: authority },
        }),
      ),
    );
    const converted = clientPolicyFromProto(policy, DETECT_TIMEOUT_MS);
    assert.equal(converted.ok ? "" : converted.problem, "");
  });
}

const EGRESS = `
---
apiVersion: policy.linkerd.io/v1alpha1
kind: EgressNetwork
metadata: {name: internet, namespace: shop, annotations: {retry.linkerd.io/limit: "2", balancer.linkerd.io/failure-accrual: unified}}
spec: {trafficPolicy: Deny}
${["HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"]
  .map(
    (kind, index) => `---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: {name: ${kind.toLowerCase()}, namespace: shop}
spec:
  parentRefs:
  - {group: policy.linkerd.io, kind: EgressNetwork, name: internet, port: ${1001 + index}}
  rules: [{backendRefs: [{group: policy.linkerd.io, kind: EgressNetwork, name: internet}, {name: gone, port: 1}, {name: web, port: 80}, {kind: Pod, name: p}]}]
`,
  )
  .join("")}`;

for (const port of [1000, 1001, 1002, 1003, 1004]) {
  test(`a proxy understands the outbound policy of port ${port} of an EgressNetwork`, () => {
    const target = { case: "addr" as const, value: tcpAddress(ipOf("203.0.113.80"), port) };
    const policy = valueOf(
      findOutboundPolicy(
        clusterOf(WEB + EGRESS),
        create(TrafficSpecSchema, { sourceWorkload: workloadString("shop", "x"), target }),
      ),
    );
    const converted = clientPolicyFromProto(policy, DETECT_TIMEOUT_MS);
    assert.equal(converted.ok ? "" : converted.problem, "");
  });
}

for (const protocol of SERVER_PROTOCOLS) {
  test(`a proxy understands the inbound policy of a Server that speaks ${protocol}`, () => {
    for (const accessPolicy of INBOUND_POLICIES) {
      const policy = valueOf(
        findInboundPolicy(
          clusterOf(MESH + serverOf(protocol, accessPolicy)),
          create(PortSpecSchema, { workload: workloadString("shop", "web-1"), port: 8080 }),
        ),
      );
      const converted = serverPolicyFromProto(policy);
      assert.equal(converted.ok ? "" : converted.problem, "");
    }
  });
}

test("a proxy understands endpoints, with a mesh identity and the inbound port", () => {
  const { endpoints, labels } = valueOf(findEndpoints(clusterOf(MESH), "web.shop.svc.cluster.local:80", ""));
  const [message] = endpoints.values();
  assert.ok(message !== undefined);
  const endpoint = endpointFromProto(message, labels);
  assert.equal(endpoint?.metadata.identity.kind, "mesh");
  assert.equal(endpoint?.metadata.taggedTransportPort, 14143);
  assert.equal(endpoint?.metadata.protocolHint, "h2");
});
