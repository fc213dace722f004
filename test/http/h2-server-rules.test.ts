import assert from "node:assert/strict";
import { test } from "node:test";
import { H2Server } from "../../src/http/server/h2.ts";
import type { H2ServerOptions } from "../../src/http/h2-options.ts";
import { FrameFlag, FrameType } from "../../src/wire/http2/frame.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { bodyOf, field, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { block, frameBytes, RawPeer, uint32, type Pairs } from "../support/h2-raw-peer.ts";
import { BAD_BODIES, BASE, MALFORMED, replaced, without } from "../support/h2-request-cases.ts";
import { MemoryPair, type MemoryPairOptions } from "../support/memory-transport.ts";

interface Scene {
  readonly pair: MemoryPair;
  readonly peer: RawPeer;
  readonly server: H2Server;
  readonly service: ScriptedService;
  readonly clock: FakeClock;
}

/** A server whose service answers 200 once the request is complete. */
function scene(options: H2ServerOptions = {}, pairOptions: MemoryPairOptions = {}): Scene {
  const pair = new MemoryPair(pairOptions);
  const clock = new FakeClock(1000);
  const service = new ScriptedService(({ last, request, response }) => {
    const answer = (): void => response.head(responseHead(200), true);
    if (last) answer();
    else
      request.onEvent = (event) => {
        if (event === "last" || event === "trailers") answer();
      };
  });
  const server = new H2Server(pair.right, service, { clock, ...options });
  const peer = new RawPeer(pair, pair.left, "client");
  return { pair, peer, server, service, clock };
}

/** After whatever happened, a request on the same connection still gets its answer. */
function stillServes({ peer }: Scene, id: number): void {
  peer.frames.length = 0;
  peer.request(id);
  peer.settle();
  assert.deepEqual(peer.heard, [`HEADERS ${id} :status=200 END`]);
}

for (const [what, list] of MALFORMED) {
  test(`resets a stream for: ${what}`, () => {
    const s = scene();
    s.peer.shakeHands();
    s.peer.headers(1, list, true);
    s.peer.settle();
    assert.deepEqual(s.peer.heard, ["RST_STREAM 1 PROTOCOL_ERROR"]);
    assert.equal(s.service.requests.length, 0);
    stillServes(s, 3);
  });
}

const FORWARDED: [string, Pairs, (head: { path: string; fields: string[] }) => void][] = [
  [
    "H2-T05 te: trailers",
    [...BASE, ["te", "trailers"]],
    ({ fields }) => assert.deepEqual(fields, ["te=trailers"]),
  ],
  [
    "H2-T10 blanks around a value",
    [...BASE, ["x", "\t a b "]],
    ({ fields }) => assert.deepEqual(fields, ["x=a b"]),
  ],
  ["H2-T21 :path with fragment", replaced(":path", "/a?b#c"), ({ path }) => assert.equal(path, "/a?b")],
  [
    "H2-T24 OPTIONS *",
    [[":method", "OPTIONS"], ...replaced(":path", "*").slice(1)],
    ({ path }) => assert.equal(path, "*"),
  ],
  ["H2-T28 custom method", replaced(":method", "brew"), ({ path }) => assert.equal(path, "/a")],
  [
    "H2-T30 host beside :authority",
    [...BASE, ["host", "other"]],
    ({ fields }) => assert.deepEqual(fields, ["host=other"]),
  ],
  [
    "H2-T31 host only",
    [...without(":authority"), ["host", "h"]],
    ({ fields }) => assert.deepEqual(fields, ["host=h"]),
  ],
  ["H2-T32 neither host nor :authority", without(":authority"), ({ fields }) => assert.deepEqual(fields, [])],
  [
    "H2-T57 a split cookie",
    [...BASE, ["cookie", "a=1"], ["cookie", "b=2"]],
    ({ fields }) => assert.equal(fields.length, 2),
  ],
  ["H2-T59 expect", [...BASE, ["expect", "100-continue"]], ({ fields }) => assert.equal(fields.length, 1)],
  [
    "equal content-lengths",
    [...BASE, ["content-length", "0"], ["x", "1"], ["content-length", "0"]],
    ({ fields }) => assert.deepEqual(fields, ["content-length=0", "x=1"]),
  ],
  [
    "H2-L01 15 KB header",
    [...BASE, ["x", "v".repeat(15_000)]],
    ({ fields }) => assert.equal(fields[0]?.length, 15_002),
  ],
  [
    "H2-L03 200 small headers",
    [...BASE, ...Array.from({ length: 200 }, (_, i) => [`x-${i}`, "v"] as const)],
    ({ fields }) => assert.equal(fields.length, 200),
  ],
];

