import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError, type ErrorCode, type ErrorDetail } from "../../src/errors/proxy-error.ts";
import { DiscardSink, type HttpService } from "../../src/http/message.ts";
import { RescueService, type RescueRow } from "../../src/http/respond.ts";
import { INBOUND_RESCUE } from "../../src/inbound/rescue.ts";
import { CLIENT_RESCUE, SERVER_RESCUE } from "../../src/outbound/rescue.ts";
import { encodeGrpcMessage } from "../../src/wire/grpc-message.ts";
import { FrameType } from "../../src/wire/http2/frame.ts";
import { H2Front, H2ToH2 } from "../support/h2-front.ts";
import { bodyOf, field, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { REST_OF_REQUEST, type Pairs } from "../support/h2-raw-peer.ts";

const CALL: Pairs = [[":method", "POST"], ...REST_OF_REQUEST, ["te", "trailers"]];
const GRPC: Pairs = [...CALL, ["content-type", "application/grpc"]];

/** A service whose every request fails, behind the rescue table of an edge. */
function failing(table: readonly RescueRow[], error: ProxyError, informationalHeaders = true): HttpService {
  const service: HttpService = {
    call: (_head, _last, response) => {
      response.reset(error);
      return new DiscardSink(response);
    },
  };
  return new RescueService(service, { table, outermost: true, informationalHeaders, onError: () => {} });
}

const INBOUND = ["inbound", INBOUND_RESCUE] as const;
const OUTBOUND = ["outbound", SERVER_RESCUE] as const;
const ENDPOINT = ["endpoint", CLIENT_RESCUE] as const;
const BOTH = [INBOUND, OUTBOUND];
const ALL = [INBOUND, OUTBOUND, ENDPOINT];

interface Cause {
  readonly code: ErrorCode;
  readonly at: readonly (readonly [string, readonly RescueRow[]])[];
  readonly grpc: number;
  readonly closes: boolean;
  readonly detail?: ErrorDetail;
}

/** Every error that a stack makes, with its gRPC status and whether the connection ends gracefully after it. */
const CAUSES: readonly Cause[] = [
  { code: "failfast", at: BOTH, grpc: 4, closes: true },
  { code: "loadshed", at: BOTH, grpc: 14, closes: true },
  { code: "request_timeout", at: [OUTBOUND], grpc: 4, closes: false },
  { code: "response_timeout", at: [OUTBOUND], grpc: 4, closes: false },
  { code: "stream_idle_timeout", at: [OUTBOUND], grpc: 4, closes: false },
  { code: "connect_timeout", at: ALL, grpc: 4, closes: true },
  { code: "io", at: ALL, grpc: 14, closes: true },
  { code: "upstream_closed", at: ALL, grpc: 14, closes: true },
  { code: "bad_message", at: ALL, grpc: 14, closes: true },
  { code: "tls_identity", at: [OUTBOUND, ENDPOINT], grpc: 14, closes: true },
  { code: "require_id", at: [OUTBOUND], grpc: 14, closes: true },
  { code: "fail_dispatcher", at: [OUTBOUND], grpc: 14, closes: true },
  { code: "route_not_found", at: BOTH, grpc: 5, closes: false },
  { code: "unauthorized", at: BOTH, grpc: 7, closes: false },
  { code: "rate_limited", at: [INBOUND], grpc: 8, closes: false },
  {
    code: "redirected",
    at: BOTH,
    grpc: 5,
    closes: false,
    detail: { status: 301, location: "http://x.test/" },
  },
  { code: "injected_failure", at: BOTH, grpc: 12, closes: false, detail: { grpcStatus: 12 } },
  { code: "invalid_policy", at: [INBOUND], grpc: 13, closes: true },
  { code: "unexpected", at: BOTH, grpc: 13, closes: true },
];

for (const { code, at, grpc, closes, detail } of CAUSES) {
  for (const [edge, table] of at) {
    test(`GR-01 ${code} at the ${edge} edge is a response with grpc-status ${grpc}${closes ? ", closing" : ""}`, async () => {
      for (const contentType of ["application/grpc", "application/grpc+proto", "application/grpc-web"]) {
        const front = new H2Front(failing(table, new ProxyError(code, "why 100%", detail)));
        front.peer.shakeHands();
        front.peer.headers(1, [...CALL, ["content-type", contentType]], true);
        await front.settle();
        const [head = "nothing", ...rest] = front.peer.heard;
        const told = code === "unexpected" ? "unexpected error" : "why 100%";
        assert.equal(
          head,
          `HEADERS 1 :status=200 content-length=0 content-type=application/grpc grpc-status=${grpc} ` +
            `grpc-message=${encodeGrpcMessage(told)} l5d-proxy-error=${told} ` +
            `${closes ? "l5d-proxy-connection=close " : ""}END`,
        );
        assert.equal(front.peer.of(FrameType.data).length, 0);
        assert.equal(
          rest.some((h) => h.startsWith("GOAWAY 2147483647 NO_ERROR")),
          closes,
        );
      }
    });
  }
}

test("GR-01 where the client may not know why, it gets the status alone", async () => {
  const front = new H2Front(failing(INBOUND_RESCUE, new ProxyError("unauthorized", "secret"), false));
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, true);
  await front.settle();
  assert.deepEqual(front.peer.heard, [
    "HEADERS 1 :status=200 content-length=0 content-type=application/grpc grpc-status=7 END",
  ]);
});

