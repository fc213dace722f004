import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  create,
  fromBinary,
  toBinary,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Destination,
  GetDestinationSchema,
  ProtocolHintSchema,
  UpdateSchema,
} from "../../src/proto/gen/destination_pb.js";
import { HttpMethodSchema, HttpMethod_Registered } from "../../src/proto/gen/http_types_pb.js";
import { Identity } from "../../src/proto/gen/identity_pb.js";
import { Span_SpanKind, SpanSchema } from "../../src/proto/gen/otlp_trace_pb.js";
import {
  ExportTraceServiceRequestSchema,
  ExportTraceServiceResponseSchema,
  TraceService,
} from "../../src/proto/gen/otlp_trace_service_pb.js";
import { AuthnSchema, InboundServerPolicies, PortSpecSchema } from "../../src/proto/gen/inbound_pb.js";
import { IPNetworkSchema, TcpAddressSchema } from "../../src/proto/gen/net_pb.js";
import {
  ExponentialBackoffSchema,
  FailureAccrual_UnifiedSchema,
  OutboundPolicies,
  TrafficSpecSchema,
} from "../../src/proto/gen/outbound_pb.js";
import { SpiffeWorkloadAPI } from "../../src/proto/gen/spiffe_workload_pb.js";
import { Tap } from "../../src/proto/gen/tap_pb.js";
import { grpcMethod } from "../../src/proto/grpc-service.ts";

/** Bytes that other implementations of the API write for the same values. */
interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly encode: () => Uint8Array;
  /** Decodes and encodes again. */
  readonly again: (bytes: Uint8Array) => Uint8Array;
}

function vector<D extends DescMessage>(
  name: string,
  schema: D,
  init: MessageInitShape<D>,
  hex: string,
): Vector {
  return {
    name,
    hex,
    encode: () => toBinary(schema, create(schema, init)),
    again: (bytes) => toBinary(schema, fromBinary(schema, bytes)),
  };
}

const ipv4 = (value: number) => ({ ip: { case: "ipv4", value } }) as const;
const ipv6 = (first: bigint, last: bigint) => ({ ip: { case: "ipv6", value: { first, last } } }) as const;
const workload = '{"ns":"shop","pod":"web-0"}';
const ms = (value: number) => ({ seconds: BigInt(Math.trunc(value / 1000)), nanos: (value % 1000) * 1e6 });