for (const [what, list, check] of FORWARDED) {
  test(`forwards: ${what}`, () => {
    const s = scene();
    s.peer.shakeHands();
    s.peer.headers(1, list, true);
    s.peer.settle();
    assert.deepEqual(s.peer.heard, ["HEADERS 1 :status=200 END"]);
    const { head } = s.service.at(0);
    check({ path: head.path?.value ?? "", fields: head.fields.map((f) => `${f.name.text}=${f.value}`) });
  });
}

for (const [what, act, length] of BAD_BODIES) {
  test(`resets the stream and aborts its exchange for: ${what}`, () => {
    const s = scene();
    s.peer.shakeHands();
    if (length === "") s.peer.request(1, false);
    else s.peer.request(1, false, ["content-length", length]);
    act(s.peer);
    s.peer.settle();
    assert.deepEqual(s.peer.heard, ["RST_STREAM 1 PROTOCOL_ERROR"]);
    const { request } = s.service.at(0);
    assert.equal(request.ended, false);
    assert.equal(request.error?.code, "bad_message");
    assert.equal(request.error?.detail.side, "downstream");
    stillServes(s, 3);
  });
}

/** Each ends the connection with that code. */
const FATAL: [string, string, (peer: RawPeer) => void][] = [
  ["H2-M03 connection window overflow", "FLOW_CONTROL_ERROR", (p) => p.windowUpdate(0, 0x7fff_ffff)],
  ["WINDOW_UPDATE of 0 for the connection", "PROTOCOL_ERROR", (p) => p.windowUpdate(0, 0)],
  ["WINDOW_UPDATE of 3 bytes", "FRAME_SIZE_ERROR", (p) => p.send(8, 0, 0, Buffer.alloc(3))],
  ["WINDOW_UPDATE on an idle stream", "PROTOCOL_ERROR", (p) => p.windowUpdate(5, 1)],
  ["H2-M04 PUSH_PROMISE", "PROTOCOL_ERROR", (p) => p.send(5, 4, 1, Buffer.concat([uint32(2), block(BASE)]))],
  ["H2-M05 DATA on stream 0", "PROTOCOL_ERROR", (p) => p.data(0, "x", false)],
  ["DATA on an idle stream", "PROTOCOL_ERROR", (p) => p.data(1, "x", true)],
  ["HEADERS on stream 0", "PROTOCOL_ERROR", (p) => p.headers(0, BASE, true)],
  ["H2-M06 bad HPACK index", "COMPRESSION_ERROR", (p) => p.send(1, 5, 1, Buffer.of(0xff, 0x20))],
  ["H2-M07 SETTINGS ack with payload", "FRAME_SIZE_ERROR", (p) => p.send(4, 1, 0, Buffer.alloc(6))],
  ["SETTINGS of 5 bytes", "FRAME_SIZE_ERROR", (p) => p.send(4, 0, 0, Buffer.alloc(5))],
  ["SETTINGS on a stream", "PROTOCOL_ERROR", (p) => p.send(4, 0, 1)],
  ["ENABLE_PUSH of 2", "PROTOCOL_ERROR", (p) => p.settings([2, 2])],
  ["INITIAL_WINDOW_SIZE of 2^31", "FLOW_CONTROL_ERROR", (p) => p.settings([4, 2 ** 31])],
  ["MAX_FRAME_SIZE of 16,383", "PROTOCOL_ERROR", (p) => p.settings([5, 16_383])],
  ["MAX_FRAME_SIZE of 2^24", "PROTOCOL_ERROR", (p) => p.settings([5, 2 ** 24])],
  ["H2-M08 HEADERS of 16,385 bytes", "FRAME_SIZE_ERROR", (p) => p.send(1, 5, 1, Buffer.alloc(16_385))],
  ["DATA of 16,385 bytes", "FRAME_SIZE_ERROR", (p) => p.send(0, 0, 1, Buffer.alloc(16_385))],
  [
    "H2-A14 a length of 2^24-1 without payload",
    "FRAME_SIZE_ERROR",
    (p) => p.raw(Buffer.from("ffffff000000000001", "hex")),
  ],
  ["H2-M09 even stream id", "PROTOCOL_ERROR", (p) => p.request(2)],
  [
    "H2-M10 stream id goes backwards",
    "PROTOCOL_ERROR",
    (p) => {
      p.request(5);
      p.request(3);
    },
  ],
  [
    "HEADERS on a stream that both sides ended",
    "STREAM_CLOSED",
    (p) => {
      p.request(1);
      p.request(1);
    },
  ],
  ["H2-M11 PING of 7 bytes", "FRAME_SIZE_ERROR", (p) => p.send(6, 0, 0, Buffer.alloc(7))],
  ["PING on a stream", "PROTOCOL_ERROR", (p) => p.send(6, 0, 1, Buffer.alloc(8))],
  [
    "H2-M12 HEADERS interrupted by PING",
    "PROTOCOL_ERROR",
    (p) => {
      p.send(1, 1, 1, block(BASE));
      p.ping();
    },
  ],
  [
    "HEADERS interrupted by an unknown frame",
    "PROTOCOL_ERROR",
    (p) => {
      p.send(1, 1, 1, block(BASE));
      p.send(99, 0, 0);
    },
  ],
  [
    "CONTINUATION of another stream",
    "PROTOCOL_ERROR",
    (p) => {
      p.send(1, 1, 1, block(BASE));
      p.send(9, 4, 3, block([["x", "1"]]));
    },
  ],
  ["CONTINUATION without HEADERS", "PROTOCOL_ERROR", (p) => p.send(9, 4, 1, block(BASE))],
  ["RST_STREAM on an idle stream", "PROTOCOL_ERROR", (p) => p.rst(1, 8)],
  ["RST_STREAM on stream 0", "PROTOCOL_ERROR", (p) => p.rst(0, 8)],
  ["RST_STREAM of 3 bytes", "FRAME_SIZE_ERROR", (p) => p.send(3, 0, 1, Buffer.alloc(3))],
  ["GOAWAY on a stream", "PROTOCOL_ERROR", (p) => p.send(7, 0, 1, Buffer.alloc(8))],
  ["GOAWAY of 7 bytes", "FRAME_SIZE_ERROR", (p) => p.send(7, 0, 0, Buffer.alloc(7))],
  ["PRIORITY on stream 0", "PROTOCOL_ERROR", (p) => p.send(2, 0, 0, Buffer.alloc(5))],
  [
    "HEADERS padding beyond its frame",
    "PROTOCOL_ERROR",
    (p) => p.send(1, 0xd, 1, Buffer.of(200, 0x82, 0x86)),
  ],
  [
    "DATA padding beyond its frame",
    "PROTOCOL_ERROR",
    (p) => {
      p.request(1, false);
      p.send(0, 8, 1, Buffer.of(5, 1, 2));
    },
  ],
  [
    "padded DATA without a pad length",
    "FRAME_SIZE_ERROR",
    (p) => {
      p.request(1, false);
      p.send(0, 8, 1);
    },
  ],
  [
    "an initial window that overflows a stream's",
    "FLOW_CONTROL_ERROR",
    (p) => {
      p.request(1, false);
      p.windowUpdate(1, 0x7fff_ffff - 65_535);
      p.settings([4, 65_536]);
    },
  ],
  [
    "H2-L06 endless empty CONTINUATION",
    "ENHANCE_YOUR_CALM",
    (p) => {
      p.send(1, 1, 1, block(BASE));
      for (let i = 0; i < 1000; i++) p.send(9, 0, 1);
    },
  ],
  [
    "H2-L07 CONTINUATION of 1 KB without END_HEADERS",
    "ENHANCE_YOUR_CALM",
    (p) => {
      p.send(1, 1, 1, block(BASE));
      for (let i = 0; i < 256; i++) p.send(9, 0, 1, Buffer.alloc(1024, 0x82));
    },
  ],
  [
    "H2-L05 HPACK bomb",
    "ENHANCE_YOUR_CALM",
    (p) => p.send(1, 5, 1, Buffer.concat([block([["x", "v".repeat(4000)]], 0x40), Buffer.alloc(4000, 0xbe)])),
  ],
];

