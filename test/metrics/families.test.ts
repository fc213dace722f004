import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { parseId } from "../../src/identity/id.ts";
import { createFamilies, type Families } from "../../src/metrics/families.ts";
import type { CounterFamily, GaugeFamily, HistogramFamily } from "../../src/metrics/family.ts";
import * as labels from "../../src/metrics/labels.ts";
import { MetricRegistry } from "../../src/metrics/metric-registry.ts";
import type { Parsed } from "../../src/parsed.ts";
import { metaDefault, type Meta } from "../../src/policy/meta.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { parsePage, scrape } from "./page.ts";

function must<T>(value: Parsed<T>): T {
  assert.ok(value.ok);
  return value.value;
}

type AnyFamily = CounterFamily | GaugeFamily | HistogramFamily;

function allFamilies(node: Families | object): AnyFamily[] {
  if ("cell" in node && "release" in node) return [node as AnyFamily];
  return Object.values(node).flatMap((inner: unknown) =>
    typeof inner === "object" && inner !== null ? allFamilies(inner) : [],
  );
}

const TARGET = must(parseSocketAddr("[2001:db8::1]:8080"));
const ID = must(parseId("web.shop.serviceaccount.identity.linkerd.cluster.local"));
const SERVICE: Meta = {
  kind: "resource",
  group: "core",
  resourceKind: "Service",
  name: "web",
  namespace: "shop",
  section: "",
  port: 80,
};
const SERVER = { meta: metaDefault("all-unauthenticated"), port: 8080 };

function names(list: readonly (readonly [string, string])[]): string {
  return list.map(([name]) => name).join(" ");
}

describe("the families of the proxy", () => {
  it("all print under names of their own that a strict parser takes", async () => {
    const registry = new MetricRegistry(new FakeClock(), 600_000);
    const families = allFamilies(createFamilies(registry));
    for (const family of families) {
      const cell = family.cell([["direction", "inbound"]]);
      if ("observe" in cell) cell.observe(1);
      else cell.value = 1;
    }
    const { types } = parsePage(await scrape(registry));
    assert.equal(types.size, families.length);
    assert.ok(families.length > 110, String(families.length));
    for (const name of [
      "request_total",
      "response_latency_ms",
      "tcp_close_total",
      "inbound_http_authz_deny_total",
      "outbound_grpc_route_retry_requests",
      "outbound_http_balancer_queue_gate_timeout_seconds",
      "control_identity_cert_refreshes",
    ]) {
      assert.ok(types.has(name), name);
    }
  });
});

