import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonValue } from "@bufbuild/protobuf";
import { backend, first, outboundJson, outboundTo, serviceMeta } from "./outbound.ts";
import { clusterOf, valueOf, WEB } from "./support.ts";

/** Routes of connections: by server name, and one for all. */

function route(kind: "TLSRoute" | "TCPRoute", name: string, spec: string, created = ""): string {
  return `---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: ${kind}
metadata: {name: ${name}, namespace: shop, creationTimestamp: "${created}"}
spec: {parentRefs: [{group: "", kind: Service, name: web}], ${spec}}
`;
}

const meta = (kind: string, name: string): JsonValue => ({
  resource: { group: "gateway.networking.k8s.io", kind, name, namespace: "shop" },
});

const TARGET = "10.96.7.20:80";

test("outbound 4: TLSRoutes choose by server name, split by weight, and refuse the share of a missing backend", () => {
  const text =
    WEB +
    route(
      "TLSRoute",
      "a",
      "hostnames: [a.example, '*.b.example'], rules: [{backendRefs: [{name: web, port: 80, weight: 3}, {name: gone, port: 1}]}]",
    ) +
    route("TLSRoute", "b", "rules: [{}]");
  assert.deepEqual(outboundJson(clusterOf(text), TARGET), {
    metadata: serviceMeta("web", 80),
    protocol: {
      tls: {
        routes: [
          {
            metadata: meta("TLSRoute", "a"),
            snis: [{ exact: "a.example" }, { suffix: { reverse_labels: ["example", "b"] } }],
            rules: [
              {
                backends: {
                  random_available: {
                    backends: [
                      { backend: { backend: backend("web", 80) }, weight: 3 },
                      {
                        backend: {
                          backend: {
                            metadata: serviceMeta("gone", 1),
                            queue: { capacity: 100, failfast_timeout: "3s" },
                          },
                          filters: [{ invalid: { message: "Service not found gone" } }],
                        },
                        weight: 1,
                      },
                    ],
                  },
                },
              },
            ],
          },
          { metadata: meta("TLSRoute", "b"), rules: [{ backends: first(backend("web", 80)) }] },
        ],
      },
    },
  });
});

test("outbound 4: of several TCPRoutes the oldest is sent", () => {
  const split = "rules: [{backendRefs: [{name: web, port: 80}]}]";
  const text =
    WEB +
    route("TCPRoute", "a", split, "2026-03-01T00:00:00Z") +
    route("TCPRoute", "b", split, "2026-02-01T00:00:00Z");
  assert.deepEqual(outboundJson(clusterOf(text), TARGET), {
    metadata: serviceMeta("web", 80),
    protocol: {
      opaque: {
        routes: [
          {
            metadata: meta("TCPRoute", "b"),
            rules: [
              {
                backends: {
                  random_available: { backends: [{ backend: { backend: backend("web", 80) }, weight: 1 }] },
                },
              },
            ],
          },
        ],
      },
    },
  });
});

test("outbound 4: which routes a target is spoken to with", () => {
  const tls = route("TLSRoute", "t", "rules: [{}]");
  const tcp = route("TCPRoute", "c", "rules: [{}]");
  const http = `---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: h, namespace: shop}\nspec: {parentRefs: [{group: "", kind: Service, name: web}]}\n`;
  const opaque = WEB.replace("port: 80,", "port: 80, appProtocol: linkerd.io/tcp,");
  const table: readonly (readonly [text: string, kind: string, route: string])[] = [
    [WEB + tls + tcp, "tls", "t"],
    [WEB + tcp, "opaque", "c"],
    [WEB + http + tls + tcp, "detect", "opaq"],
    [opaque, "opaque", "opaq"],
    [opaque + tcp, "opaque", "c"],
    // What is declared opaque is not looked into, so no server name is seen; and the TLSRoute is in the TCPRoute's way.
    [opaque + tls + tcp, "opaque", "opaq"],
  ];
  for (const [text, kind, name] of table) {
    const { protocol } = valueOf(outboundTo(clusterOf(text), TARGET));
    assert.equal(protocol?.kind.case, kind);
    const found = protocol?.kind.case === "detect" ? protocol.kind.value.opaque : protocol?.kind.value;
    assert.ok(found !== undefined && "routes" in found);
    const resource = found.routes[0]?.metadata?.kind;
    assert.equal(resource?.case === "resource" ? resource.value.name : resource?.value, name);
  }
});