test("GR-02 a response that breaks off after its head ends in trailers, or in the server's own reset", async () => {
  const service = new ScriptedService(({ response }) => {
    response.head(responseHead(200, field("content-type", "application/grpc")), false);
    response.data(bodyOf(10), 0, 10, false);
  });
  const broken = new H2ToH2(service);
  broken.peer.shakeHands();
  broken.peer.headers(1, GRPC, true);
  await broken.settle();
  broken.back.right.destroy();
  await broken.settle();
  assert.deepEqual(broken.peer.heard.slice(0, 2), [
    "HEADERS 1 :status=200 content-type=application/grpc",
    "DATA 1 10",
  ]);
  assert.match(broken.peer.heard[2] ?? "nothing", /^HEADERS 1 grpc-status=14 grpc-message=.+ END$/);
  assert.equal(broken.errors.length, 1);

  const reset = new H2ToH2(service);
  reset.peer.shakeHands();
  reset.peer.headers(1, GRPC, true);
  await reset.settle();
  service.at(1).response.reset(new ProxyError("h2_reset", "given up", { h2Code: 11 }));
  await reset.settle();
  assert.equal(reset.peer.heard.at(-1), "RST_STREAM 1 ENHANCE_YOUR_CALM");

  // No gRPC client: a body that broke off must not look complete.
  const plain = new H2ToH2(service);
  plain.peer.shakeHands();
  plain.peer.request(1);
  await plain.settle();
  plain.back.right.destroy();
  await plain.settle();
  assert.match(plain.peer.heard.at(-1) ?? "nothing", /^RST_STREAM 1 /);
});

test("GR-03 a trailers-only response is relayed as it is", async () => {
  const service = new ScriptedService(({ response }) => {
    const fields = [
      field("content-type", "application/grpc"),
      field("grpc-status", "5"),
      field("grpc-message", "x%20y"),
    ];
    response.head(responseHead(200, ...fields), true);
  });
  const front = new H2ToH2(service);
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, true);
  await front.settle();
  assert.deepEqual(front.peer.heard, [
    "HEADERS 1 :status=200 content-type=application/grpc grpc-status=5 grpc-message=x%20y END",
  ]);
});

test("GR-04 a response that ends without a status is relayed without one", async () => {
  const service = new ScriptedService(({ response }) => {
    response.head(responseHead(200, field("content-type", "application/grpc")), false);
    response.data(bodyOf(10), 0, 10, true);
  });
  const front = new H2ToH2(service);
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, true);
  await front.settle();
  assert.deepEqual(front.peer.heard, [
    "HEADERS 1 :status=200 content-type=application/grpc",
    "DATA 1 10 END",
  ]);
});