for (const [what, code, act] of FATAL) {
  test(`ends the connection with ${code} for: ${what}`, () => {
    const s = scene();
    s.peer.shakeHands();
    act(s.peer);
    s.peer.settle();
    const last = s.peer.heard.at(-1);
    assert.match(last ?? "nothing", new RegExp(`^GOAWAY \\d+ ${code}$`));
    assert.equal(s.peer.ended, true);
    s.clock.advance(1000);
    s.peer.settle();
    assert.equal(s.peer.closed, true);
    assert.equal(s.clock.timers, 0);
    for (const { last, request } of s.service.requests) {
      assert.ok(last || request.ended || request.error !== undefined);
    }
  });
}

/** Each resets stream 1 with that code and leaves the connection alone. */
const STREAM_FAULTS: [string, string, (peer: RawPeer) => void][] = [
  ["WINDOW_UPDATE of 0", "PROTOCOL_ERROR", (p) => p.windowUpdate(1, 0)],
  ["window overflow", "FLOW_CONTROL_ERROR", (p) => p.windowUpdate(1, 0x7fff_ffff)],
  ["PRIORITY of 4 bytes", "FRAME_SIZE_ERROR", (p) => p.send(2, 0, 1, Buffer.alloc(4))],
  [
    "a stream that depends on itself",
    "PROTOCOL_ERROR",
    (p) => p.send(2, 0, 1, Buffer.concat([uint32(1), Buffer.of(1)])),
  ],
];

