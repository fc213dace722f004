import assert from "node:assert/strict";
import { test } from "node:test";
import { H2Client } from "../../src/http/client/h2.ts";
import type { H2ClientOptions } from "../../src/http/h2-options.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { FrameFlag } from "../../src/wire/http2/frame.ts";
import type { Sink } from "../../src/http/message.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { bodyOf, field, RecordingSink, requestHead } from "../support/h2-exchange.ts";
import { block, RawPeer, uint32, type Pairs } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";

interface Scene {
  readonly pair: MemoryPair;
  readonly client: H2Client;
  readonly peer: RawPeer;
  readonly clock: FakeClock;
  readonly retired: string[];
}

function scene(options: H2ClientOptions = {}): Scene {
  const pair = new MemoryPair();
  const clock = new FakeClock();
  const retired: string[] = [];
  const peer = new RawPeer(pair, pair.right, "server");
  const client = new H2Client(pair.left, { clock, onRetire: () => retired.push("retired"), ...options });
  return { pair, client, peer, clock, retired };
}

function call({ client }: Scene, method = "GET", last = true): { sink: RecordingSink; request: Sink } {
  const sink = new RecordingSink();
  const request = client.call(requestHead(method, "/"), last, sink);
  sink.source = request;
  return { sink, request };
}

/** Another call on the same connection still gets its answer. */
function stillWorks(s: Scene, id: number): void {
  const { sink } = call(s);
  s.peer.settle();
  s.peer.headers(id, [[":status", "200"]], true);
  s.peer.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
}

test("starts with preface, SETTINGS without push, and its window", () => {
  const { peer } = scene();
  peer.settle();
  assert.deepEqual(peer.heard, ["SETTINGS", "WINDOW_UPDATE 0 983041"]);
  assert.equal(peer.frames[0]?.payload.toString("hex"), "000200000000000600010000");
});

test("is ready once the server's SETTINGS came, and calls before that are sent at once", () => {
  let ready = 0;
  const s = scene({ onReady: () => ready++ });
  assert.equal(s.client.maxStreams, 100);
  const sinks = Array.from({ length: 101 }, () => call(s).sink);
  s.peer.settle();
  assert.equal(s.client.pendingCalls, 1);
  assert.equal(ready, 0);
  s.peer.shakeHands();
  s.peer.settings([]);
  s.peer.settle();
  assert.equal(ready, 1);
  assert.equal(s.client.ready, true);
  assert.equal(s.client.pendingCalls, 0);
  assert.ok(sinks.every((sink) => sink.events.length === 0));
});

test("writes the pseudo-header first, and a scheme and path where HTTP/1 told none", () => {
  const s = scene();
  const head = requestHead(
    "GET",
    "/x",
    field("te", "trailers"),
    field("connection", "close"),
    field("a", "b"),
  );
  head.scheme = undefined;
  head.authority = undefined;
  s.client.call(head, true, new RecordingSink());
  s.peer.settle();
  assert.equal(s.peer.heard.at(-1), "HEADERS 1 :method=GET :scheme=http :path=/x te=trailers a=b END");
});

const OK: Pairs = [[":status", "200"]];

const MALFORMED: [string, (peer: RawPeer) => void][] = [
  ["a missing :status", (p) => p.headers(1, [["x", "1"]], true)],
  ["two :status", (p) => p.headers(1, [...OK, ...OK], true)],
  [":status 101", (p) => p.headers(1, [[":status", "101"]], false)],
  [":status of two digits", (p) => p.headers(1, [[":status", "20"]], true)],
  [":status 600", (p) => p.headers(1, [[":status", "600"]], true)],
  ["a request pseudo-header", (p) => p.headers(1, [...OK, [":path", "/"]], true)],
  ["connection", (p) => p.headers(1, [...OK, ["connection", "close"]], true)],
  ["an upper-case name", (p) => p.headers(1, [...OK, ["X", "1"]], true)],
  ["an interim response that ends the stream", (p) => p.headers(1, [[":status", "103"]], true)],
  ["DATA before HEADERS", (p) => p.data(1, "x", true)],
  ["content-length without content", (p) => p.headers(1, [...OK, ["content-length", "3"]], true)],
  [
    "too much content",
    (p) => {
      p.headers(1, [...OK, ["content-length", "3"]], false);
      p.data(1, "1234", true);
    },
  ],
  [
    "too little content",
    (p) => {
      p.headers(1, [...OK, ["content-length", "3"]], false);
      p.data(1, "12", true);
    },
  ],
  [
    "content in a 204",
    (p) => {
      p.headers(1, [[":status", "204"]], false);
      p.data(1, "12", true);
    },
  ],
  [
    "trailers without END_STREAM",
    (p) => {
      p.headers(1, OK, false);
      p.headers(1, [["t", "1"]], false);
    },
  ],
  [
    "a header list over the limit",
    (p) => p.headers(1, [...OK, ...Array.from({ length: 1001 }, () => ["x", ""] as const)], true),
  ],
];