test("GR-05 a message over many DATA frames and many messages in one frame arrive byte for byte", async () => {
  const message = (bytes: number): Buffer => {
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes, 1);
    return Buffer.concat([prefix, bodyOf(bytes)]);
  };
  const large = message(10_000);
  const small = Buffer.concat(Array.from({ length: 100 }, (_, i) => message(i)));
  const expected = Buffer.concat([large, small]);
  const service = new ScriptedService(({ request, response }) => {
    request.onEvent = (event) => {
      if (event !== "last") return;
      response.head(responseHead(200, field("content-type", "application/grpc")), false);
      for (let at = 0; at < large.length; at += 7) {
        response.data(large, at, Math.min(at + 7, large.length), false);
      }
      response.data(small, 0, small.length, false);
      response.trailers([field("grpc-status", "0")]);
    };
  });
  const front = new H2ToH2(service);
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, false);
  for (let at = 0; at < large.length; at += 7) front.peer.data(1, large.subarray(at, at + 7), false);
  front.peer.data(1, small, true);
  await front.settle();
  assert.equal(service.at(0).request.text, expected.toString("latin1"));
  const back = Buffer.concat(front.peer.of(FrameType.data).map(({ payload }) => payload));
  assert.ok(back.equals(expected));
  assert.equal(front.peer.heard.at(-1), "HEADERS 1 grpc-status=0 END");
});

const TIMEOUTS = [
  "1H",
  "2M",
  "3S",
  "4m",
  "5u",
  "6n",
  "0S",
  "00000000m",
  "99999999H",
  "123456789S",
  "",
  "S",
  "-1S",
  "1x",
  "1 S",
  "١S",
];

for (const timeout of TIMEOUTS) {
  test(`GR-06 grpc-timeout ${JSON.stringify(timeout)} is forwarded and changes nothing by itself`, async () => {
    // As bytes: what is no Latin-1 travels as its UTF-8.
    const bytes = Buffer.from(timeout).toString("latin1");
    const service = new ScriptedService();
    const front = new H2ToH2(service);
    front.peer.shakeHands();
    front.peer.headers(1, [...GRPC, ["grpc-timeout", bytes]], true);
    await front.settle();
    const { head, request, response } = service.at(0);
    assert.equal(head.fields.find(({ name }) => name.text === "grpc-timeout")?.value, bytes);
    front.clock.advance(3_600_000);
    await front.settle();
    assert.deepEqual(request.events, []);
    response.head(responseHead(200, field("grpc-status", "0")), true);
    await front.settle();
    assert.deepEqual(front.peer.heard, ["HEADERS 1 :status=200 grpc-status=0 END"]);
  });
}

test("GR-07 a call that the client cancels is cancelled at the server, without waiting for anything", async () => {
  const service = new ScriptedService();
  const front = new H2ToH2(service);
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, false);
  front.peer.data(1, "half", false);
  await front.settle();
  front.peer.rst(1, 8);
  await front.settle();
  const { request } = service.at(0);
  assert.equal(request.error?.code, "canceled");
  assert.equal(request.error.detail.h2Code, 8);
  assert.equal(front.client.openStreams, 0);
  assert.equal(front.clock.timers, 0);
});

test("GR-09 a message of ours with line ends and UTF-8 travels percent-encoded", async () => {
  const message = "käse\r\nx-forged: 1\0\u{1f9c0}%";
  const front = new H2Front(failing(SERVER_RESCUE, new ProxyError("io", message)));
  front.peer.shakeHands();
  front.peer.headers(1, GRPC, true);
  await front.settle();
  const [head = "nothing"] = front.peer.heard;
  const told = / grpc-message=(.*) l5d-proxy-error/.exec(head)?.[1] ?? "";
  assert.match(told, /^[\x20-\x7e]+$/);
  assert.equal(decodeURIComponent(told), message);
  assert.equal(told, encodeGrpcMessage(message));
  // In a header there is no such encoding: the message is left out rather than changed.
  assert.ok(head.includes(" l5d-proxy-error=unexpected error"), head);
});