for (const [what, code, act] of STREAM_FAULTS) {
  test(`resets a stream with ${code} for: ${what}`, () => {
    const s = scene();
    s.peer.shakeHands();
    s.peer.request(1, false);
    act(s.peer);
    s.peer.settle();
    assert.deepEqual(s.peer.heard, [`RST_STREAM 1 ${code}`]);
    assert.equal(s.service.at(0).request.error?.code, "bad_message");
    stillServes(s, 3);
  });
}

test("resets a half-closed stream for DATA and for HEADERS", () => {
  for (const act of [
    (p: RawPeer) => p.data(1, "x", true),
    (p: RawPeer) => p.headers(1, [["t", "1"]], true),
  ]) {
    const s = scene();
    s.service.answer = undefined;
    s.peer.shakeHands();
    s.peer.request(1);
    act(s.peer);
    s.peer.settle();
    assert.deepEqual(s.peer.heard, ["RST_STREAM 1 STREAM_CLOSED"]);
  }
});

test("resets a closed stream for DATA, but not what it had reset itself", () => {
  const s = scene();
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.settle();
  s.peer.frames.length = 0;
  s.peer.data(1, "x", false);
  s.peer.data(1, "y", false);
  s.peer.headers(1, [["t", "1"]], true);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["RST_STREAM 1 STREAM_CLOSED"]);
});

