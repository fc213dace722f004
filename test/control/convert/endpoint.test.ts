import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { endpointFromProto } from "../../../src/control/convert/endpoint.ts";
import { endpointUpdateFromProto } from "../../../src/control/convert/endpoint-update.ts";
import {
  UpdateSchema,
  WeightedAddrSchema,
  type WeightedAddr,
} from "../../../src/proto/gen/destination_pb.js";
import { fixture } from "../fixture.ts";

type Init = Exclude<MessageInitShape<typeof WeightedAddrSchema>, WeightedAddr>;
const addr = { ip: { ip: { case: "ipv4", value: 0xc0000201 } }, port: 80 } as const;
const name = "web.shop.serviceaccount.identity.linkerd.cluster.local";
const dns = (text: string) => ({ case: "dnsLikeIdentity", value: { name: text } }) as const;
const uri = (text: string) => ({ case: "uriLikeIdentity", value: { uri: text } }) as const;

function metadata(init: Init) {
  const endpoint = endpointFromProto(create(WeightedAddrSchema, { addr, ...init }));
  return endpoint?.metadata ?? assert.fail("no endpoint");
}
const identity = (tlsIdentity: NonNullable<Init["tlsIdentity"]>) => metadata({ tlsIdentity }).identity;

describe("an endpoint from a controller", () => {
  it("of a meshed service has identity, hint, port, keep-alive and labels", () => {
    const { change, problems } = endpointUpdateFromProto(fixture(UpdateSchema, "service-add"));
    assert.deepEqual(problems, []);
    assert.ok(change?.kind === "add");
    const [endpoint] = change.endpoints;
    assert.deepEqual(endpoint?.metadata, {
      identity: { kind: "mesh", serverId: { kind: "dns", text: name }, serverName: name },
      protocolHint: "h2",
      taggedTransportPort: 4143,
      authorityOverride: undefined,
      http2: {
        flowControl: undefined,
        keepAlive: { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true },
        maxConcurrentResetStreams: undefined,
        maxFrameSize: undefined,
        maxSendBufferSize: undefined,
      },
      labels: [
        ["control_plane_ns", "linkerd"],
        ["deployment", "web"],
        ["namespace", "shop"],
        ["pod", "web-6d9f7c-abcde"],
        ["pod_template_hash", "6d9f7c"],
        ["service", "web"],
        ["serviceaccount", "web"],
        ["zone", "zone-a"],
        ["zone_locality", "local"],
      ],
      zoneLocality: "local",
    });
    assert.equal(change.endpoints[1]?.metadata.zoneLocality, "remote");
  });

  it("behind a gateway has an authority of its own", () => {
    const { change } = endpointUpdateFromProto(fixture(UpdateSchema, "gateway-add"));
    assert.ok(change?.kind === "add");
    const gateway = change.endpoints[0]?.metadata;
    assert.equal(gateway?.authorityOverride, "web.shop.svc.cluster.local:80");
    assert.equal(gateway?.zoneLocality, "unknown");
    assert.equal(gateway?.taggedTransportPort, undefined);
  });

  it("on a machine has a SPIFFE identity and a server name", () => {
    const endpoint = endpointFromProto(fixture(WeightedAddrSchema, "external-workload"));
    const { identity } = endpoint?.metadata ?? assert.fail();
    assert.ok(identity.kind === "mesh");
    assert.equal(identity.serverId.kind, "uri");
  });
});

describe("the identity of an endpoint", () => {
  it("is none, in clear text, only where the message has none", () => {
    assert.deepEqual(metadata({}).identity, { kind: "none" });
  });
  it("is also the name to ask for unless another is given", () => {
    assert.deepEqual(identity({ strategy: dns(name) }), {
      kind: "mesh",
      serverId: { kind: "dns", text: name },
      serverName: name,
    });
    const other = identity({ strategy: dns(name), serverName: { name: "other.shop" } });
    assert.ok(other.kind === "mesh");
    assert.equal(other.serverName, "other.shop");
  });

  const bad: readonly (readonly [string, NonNullable<Init["tlsIdentity"]>])[] = [
    ["of unknown kind", {}],
    ["that is no name", { strategy: dns("not a name") }],
    ["that is empty", { strategy: dns("") }],
    ["with a trailing dot", { strategy: dns(`${name}.`) }],
    ["that is no URI", { strategy: uri("not a uri") }],
    ["that is a URI without a server name", { strategy: uri("spiffe://example.org/a") }],
    ["whose server name is none", { strategy: dns(name), serverName: { name: "not a name" } }],
  ];
  for (const [text, tlsIdentity] of bad) {
    it(`${text} makes the endpoint unusable, never clear text`, () => {
      const result = identity(tlsIdentity);
      assert.equal(result.kind, "invalid");
    });
  }
});