for (const [what, act] of MALFORMED) {
  test(`fails the exchange and resets the stream for: ${what}`, () => {
    const s = scene();
    const { sink } = call(s);
    s.peer.shakeHands();
    act(s.peer);
    s.peer.settle();
    assert.equal(sink.events.at(-1), "reset bad_message");
    assert.equal(sink.ended, false);
    assert.equal(sink.error?.detail.side, "upstream");
    assert.deepEqual(s.peer.heard, ["RST_STREAM 1 PROTOCOL_ERROR"]);
    stillWorks(s, 3);
  });
}

const FATAL: [string, string, (peer: RawPeer) => void][] = [
  ["HC-07 PUSH_PROMISE", "PROTOCOL_ERROR", (p) => p.send(5, 4, 1, Buffer.concat([uint32(2), block(OK)]))],
  ["ENABLE_PUSH from a server", "PROTOCOL_ERROR", (p) => p.settings([2, 1])],
  ["HC-08 HEADERS on a stream never opened", "PROTOCOL_ERROR", (p) => p.headers(7, OK, true)],
  ["HEADERS on an even stream", "PROTOCOL_ERROR", (p) => p.headers(2, OK, true)],
  ["DATA on a stream never opened", "PROTOCOL_ERROR", (p) => p.data(7, "x", true)],
  ["WINDOW_UPDATE on a stream never opened", "PROTOCOL_ERROR", (p) => p.windowUpdate(7, 1)],
  ["HC-10 connection window overflow", "FLOW_CONTROL_ERROR", (p) => p.windowUpdate(0, 0x7fff_ffff)],
  [
    "HC-09 a header list of 1 MB",
    "ENHANCE_YOUR_CALM",
    (p) =>
      p.headers(
        1,
        [...OK, ...Array.from({ length: 100 }, (_, i) => [`x${i}`, "v".repeat(10_000)] as const)],
        true,
      ),
  ],
];

for (const [what, code, act] of FATAL) {
  test(`ends the connection with ${code} for: ${what}`, () => {
    const s = scene();
    const { sink } = call(s);
    s.peer.shakeHands();
    act(s.peer);
    s.peer.settle();
    assert.equal(s.peer.heard.at(-1), `GOAWAY 0 ${code}`);
    assert.deepEqual(sink.events, ["reset upstream_closed"]);
    assert.deepEqual(s.retired, ["retired"]);
    s.clock.advance(1000);
    s.peer.settle();
    assert.equal(s.pair.left.destroyed, true);
    assert.equal(s.clock.timers, 0);
  });
}

test("swallows interim responses", () => {
  const s = scene();
  const { sink } = call(s);
  s.peer.shakeHands();
  s.peer.headers(1, [[":status", "100"]], false);
  s.peer.headers(
    1,
    [
      [":status", "103"],
      ["link", "x"],
    ],
    false,
  );
  s.peer.headers(1, OK, true);
  s.peer.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
});

test("takes a content-length without content in answers to HEAD, in 204 and 304", () => {
  const s = scene();
  const sinks = [call(s, "HEAD"), call(s), call(s)];
  s.peer.shakeHands();
  s.peer.headers(1, [...OK, ["content-length", "100"]], true);
  s.peer.headers(
    3,
    [
      [":status", "304"],
      ["content-length", "100"],
    ],
    false,
  );
  s.peer.data(3, "", true);
  s.peer.headers(5, [[":status", "204"]], true);
  s.peer.settle();
  assert.deepEqual(
    sinks.map(({ sink }) => sink.events),
    [
      ["head 200", "last"],
      ["head 304", "last"],
      ["head 204", "last"],
    ],
  );
});

test("HC-01 tells streams that the server left behind from those it finishes", () => {
  const s = scene();
  const calls = [call(s), call(s), call(s)];
  s.peer.shakeHands([3, 3]);
  const waiting = call(s);
  s.peer.goaway(1, 0);
  s.peer.settle();
  assert.deepEqual(
    calls.map(({ sink }) => sink.events),
    [[], ["reset h2_goaway"], ["reset h2_goaway"]],
  );
  assert.deepEqual(waiting.sink.events, ["reset h2_goaway"]);
  assert.deepEqual(s.retired, ["retired"]);
  s.peer.headers(1, OK, true);
  s.peer.settle();
  assert.deepEqual(calls[0]?.sink.events, ["head 200", "last"]);
  assert.equal(s.peer.ended, true);
});

test("HC-02 takes a graceful GOAWAY twice", () => {
  const s = scene();
  const calls = [call(s), call(s)];
  s.peer.shakeHands();
  s.peer.goaway(0x7fff_ffff, 0);
  s.peer.settle();
  assert.deepEqual(call(s).sink.events, ["reset h2_goaway"]);
  assert.deepEqual(calls[1]?.sink.events, []);
  s.peer.goaway(1, 0);
  s.peer.settle();
  assert.deepEqual(calls[0]?.sink.events, []);
  assert.deepEqual(calls[1]?.sink.events, ["reset h2_goaway"]);
  assert.equal(s.client.openStreams, 1);
});