test("ends the connection for a bad preface and for a first frame that is not SETTINGS", () => {
  const bad = scene();
  bad.peer.raw(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"));
  bad.peer.settle();
  assert.equal(bad.peer.heard.at(-1), "GOAWAY 0 PROTOCOL_ERROR");
  const early = scene();
  early.peer.raw(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  early.peer.request(1);
  early.peer.settle();
  assert.equal(early.peer.heard.at(-1), "GOAWAY 0 PROTOCOL_ERROR");
  assert.equal(early.service.requests.length, 0);
});

test("announces its limits, and answers SETTINGS and PING", () => {
  const { peer } = scene();
  peer.raw(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  peer.settings([]);
  peer.ping();
  peer.settle();
  assert.deepEqual(peer.heard, ["SETTINGS", "WINDOW_UPDATE 0 983041", "SETTINGS ACK", "PING ACK"]);
  const settings = peer.frames[0]?.payload.toString("hex");
  assert.equal(settings, "000300001000000600010000");
  assert.equal(peer.frames[3]?.payload.toString(), "12345678");
});

test("ignores frames, flags and settings that it does not know", () => {
  const s = scene();
  s.peer.shakeHands([0x99, 1]);
  s.peer.send(0x42, 0xff, 7, Buffer.from("anything"));
  s.peer.send(2, 0, 9, Buffer.concat([uint32(0), Buffer.of(1)]));
  s.peer.send(6, FrameFlag.ack, 0, Buffer.alloc(8));
  s.peer.settle();
  assert.deepEqual(s.peer.heard, []);
  stillServes(s, 1);
});

test("takes padding and priority in HEADERS, and a block over CONTINUATION", () => {
  const s = scene();
  s.peer.shakeHands();
  const bytes = block(BASE);
  s.peer.send(1, 0x2d, 1, Buffer.concat([Buffer.of(3), uint32(0), Buffer.of(16), bytes, Buffer.alloc(3)]));
  s.peer.send(1, 1, 3, bytes.subarray(0, 5));
  s.peer.send(9, 0, 3, bytes.subarray(5, 6));
  s.peer.send(9, 4, 3, bytes.subarray(6));
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["HEADERS 1 :status=200 END", "HEADERS 3 :status=200 END"]);
  s.peer.frames.length = 0;
  s.peer.headers(5, [...BASE, ["x", "v".repeat(16_000)]], true);
  const long = block([...BASE, ["x", "v".repeat(17_000)]]);
  s.peer.send(1, 1, 7, long.subarray(0, 16_384));
  s.peer.send(9, 4, 7, long.subarray(16_384));
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["HEADERS 5 :status=200 END", "HEADERS 7 :status=200 END"]);
});

test("answers 431 for a header list over the limit, and serves the next stream", () => {
  const s = scene();
  s.peer.shakeHands();
  s.peer.headers(1, [...BASE, ...Array.from({ length: 2000 }, (_, i) => [`x${i}`, "v"] as const)], true);
  s.peer.headers(3, [...BASE, ...Array.from({ length: 1200 }, () => ["x", ""] as const)], false);
  s.peer.data(3, "late", true);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, [
    "HEADERS 1 :status=431 END",
    "HEADERS 3 :status=431 END",
    "RST_STREAM 3 NO_ERROR",
  ]);
  assert.equal(s.service.requests.length, 0);
  stillServes(s, 5);
});

test("refuses streams above its limit and leaves the others alone", () => {
  const s = scene({ maxConcurrentStreams: 2 });
  s.peer.shakeHands();
  for (let id = 1; id <= 2001; id += 2) s.peer.request(id, false);
  s.peer.settle();
  assert.equal(s.service.requests.length, 2);
  assert.equal(s.peer.heard.filter((h) => /^RST_STREAM \d+ REFUSED_STREAM$/.test(h)).length, 999);
  s.peer.frames.length = 0;
  s.peer.data(1, "x", true);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["HEADERS 1 :status=200 END"]);
});

test("never sends beyond the windows, parks the body, and goes on when they open", () => {
  const s = scene();
  s.service.answer = ({ response }) => {
    response.head(responseHead(200), false);
    response.data(bodyOf(30), 0, 30, false);
    response.trailers([field("t", "1")]);
  };
  s.peer.shakeHands([4, 0]);
  s.peer.request(1);
  s.peer.request(3);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["HEADERS 1 :status=200", "HEADERS 3 :status=200"]);
  s.peer.windowUpdate(3, 30);
  s.peer.settle();
  assert.deepEqual(s.peer.heard.slice(2), ["DATA 3 30", "HEADERS 3 t=1 END"]);
  assert.equal(s.service.at(1).request.credited, 30);
  assert.equal(s.service.at(0).request.credited, 0);
  for (let i = 0; i < 10; i++) s.peer.windowUpdate(1, 1);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1), 10);
  // The window of every stream grows, and shrinks below zero.
  s.peer.settings([4, 5]);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1), 15);
  s.peer.settings([4, 0]);
  s.peer.windowUpdate(1, 5);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1), 15);
  s.peer.windowUpdate(1, 15);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1), 30);
  assert.equal(s.peer.heard.at(-1), "HEADERS 1 t=1 END");
});

test("keeps to the connection window over all streams", () => {
  const s = scene();
  s.service.answer = ({ response }) => {
    response.head(responseHead(200), false);
    response.data(bodyOf(50_000), 0, 50_000, true);
  };
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.request(3);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1) + s.peer.dataBytes(3), 65_535);
  s.peer.windowUpdate(0, 34_465);
  s.peer.settle();
  assert.equal(s.peer.dataBytes(1) + s.peer.dataBytes(3), 100_000);
  assert.ok(s.peer.of(FrameType.data).every((f) => f.payload.length <= 16_384));
});