describe("the rest of an endpoint", () => {
  it("ignores transport ports that cannot be", () => {
    const port = (inboundPort: number) => metadata({ protocolHint: { opaqueTransport: { inboundPort } } });
    assert.deepEqual(
      [0, 1, 4143, 65_534, 65_535, 70_000].map((p) => port(p).taggedTransportPort),
      [undefined, 1, 4143, 65_534, undefined, undefined],
    );
  });
  it("knows hints", () => {
    assert.equal(metadata({}).protocolHint, "unknown");
    assert.equal(metadata({ protocolHint: {} }).protocolHint, "unknown");
    assert.equal(
      metadata({ protocolHint: { protocol: { case: "opaque", value: {} } } }).protocolHint,
      "opaque",
    );
  });
  it("ignores an authority that is none", () => {
    const authority = (authorityOverride: string) => metadata({ authorityOverride: { authorityOverride } });
    assert.equal(authority("web.shop").authorityOverride, "web.shop");
    assert.equal(authority("").authorityOverride, undefined);
    assert.equal(authority("a b:80").authorityOverride, undefined);
    assert.equal(authority("web.shop:80\r\nx: y").authorityOverride, undefined);
  });
  it("lets its own labels win, and reads its zone from those alone", () => {
    const own = create(WeightedAddrSchema, { addr, metricLabels: { a: "own" } });
    const endpoint = endpointFromProto(own, { a: "set", zone_locality: "local" });
    assert.deepEqual(endpoint?.metadata.labels, [
      ["a", "own"],
      ["zone_locality", "local"],
    ]);
    assert.equal(endpoint?.metadata.zoneLocality, "unknown");
    assert.equal(metadata({ metricLabels: { zone_locality: "REMOTE" } }).zoneLocality, "remote");
  });
  it("needs both windows for fixed flow control, and none for adaptive", () => {
    const flow = (flowControl: object) => metadata({ http2: { flowControl } }).http2?.flowControl;
    assert.deepEqual(flow({ adaptiveFlowControl: true }), { kind: "adaptive" });
    assert.equal(flow({ initialStreamWindowSize: 1 }), undefined);
    assert.deepEqual(flow({ initialStreamWindowSize: 1, initialConnectionWindowSize: 2 }), {
      kind: "fixed",
      streamWindow: 1,
      connectionWindow: 2,
    });
  });
  it("needs both durations for keep-alive", () => {
    const interval = { seconds: 1n };
    assert.equal(metadata({ http2: { keepAlive: { interval } } }).http2?.keepAlive, undefined);
    const negative = { interval, timeout: { seconds: -1n } };
    assert.equal(metadata({ http2: { keepAlive: negative } }).http2?.keepAlive, undefined);
  });
});

describe("a change of an endpoint set", () => {
  it("leaves out what cannot be dialled, and says so", () => {
    const { change, problems } = endpointUpdateFromProto(
      create(UpdateSchema, {
        update: {
          case: "add",
          value: {
            addrs: [
              {},
              { addr: { port: 80 } },
              { addr: { ...addr, port: 0 } },
              { addr },
              { addr, tlsIdentity: {} },
            ],
          },
        },
      }),
    );
    assert.ok(change?.kind === "add");
    assert.equal(change.endpoints.length, 2);
    assert.equal(problems.length, 4);
    assert.match(problems[3] ?? "", /addrs\[4\]\.tls_identity: .*192\.0\.2\.1:80 will refuse connections/);
  });
  it("reports only the first few of many problems", () => {
    const addrs = Array.from({ length: 1000 }, () => ({}));
    const { problems } = endpointUpdateFromProto(
      create(UpdateSchema, { update: { case: "add", value: { addrs } } }),
    );
    assert.equal(problems.length, 8);
  });
  it("cuts ports to 16 bits", () => {
    const { change } = endpointUpdateFromProto(
      create(UpdateSchema, {
        update: { case: "remove", value: { addrs: [{ ...addr, port: 65_536 + 80 }] } },
      }),
    );
    assert.ok(change?.kind === "remove");
    assert.equal(change.addrs[0]?.port, 80);
  });
  it("empties the set whether the service exists or not", () => {
    for (const exists of [true, false]) {
      const { change } = endpointUpdateFromProto(
        create(UpdateSchema, { update: { case: "noEndpoints", value: { exists } } }),
      );
      assert.deepEqual(change, { kind: "reset", endpoints: [] });
    }
  });
  it("of unknown kind is none", () => {
    assert.equal(endpointUpdateFromProto(create(UpdateSchema)).change, undefined);
  });
});