const vectors: readonly Vector[] = [
  vector("an IPv4 address", TcpAddressSchema, { ip: ipv4(0x0a2a010f), port: 8080 }, "0a050d0f012a0a10903f"),
  vector(
    "an IPv6 address",
    TcpAddressSchema,
    { ip: ipv6(0x20010db800000000n, 1n), port: 443 },
    "0a1412120900000000b80d012011010000000000000010bb03",
  ),
  vector("0.0.0.0/0, zero yet present", IPNetworkSchema, { ip: ipv4(0) }, "0a050d00000000"),
  vector("::/0", IPNetworkSchema, { ip: ipv6(0n, 0n) }, "0a021200"),
  vector("10.0.0.0/8", IPNetworkSchema, { ip: ipv4(0x0a000000), prefixLen: 8 }, "0a050d0000000a1008"),
  vector(
    "GET, zero yet present",
    HttpMethodSchema,
    { type: { case: "registered", value: HttpMethod_Registered.GET } },
    "0800",
  ),
  vector(
    "POST",
    HttpMethodSchema,
    { type: { case: "registered", value: HttpMethod_Registered.POST } },
    "0801",
  ),
  vector("PURGE", HttpMethodSchema, { type: { case: "unregistered", value: "PURGE" } }, "12055055524745"),
  vector(
    "a destination lookup",
    GetDestinationSchema,
    { path: "web.shop.svc.cluster.local:80", contextToken: '{"ns":"shop"}' },
    "121d7765622e73686f702e7376632e636c75737465722e6c6f63616c3a38301a0d7b226e73223a2273686f70227d",
  ),
  vector(
    "an inbound lookup",
    PortSpecSchema,
    { workload, port: 8080 },
    "0a1b7b226e73223a2273686f70222c22706f64223a227765622d30227d10903f",
  ),
  vector(
    "an outbound lookup of an address",
    TrafficSpecSchema,
    { sourceWorkload: workload, target: { case: "addr", value: { ip: ipv4(0x0a600714), port: 80 } } },
    "0a1b7b226e73223a2273686f70222c22706f64223a227765622d30227d12090a050d1407600a1050",
  ),
  vector(
    "an outbound lookup of a name",
    TrafficSpecSchema,
    { sourceWorkload: workload, target: { case: "authority", value: "web.shop.svc.cluster.local:80" } },
    "0a1b7b226e73223a2273686f70222c22706f64223a227765622d30227d1a1d7765622e73686f702e7376632e636c75737465722e6c6f63616c3a3830",
  ),
  vector(
    "an empty service",
    UpdateSchema,
    { update: { case: "noEndpoints", value: { exists: true } } },
    "1a020801",
  ),
  vector("no such service", UpdateSchema, { update: { case: "noEndpoints", value: {} } }, "1a00"),
  vector(
    "the hint of an HTTP/2 peer",
    ProtocolHintSchema,
    { protocol: { case: "h2", value: {} }, opaqueTransport: { inboundPort: 4143 } },
    "0a00120308af20",
  ),
  vector(
    "the hint of an opaque peer",
    ProtocolHintSchema,
    { protocol: { case: "opaque", value: {} }, opaqueTransport: { inboundPort: 4143 } },
    "120308af201a00",
  ),
  vector(
    "a backoff",
    ExponentialBackoffSchema,
    { minBackoff: ms(25), maxBackoff: ms(250), jitterRatio: 1 },
    "0a0510c0f0f50b12051080e59a771d0000803f",
  ),
  vector(
    "a span",
    SpanSchema,
    {
      traceId: Buffer.from("4bf92f3577b34da6a3ce929d0e0e4736", "hex"),
      spanId: Buffer.from("1122334455667788", "hex"),
      parentSpanId: Buffer.from("00f067aa0ba902b7", "hex"),
      name: "/cart",
      kind: Span_SpanKind.SERVER,
      startTimeUnixNano: 1_700_000_000_000_000_000n,
      endTimeUnixNano: 1_700_000_000_002_500_000n,
      attributes: [{ key: "url.path", value: { value: { case: "stringValue", value: "/cart" } } }],
      flags: 0x300,
    },
    "0a104bf92f3577b34da6a3ce929d0e0e473612081122334455667788220800f067aa0ba902b72a052f6361727430023900002a36fe9c971741a0255036fe9c97174a130a0875726c2e7061746812070a052f63617274850100030000",
  ),
  vector(
    "an export of spans",
    ExportTraceServiceRequestSchema,
    {
      resourceSpans: [
        {
          resource: {
            attributes: [{ key: "process.pid", value: { value: { case: "intValue", value: 7n } } }],
          },
          scopeSpans: [{ spans: [toBinary(SpanSchema, create(SpanSchema, { name: "a" }))] }],
        },
      ],
    },
    "0a1c0a130a110a0b70726f636573732e70696412021807120512032a0161",
  ),
  vector(
    "a partial success",
    ExportTraceServiceResponseSchema,
    { partialSuccess: { rejectedSpans: 10n, errorMessage: "no" } },
    "0a06080a12026e6f",
  ),
  vector(
    "a breaker on the success rate",
    FailureAccrual_UnifiedSchema,
    { successRateThreshold: 0.8, decay: ms(10_000), minRequests: 5, maxConsecutiveFailures: 7 },
    "099a9999999999e93f1202080a18052007",
  ),
  vector(
    "any DNS identity, an empty suffix",
    AuthnSchema,
    {
      permit: {
        case: "meshTLS",
        value: { clients: { case: "identities", value: { suffixes: [{}] } } },
      },
    },
    "120412021200",
  ),
];

describe("the wire form", () => {
  for (const { name, hex, encode, again } of vectors) {
    it(`has the bytes of other implementations for ${name}`, () => {
      assert.equal(Buffer.from(encode()).toString("hex"), hex);
      assert.equal(Buffer.from(again(Buffer.from(hex, "hex"))).toString("hex"), hex);
    });
  }
});

describe("the gRPC paths", () => {
  const paths: readonly (readonly [DescMethod, string, boolean])[] = [
    [Destination.method.get, "/io.linkerd.proxy.destination.Destination/Get", true],
    [Destination.method.getProfile, "/io.linkerd.proxy.destination.Destination/GetProfile", true],
    [InboundServerPolicies.method.getPort, "/io.linkerd.proxy.inbound.InboundServerPolicies/GetPort", false],
    [
      InboundServerPolicies.method.watchPort,
      "/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort",
      true,
    ],
    [OutboundPolicies.method.get, "/io.linkerd.proxy.outbound.OutboundPolicies/Get", false],
    [OutboundPolicies.method.watch, "/io.linkerd.proxy.outbound.OutboundPolicies/Watch", true],
    [Identity.method.certify, "/io.linkerd.proxy.identity.Identity/Certify", false],
    [Tap.method.observe, "/io.linkerd.proxy.tap.Tap/Observe", true],
    [TraceService.method.export, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", false],
    [SpiffeWorkloadAPI.method.fetchX509SVID, "/SpiffeWorkloadAPI/FetchX509SVID", true],
  ];
  for (const [method, path, streams] of paths) {
    it(`are ${path}`, () => {
      const definition = grpcMethod(method);
      assert.equal(definition.path, path);
      assert.equal(definition.responseStream, streams);
      assert.equal(definition.requestStream, false);
    });
  }
});