test("holds the client to the windows it granted", () => {
  const s = scene({ streamWindowBytes: 100 });
  s.service.answer = ({ request }) => (request.holding = true);
  s.peer.shakeHands();
  s.peer.request(1, false);
  s.peer.data(1, Buffer.alloc(100), false);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, []);
  s.peer.data(1, "x", false);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["RST_STREAM 1 FLOW_CONTROL_ERROR"]);
  const over = scene({ streamWindowBytes: 1_000_000, connectionWindowBytes: 65_535 });
  over.service.answer = ({ request }) => (request.holding = true);
  over.peer.shakeHands();
  over.peer.request(1, false);
  for (let i = 0; i < 4; i++) over.peer.data(1, Buffer.alloc(16_383), false);
  over.peer.data(1, Buffer.alloc(4), false);
  over.peer.settle();
  assert.equal(over.peer.heard.at(-1), "GOAWAY 1 FLOW_CONTROL_ERROR");
});

test("gives credit back in batches, padding at once, and what a reset stream held", () => {
  const s = scene({ connectionWindowBytes: 65_536 });
  s.service.answer = ({ request }) => (request.holding = true);
  s.peer.shakeHands();
  s.peer.request(1, false);
  // 4,096 bytes are 1/16 of the connection: padding alone reaches that.
  for (let i = 0; i < 17; i++) s.peer.send(0, 8, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(256, 7)]));
  s.peer.settle();
  assert.equal(s.service.at(0).request.bytes, 17);
  assert.deepEqual(s.peer.heard, ["WINDOW_UPDATE 0 4096"]);
  s.peer.frames.length = 0;
  for (let i = 0; i < 3; i++) s.peer.data(1, Buffer.alloc(16_000), false);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, []);
  s.service.at(0).request.release();
  s.peer.settle();
  // All that was owed: 48,017 bytes and the padding since the last announcement.
  assert.deepEqual(s.peer.heard, ["WINDOW_UPDATE 0 48273", "WINDOW_UPDATE 1 52369"]);
  s.peer.frames.length = 0;
  s.peer.data(1, Buffer.alloc(10_000), false);
  s.peer.rst(1, 8);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["WINDOW_UPDATE 0 10000"]);
  // Credit that comes late changes nothing more.
  s.service.at(0).request.release();
  s.peer.settle();
  assert.equal(s.peer.frames.length, 1);
});

test("drains with two GOAWAYs around a PING and refuses what comes after", () => {
  const s = scene();
  s.service.answer = undefined;
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.settle();
  s.server.drain();
  s.server.drain();
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["GOAWAY 2147483647 NO_ERROR", "PING"]);
  s.peer.request(3);
  s.peer.send(6, FrameFlag.ack, 0, s.peer.frames[1]?.payload);
  s.peer.request(5);
  s.peer.settle();
  assert.deepEqual(s.peer.heard.slice(2), ["GOAWAY 3 NO_ERROR", "RST_STREAM 5 REFUSED_STREAM"]);
  for (const { response } of s.service.requests) response.head(responseHead(200), true);
  s.peer.settle();
  assert.deepEqual(s.peer.heard.slice(4), ["HEADERS 1 :status=200 END", "HEADERS 3 :status=200 END"]);
  assert.equal(s.peer.ended, true);
});

test("splits a large head over CONTINUATION", () => {
  const s = scene();
  s.service.answer = ({ response }) =>
    response.head(responseHead(200, field("a", "v".repeat(20_000)), field("b", "w".repeat(20_000))), true);
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.settle();
  assert.deepEqual(
    s.peer.frames.map((f) => [f.type, f.flags, f.payload.length > 0 && f.payload.length <= 16_384]),
    [
      [1, 1, true],
      [9, 0, true],
      [9, 4, true],
    ],
  );
  const whole = Buffer.concat(s.peer.frames.map((f) => f.payload));
  assert.ok(whole.includes("v".repeat(20_000)) && whole.includes("w".repeat(20_000)));
});

test("leaves out of a response what belongs to one HTTP/1 connection", () => {
  const s = scene();
  s.service.answer = ({ response }) =>
    response.head(
      responseHead(
        200,
        field("connection", "close"),
        field("keep-alive", "1"),
        field("transfer-encoding", "chunked"),
        field("x", "1"),
      ),
      true,
    );
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["HEADERS 1 :status=200 x=1 END"]);
});