describe("labels", () => {
  const mesh = { kind: "established", clientId: ID } as const;
  const peer = { kind: "established", serverId: ID } as const;
  const cases: readonly (readonly [string, readonly (readonly [string, string])[], string])[] = [
    [
      "an inbound request",
      labels.inboundEndpointLabels({
        authority: undefined,
        target: TARGET,
        tls: mesh,
        server: SERVER,
        route: metaDefault("default"),
        authorization: metaDefault("all-unauthenticated"),
      }),
      "direction target_addr target_ip target_port tls client_id srv_group srv_kind srv_name srv_port route_group route_kind route_name authz_group authz_kind authz_name",
    ],
    [
      "an outbound request",
      labels.outboundEndpointLabels({
        authority: "web.shop",
        addr: TARGET,
        tls: peer,
        labels: [["namespace", "shop"]],
      }),
      "direction authority target_addr target_ip target_port tls server_id dst_namespace",
    ],
    [
      "an inbound client's connection",
      labels.inboundAcceptedLabels(TARGET, { kind: "passthru", sni: must(parseDnsName("a.b")) }, SERVER),
      "direction peer target_addr target_ip target_port tls sni srv_group srv_kind srv_name srv_port",
    ],
    ["connections to the application", labels.INBOUND_DIALLED_LABELS, "direction peer tls no_tls_reason"],
    [
      "an outbound client's connection",
      labels.outboundAcceptedLabels(TARGET),
      "direction peer target_addr target_ip target_port tls no_tls_reason",
    ],
    [
      "an authorized request",
      labels.httpAllowLabels({ target: TARGET, server: SERVER, tls: mesh }, metaDefault("default"), SERVICE),
      "target_addr target_ip target_port srv_group srv_kind srv_name srv_port route_group route_kind route_name authz_group authz_kind authz_name tls client_id",
    ],
    [
      "a limited request",
      labels.rateLimitLabels({ target: TARGET, server: SERVER, tls: mesh }, SERVICE, "identity"),
      "target_addr target_ip target_port srv_group srv_kind srv_name srv_port ratelimit_group ratelimit_kind ratelimit_name ratelimit_scope tls client_id",
    ],
    [
      "a route",
      labels.routeLabels(SERVICE, metaDefault("http"), ""),
      "parent_group parent_kind parent_namespace parent_name parent_port parent_section_name route_group route_kind route_namespace route_name hostname",
    ],
    [
      "a route's backend",
      labels.routeBackendLabels(SERVICE, metaDefault("http"), SERVICE),
      "parent_group parent_kind parent_namespace parent_name parent_port parent_section_name route_group route_kind route_namespace route_name backend_group backend_kind backend_namespace backend_name backend_port backend_section_name",
    ],
    [
      "an inbound request by route",
      labels.inboundRequestLabels(SERVER, SERVICE),
      "parent_group parent_kind parent_name parent_port route_group route_kind route_name",
    ],
    [
      "a response",
      labels.responseLabels([["direction", "inbound"]], {
        status: 200,
        classification: "success",
        grpcStatus: "",
        error: "",
      }),
      "direction status_code classification grpc_status error",
    ],
    [
      "a response that never came",
      labels.responseLabels([["direction", "inbound"]], {
        status: undefined,
        classification: "failure",
        grpcStatus: "",
        error: "unclassified",
      }),
      "direction classification grpc_status error",
    ],
    [
      "an inbound error",
      labels.inboundTcpErrorLabels("i/o", TARGET),
      "error target_addr target_ip target_port",
    ],
    [
      "an outbound error",
      labels.outboundTcpErrorLabels(TARGET, "i/o"),
      "target_addr target_ip target_port error",
    ],
    [
      "a profile's route",
      labels.profileRouteLabels("outbound", { name: must(parseDnsName("web.shop.")), port: 80 }, [
        ["route", "GET /"],
      ]),
      "direction dst rt_route",
    ],
  ];
  for (const [what, list, expected] of cases) {
    it(`of ${what} come in the order of the model`, () => assert.equal(names(list), expected));
  }

  it("write IPv6 targets in brackets only with their port", () => {
    assert.deepEqual(labels.targetLabels(TARGET), [
      ["target_addr", "[2001:db8::1]:8080"],
      ["target_ip", "2001:db8::1"],
      ["target_port", "8080"],
    ]);
  });

  it("leave port 80 and the trailing dot out of an authority, but not out of a profile's name", () => {
    const name = must(parseDnsName("web.shop."));
    assert.equal(labels.authorityText({ name, port: 80 }), "web.shop");
    assert.equal(labels.authorityText({ name, port: 8080 }), "web.shop:8080");
    assert.deepEqual(labels.profileRouteLabels("inbound", { name, port: 80 }, [])[1], ["dst", "web.shop:80"]);
  });

  it("tell why there is no TLS", () => {
    assert.deepEqual(labels.acceptedTlsLabels({ kind: "none", reason: "no_tls_from_remote" }), [
      ["tls", "no_identity"],
      ["no_tls_reason", "no_tls_from_remote"],
    ]);
    assert.deepEqual(labels.acceptedTlsLabels({ kind: "established", clientId: undefined }), [
      ["tls", "true"],
      ["client_id", ""],
    ]);
    assert.deepEqual(labels.dialledTlsLabels({ kind: "none", reason: "disabled" }), [["tls", "disabled"]]);
  });

  it("name a default resource by kind and name only", () => {
    assert.deepEqual(
      labels.parentLabels(metaDefault("unknown")).map(([, value]) => value),
      ["", "default", "", "unknown", "", ""],
    );
  });
});