test("HC-03 keeps the code of a refused stream", () => {
  const s = scene();
  const { sink } = call(s);
  s.peer.shakeHands();
  s.peer.rst(1, 7);
  s.peer.settle();
  assert.deepEqual(sink.events, ["reset h2_reset"]);
  assert.equal(sink.error?.detail.h2Code, 7);
});

test("HC-04 delivers a complete response and then stops the upload", () => {
  const s = scene();
  const { sink, request } = call(s, "POST", false);
  s.peer.shakeHands();
  s.peer.headers(1, OK, false);
  s.peer.data(1, "done", true);
  s.peer.rst(1, 0);
  s.peer.settle();
  assert.deepEqual(sink.events, ["head 200", "data", "last", "reset h2_reset"]);
  assert.equal(sink.error?.detail.h2Code, 0);
  request.data(bodyOf(10), 0, 10, true);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1), 0);
});

test("HC-05 never exceeds the number of streams, also when it is lowered", () => {
  const s = scene();
  s.peer.shakeHands([3, 0]);
  const calls = [call(s), call(s), call(s)];
  s.peer.settle();
  assert.equal(s.peer.frames.length, 0);
  s.peer.settings([3, 1]);
  s.peer.settle();
  assert.deepEqual(
    s.peer.heard.slice(1).map((h) => h.split(" ")[1]),
    ["1"],
  );
  s.peer.settings([3, 2]);
  s.peer.settings([3, 1]);
  s.peer.settle();
  assert.equal(s.client.openStreams, 2);
  s.peer.headers(1, OK, true);
  s.peer.settle();
  assert.equal(s.client.openStreams, 1);
  s.peer.headers(3, OK, true);
  s.peer.settle();
  s.peer.headers(5, OK, true);
  s.peer.settle();
  for (const { sink } of calls) assert.deepEqual(sink.events, ["head 200", "last"]);
});

test("HC-14 relays the end of a response while the request goes on", () => {
  const s = scene();
  const { sink, request } = call(s, "POST", false);
  s.peer.shakeHands();
  s.peer.headers(1, OK, true);
  s.peer.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
  request.data(bodyOf(10), 0, 10, false);
  request.trailers([field("t", "1")]);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["DATA 1 10", "HEADERS 1 t=1 END"]);
  assert.equal(s.client.openStreams, 0);
});

test("drops what arrives on a stream that it canceled, and returns the window", () => {
  const s = scene({ connectionWindowBytes: 65_535 });
  const { sink, request } = call(s, "POST", false);
  s.peer.shakeHands();
  request.reset(new ProxyError("unexpected", "given up"));
  s.peer.settle();
  assert.equal(s.peer.heard[0], "RST_STREAM 1 INTERNAL_ERROR");
  s.peer.headers(1, OK, false);
  s.peer.data(1, Buffer.alloc(10_000), false);
  s.peer.headers(1, [["t", "1"]], true);
  s.peer.settle();
  assert.deepEqual(sink.events, []);
  assert.deepEqual(s.peer.heard.slice(1), ["WINDOW_UPDATE 0 10000"]);
  stillWorks(s, 3);
});

test("resets a stream whose answer had ended for DATA that follows, and serves the others (RFC 9113 section 6.1)", () => {
  const s = scene();
  s.peer.shakeHands();
  const { sink } = call(s);
  s.peer.settle();
  s.peer.headers(1, [[":status", "200"]], true);
  s.peer.data(1, "late", true);
  s.peer.frames.length = 0;
  s.peer.settle();
  assert.deepEqual(sink.events, ["head 200", "last"]);
  assert.deepEqual(s.peer.heard, ["RST_STREAM 1 STREAM_CLOSED"]);
  stillWorks(s, 3);
});

test("fails a request head that would end the connection with a peer of the same limits", () => {
  const s = scene();
  s.peer.shakeHands([6, 65_536]);
  const sink = new RecordingSink();
  s.client.call(requestHead("GET", "/", field("x", "v".repeat(120_000))), true, sink);
  assert.deepEqual(sink.events, ["reset bad_message"]);
  // One that is merely over the advertised size is sent: the server's 431 explains more.
  s.client.call(requestHead("GET", "/", field("x", "v".repeat(70_000))), true, new RecordingSink());
  s.peer.settle();
  assert.equal(s.peer.frames.length, 5);
  assert.equal(s.peer.frames.at(-1)?.flags, FrameFlag.endHeaders);
});

test("closes when the server finishes its side", () => {
  const s = scene();
  const { sink } = call(s);
  s.peer.shakeHands();
  s.pair.right.end();
  s.peer.settle();
  assert.deepEqual(sink.events, ["reset upstream_closed"]);
  assert.equal(s.pair.left.destroyed, true);
});