test("resets instead of sending a status that HTTP/2 does not have", () => {
  const s = scene();
  s.service.answer = ({ response }) => response.head(responseHead(101), false);
  s.peer.shakeHands();
  s.peer.request(1);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["RST_STREAM 1 INTERNAL_ERROR"]);
});

// ---- abuse

test("H2-D01 ends a connection that opens and resets, and cancels each request", () => {
  const s = scene();
  s.service.answer = undefined;
  s.peer.shakeHands();
  for (let i = 0; i < 2000; i++) {
    s.peer.request(2 * i + 1);
    s.peer.rst(2 * i + 1, 8);
  }
  s.peer.settle();
  assert.match(s.peer.heard.at(-1) ?? "", /ENHANCE_YOUR_CALM/);
  assert.equal(s.service.requests.length, 251);
  for (const { request } of s.service.requests) assert.deepEqual(request.events, ["reset canceled"]);
});

test("lets a client cancel half of its requests, and any number late", () => {
  const s = scene();
  s.service.answer = undefined;
  s.peer.shakeHands();
  let id = 1;
  for (let i = 0; i < 1000; i++, id += 4) {
    s.peer.request(id);
    s.peer.request(id + 2);
    s.peer.rst(id, 8);
    s.peer.settle();
    s.service.at(2 * i + 1).response.head(responseHead(200), true);
  }
  for (let i = 0; i < 400; i++, id += 2) s.peer.request(id);
  s.peer.settle();
  s.clock.advance(1001);
  for (let i = 0; i < 400; i++) s.peer.rst(id - 2 - 2 * i, 8);
  s.peer.settle();
  assert.ok(!s.peer.heard.some((h) => h.startsWith("GOAWAY")));
});

test("H2-D02 ends a connection that makes us reset more than 1,024 streams", () => {
  const s = scene();
  s.service.answer = undefined;
  s.peer.shakeHands();
  for (let i = 0; i < 1024; i++) {
    s.peer.request(2 * i + 1);
    s.peer.windowUpdate(2 * i + 1, 0);
  }
  s.peer.settle();
  assert.equal(s.peer.heard.at(-1), "RST_STREAM 2047 PROTOCOL_ERROR");
  s.peer.request(2049);
  s.peer.windowUpdate(2049, 0);
  s.peer.settle();
  assert.equal(s.peer.heard.at(-1), "GOAWAY 2049 ENHANCE_YOUR_CALM");
  for (const { request } of s.service.requests) assert.deepEqual(request.events, ["reset bad_message"]);
});

test("H2-D06 answers every PING of a client that reads", () => {
  const s = scene();
  s.peer.shakeHands();
  for (let i = 0; i < 20; i++) {
    for (let j = 0; j < 1000; j++) s.peer.ping();
    s.peer.settle();
  }
  assert.equal(s.peer.frames.length, 20_000);
});

for (const [id, what, send] of [
  ["H2-D07", "PINGs", (p: RawPeer) => p.ping()],
  ["H2-D08", "SETTINGS", (p: RawPeer) => p.settings([])],
] as const) {
  test(`${id} bounds what it owes a client that sends ${what} and never reads`, () => {
    const s = scene({}, { split: () => 4096 });
    s.peer.shakeHands();
    s.pair.left.stalled = true;
    for (let i = 0; i < 200; i++) {
      for (let j = 0; j < 100; j++) send(s.peer);
      s.peer.settle();
    }
    assert.ok(
      s.pair.right.mostWaiting < 65_536 + 1000 * 17 + 4096 * 2,
      `${s.pair.right.mostWaiting} bytes waited`,
    );
    if (!s.pair.right.paused) {
      // It said GOAWAY instead.
      assert.equal(s.pair.right.ended, true);
      return;
    }
    s.clock.advance(10_000);
    assert.equal(s.pair.right.destroyed, true);
  });
}

test("reads on when a client that did not read reads again", () => {
  const s = scene({}, { split: () => 4096 });
  s.peer.shakeHands();
  s.pair.left.stalled = true;
  for (let j = 0; j < 20_000; j++) s.peer.ping();
  s.peer.settle();
  assert.equal(s.pair.right.paused, true);
  s.clock.advance(9_999);
  s.pair.left.stalled = false;
  s.peer.settle();
  assert.equal(s.peer.frames.length, 20_000);
  s.clock.advance(60_000);
  assert.equal(s.pair.right.destroyed, false);
});

test("H2-D09 ends a connection after 100 empty DATA frames in a row", () => {
  const s = scene();
  s.peer.shakeHands();
  s.peer.request(1, false);
  for (let i = 0; i < 100; i++) s.peer.data(1, "", false);
  s.peer.data(1, "x", false);
  for (let i = 0; i < 100; i++) s.peer.data(1, "", false);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, []);
  s.peer.data(1, "", false);
  s.peer.settle();
  assert.equal(s.peer.heard.at(-1), "GOAWAY 1 ENHANCE_YOUR_CALM");
});

test("H2-D10 passes 20,000 DATA frames of one byte", () => {
  const s = scene();
  s.peer.shakeHands();
  s.peer.request(1, false);
  for (let i = 0; i < 20_000; i++) s.peer.data(1, "x", i === 19_999);
  s.peer.settle();
  assert.equal(s.service.at(0).request.bytes, 20_000);
  assert.equal(s.peer.heard.at(-1), "HEADERS 1 :status=200 END");
});

test("H2-D11 keeps nothing for 20,000 PRIORITY frames", () => {
  const s = scene();
  s.peer.shakeHands();
  for (let i = 0; i < 20_000; i++) s.peer.send(2, 0, 2 * i + 1, Buffer.concat([uint32(0), Buffer.of(1)]));
  s.peer.settle();
  stillServes(s, 1);
});

test("H2-A08 survives a table size that flips with every frame", () => {
  const s = scene();
  s.peer.shakeHands();
  for (let i = 0; i < 300; i++) {
    s.peer.settings([1, i % 2 ? 0xffff_ffff : 0]);
    s.peer.settings([1, 100]);
    s.peer.request(2 * i + 1);
    s.peer.settle();
  }
  const heads = s.peer.heard.filter((h) => h.startsWith("HEADERS"));
  assert.equal(heads.length, 300);
  assert.ok(heads.every((h) => h.endsWith(":status=200 END")));
});

test("a stream cut within a header block hurts nobody", () => {
  const s = scene();
  s.peer.shakeHands();
  s.peer.request(1, false);
  s.peer.raw(frameBytes(1, 1, 3, block(BASE)).subarray(0, 20));
  s.peer.settle();
  s.pair.left.destroy();
  s.peer.settle();
  assert.equal(s.pair.right.destroyed, true);
  assert.deepEqual(s.service.at(0).request.events, ["reset io"]);
});

test("announces no more credit than was delivered, whatever a layer gives", () => {
  const s = scene({ connectionWindowBytes: 65_536 });
  s.service.answer = ({ request }) => (request.holding = true);
  s.peer.shakeHands();
  s.peer.request(1, false);
  s.peer.data(1, Buffer.alloc(16_384), false);
  s.peer.settle();
  s.service.at(0).response.credit(1_000_000);
  s.service.at(0).response.credit(1_000_000);
  s.peer.settle();
  assert.deepEqual(s.peer.heard, ["WINDOW_UPDATE 0 16384", "WINDOW_UPDATE 1 16384"]);
});

test("tells its owner what was refused and why the connection ended", () => {
  const rejected: string[] = [];
  const closed: (string | undefined)[] = [];
  const s = scene({
    maxConcurrentStreams: 1,
    onRejected: (rejection, problem) => rejected.push(`${rejection}: ${problem}`),
    onClose: (error) => closed.push(error?.message),
  });
  s.peer.shakeHands();
  s.peer.headers(1, [...BASE, ["connection", "close"]], true);
  s.peer.headers(3, [...BASE, ["x", "v".repeat(70_000)]], true);
  s.peer.request(5, false);
  s.peer.request(7);
  s.peer.send(6, 0, 0, Buffer.alloc(7));
  s.peer.settle();
  s.clock.advance(1000);
  s.peer.settle();
  assert.deepEqual(rejected, [
    "malformed: connection has no meaning in HTTP/2",
    "too_large: header list too large",
    "refused: too many streams",
  ]);
  assert.deepEqual(closed, ["HTTP/2 error of client: PING size (FRAME_SIZE_ERROR)"]);
});
