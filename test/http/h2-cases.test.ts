import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameFlag, FrameType } from "../../src/wire/http2/frame.ts";
import { H2_CONCURRENT_STREAMS } from "../../src/wire/limits.ts";
import { H2Front, H2ToH1, H2ToH2 } from "../support/h2-front.ts";
import { bodyOf, BodySource, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { slowness } from "../support/slowness.ts";
import { block, REST_OF_REQUEST, uint32, type Pairs } from "../support/h2-raw-peer.ts";

/** Cases of validation, translation and limits that need an origin behind the proxy, or the limits as they ship. */
const BASE: Pairs = [[":method", "GET"], ...REST_OF_REQUEST];
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** Answers 200 once a request is complete. */
function answering(): ScriptedService {
  return new ScriptedService(({ last, request, response }) => {
    const answer = (): void => response.head(responseHead(200), true);
    if (last) return answer();
    request.onEvent = (event) => {
      if (event === "last" || event === "trailers") answer();
    };
  });
}

async function stillServes(front: H2Front, id: number): Promise<void> {
  front.peer.frames.length = 0;
  front.peer.request(id);
  await front.settle();
  assert.deepEqual(front.peer.heard, [`HEADERS ${id} :status=200 END`]);
}

// ---- validation and translation

test("H2-T49 a GET with a body arrives with it, over either protocol", async () => {
  const service = answering();
  const h2 = new H2ToH2(service);
  const h1 = new H2ToH1();
  for (const front of [h2, h1]) {
    front.peer.shakeHands();
    front.peer.headers(1, BASE, false);
    front.peer.data(1, "body", true);
    await front.settle();
  }
  assert.equal(service.at(0).head.method.value, "GET");
  assert.equal(service.at(0).request.text, "body");
  assert.equal(
    h1.origin(0).received,
    "GET /a HTTP/1.1\r\nhost: h.test\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
  );
});

test("H2-T52 trailers are kept, over either protocol", async () => {
  const service = answering();
  const h2 = new H2ToH2(service);
  const h1 = new H2ToH1();
  for (const front of [h2, h1]) {
    front.peer.shakeHands();
    front.peer.request(1, false);
    front.peer.data(1, "body", false);
    front.peer.headers(1, [["x-sum", "1"]], true);
    await front.settle();
  }
  const { request } = service.at(0);
  assert.equal(request.text, "body");
  assert.deepEqual(
    request.trailerFields?.map((f) => [f.name.text, f.value]),
    [["x-sum", "1"]],
  );
  assert.match(h1.origin(0).received, /\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n$/);
});

test("H2-T55 a CONNECT always gets a final status, whatever the origin does", async () => {
  const connect: Pairs = [
    [":method", "CONNECT"],
    [":authority", "h.test:443"],
  ];
  const cases: [string, (front: H2ToH1) => void, RegExp][] = [
    ["takes it", (f) => f.origin(0).send("HTTP/1.1 200 OK\r\n\r\n"), /^HEADERS 1 :status=200$/],
    [
      "refuses it",
      (f) => f.origin(0).send("HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n"),
      /^HEADERS 1 :status=405 .*END$/,
    ],
    ["closes", (f) => f.origin(0).end(), /^HEADERS 1 :status=502 .*END$/],
  ];
  for (const [what, act, expected] of cases) {
    const front = new H2ToH1();
    front.peer.shakeHands();
    front.peer.headers(1, connect, false);
    await front.settle();
    assert.match(front.origin(0).received, /^CONNECT h\.test:443 HTTP\/1\.1\r\n/);
    act(front);
    await front.settle();
    assert.match(front.peer.heard[0] ?? "nothing", expected, what);
    if (what !== "takes it") continue;
    // A tunnel: bytes pass both ways without framing of their own.
    front.peer.data(1, "ping", false);
    front.origin(0).send("pong");
    await front.settle();
    assert.match(front.origin(0).received, /\r\n\r\nping$/);
    assert.equal(front.peer.dataBytes(1), 4);
  }
});

test("H2-T58 content_length is a header like any other, and frames nothing", async () => {
  const front = new H2ToH1();
  front.peer.shakeHands();
  front.peer.headers(1, [[":method", "POST"], ...REST_OF_REQUEST, ["content_length", "3"]], false);
  front.peer.data(1, "12345", true);
  await front.settle();
  assert.equal(
    front.origin(0).received,
    "POST /a HTTP/1.1\r\nhost: h.test\r\ncontent_length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n",
  );
  front.origin(0).send(OK);
  await front.settle();
  assert.match(front.peer.heard[0] ?? "nothing", /^HEADERS 1 :status=200/);
});

test("UP-11 extended CONNECT is not offered, and is refused on its stream alone", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.settle();
  const [offered] = front.peer.of(FrameType.settings);
  assert.ok(offered !== undefined);
  for (let at = 0; at < offered.payload.length; at += 6) {
    // SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 section 3.
    assert.notEqual(offered.payload.readUInt16BE(at), 8);
  }
  front.peer.shakeHands();
  front.peer.headers(1, [[":method", "CONNECT"], [":protocol", "websocket"], ...REST_OF_REQUEST], false);
  await front.settle();
  assert.deepEqual(front.peer.heard, ["RST_STREAM 1 PROTOCOL_ERROR"]);
  assert.equal(service.requests.length, 0);
  assert.equal(front.rejections[0]?.[0], "malformed");
  await stillServes(front, 3);
});

// ---- limits

test("H2-L02 a header list of 17 KB over CONTINUATION is taken whole", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  front.peer.headers(1, [...BASE, ["x", "v".repeat(17_000)]], true);
  await front.settle();
  assert.equal(service.at(0).head.fields[0]?.value.length, 17_000);
  assert.deepEqual(front.peer.heard, ["HEADERS 1 :status=200 END"]);
});

test("H2-L04 2,000 small fields are answered with 431 on their stream, and counted", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  front.peer.headers(1, [...BASE, ...Array.from({ length: 2000 }, (_, i) => [`x${i}`, "v"] as const)], true);
  await front.settle();
  assert.deepEqual(front.peer.heard, ["HEADERS 1 :status=431 END"]);
  assert.equal(service.requests.length, 0);
  assert.deepEqual(front.rejections, [["too_large", "header list too large"]]);
  await stillServes(front, 3);
});

test("H2-M01 a client that never acknowledges and takes frames of 16 MiB is served in small frames", async () => {
  const service = new ScriptedService(({ response }) => {
    response.head(responseHead(200), false);
    response.data(bodyOf(40_000), 0, 40_000, true);
  });
  const front = new H2Front(service);
  front.peer.raw(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  front.peer.settings([5, 0xff_ffff]);
  front.peer.request(1);
  await front.settle();
  front.clock.advance(60_000);
  front.peer.request(3);
  await front.settle();
  assert.equal(front.peer.dataBytes(1), 40_000);
  assert.ok(front.peer.of(FrameType.data).every((frame) => frame.payload.length <= 16_384));
  assert.ok(front.peer.heard.includes("HEADERS 3 :status=200"));
});

/** An origin whose responses are 10 MB each, sent as its peer gives credit; tells how much it could send. */
function bulkOrigin(
  bytes = 10_000_000,
  window = 65_536,
): { service: ScriptedService; credited: () => number } {
  const body = bodyOf(bytes);
  let credited = 0;
  const service = new ScriptedService(({ request, response }) => {
    const source = new BodySource(body, window, 16_384);
    request.onEvent = (event) => {
      if (event !== "credit") return;
      const due = request.credited;
      request.credited = 0;
      credited += due;
      source.credit(due);
    };
    response.head(responseHead(200), false);
    source.start(response);
  });
  return { service, credited: () => credited };
}

test("H2-M02 with a window of 0 the head is sent, the body is parked within 400 KiB, and others live", async () => {
  const { service, credited } = bulkOrigin();
  const front = new H2ToH2(service);
  front.peer.shakeHands([4, 0]);
  front.peer.request(1);
  await front.settle();
  assert.deepEqual(front.peer.heard, ["HEADERS 1 :status=200"]);
  const parked = credited();
  assert.ok(parked > 0 && parked <= 409_600, `${parked} bytes left the origin`);
  front.peer.request(3);
  front.peer.windowUpdate(3, 1000);
  await front.settle();
  assert.equal(front.peer.dataBytes(3), 1000);
  assert.equal(front.peer.dataBytes(1), 0);
  front.peer.windowUpdate(1, 500);
  await front.settle();
  assert.equal(front.peer.dataBytes(1), 500);
});

// ---- abuse

test("H2-D12 fields without a name fail each stream, are not kept, and end the connection in the end", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  const empty = Array.from({ length: 20 }, () => ["", ""] as const);
  // Literals with indexing: they would be remembered for the next block.
  const bytes = Buffer.concat([block(BASE), block(empty, 0x40)]);
  for (let i = 0; i < 2000; i++) front.peer.send(FrameType.headers, 5, 2 * i + 1, bytes);
  await front.settle();
  const { heard } = front.peer;
  assert.equal(heard.filter((h) => /^RST_STREAM \d+ PROTOCOL_ERROR$/.test(h)).length, 1025);
  assert.match(heard.at(-1) ?? "", /ENHANCE_YOUR_CALM$/);
  assert.equal(service.requests.length, 0);
  assert.equal(front.rejections.length, 1025);
  assert.equal(front.server.openStreams, 0);
});

test("H2-D13 streams above the advertised limit are refused, and those below it are unharmed", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  const more = 500;
  for (let i = 0; i < H2_CONCURRENT_STREAMS + more; i++) front.peer.request(2 * i + 1, false);
  await front.settle();
  assert.equal(front.server.openStreams, H2_CONCURRENT_STREAMS);
  assert.equal(front.peer.heard.filter((h) => h.endsWith("REFUSED_STREAM")).length, more);
  assert.equal(front.rejections.filter(([kind]) => kind === "refused").length, more);
  front.peer.frames.length = 0;
  for (let i = 0; i < H2_CONCURRENT_STREAMS; i++) front.peer.data(2 * i + 1, "x", true);
  await front.settle();
  assert.equal(front.peer.heard.filter((h) => h.endsWith(":status=200 END")).length, H2_CONCURRENT_STREAMS);
  assert.equal(front.server.openStreams, 0);
});

test("H2-A01 SL-07 a window opened byte by byte on 100 streams costs one frame each, and bounded memory", async () => {
  const { service, credited } = bulkOrigin(1_000_000, 8_192);
  const front = new H2Front(service);
  front.peer.shakeHands([4, 0]);
  for (let i = 0; i < 100; i++) front.peer.request(2 * i + 1);
  await front.settle();
  assert.equal(credited(), 0);
  front.peer.frames.length = 0;
  // As many as one read of the socket can hold: the longest that one turn may take.
  const updates = 5_000;
  for (let i = 0; i < updates; i++) front.peer.windowUpdate(2 * (i % 100) + 1, 1);
  const before = process.cpuUsage();
  await front.settle();
  const { user, system } = process.cpuUsage(before);
  const data = front.peer.of(FrameType.data);
  assert.equal(data.length, updates);
  assert.ok(data.every((frame) => frame.payload.length === 1));
  // Only what left makes room for more.
  assert.equal(credited(), updates);
  // INV-7 with room for the other end, which works in the same process.
  assert.ok(user + system < 100_000 * slowness(), `${user + system}us for ${updates} updates`);
});

test("H2-A02 constant reprioritisation changes nothing and is not remembered", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  for (let i = 0; i < 10; i++) front.peer.request(2 * i + 1, false);
  await front.settle();
  front.peer.frames.length = 0;
  for (let i = 0; i < 20_000; i++) {
    const id = 2 * (i % 10) + 1;
    const parent = 2 * ((i * 7 + 1) % 10) + 1;
    if (parent === id) continue;
    front.peer.send(
      FrameType.priority,
      0,
      id,
      Buffer.concat([uint32((parent | 0x8000_0000) >>> 0), Buffer.of(i & 255)]),
    );
  }
  await front.settle();
  assert.deepEqual(front.peer.heard, []);
  assert.equal(front.server.openStreams, 10);
  await stillServes(front, 21);
});

/** Each makes the server reset a stream that an exchange depends on. */
const MADE_RESETS: [string, (front: H2Front, id: number) => void][] = [
  ["H2-A03 an invalid request", (f, id) => f.peer.headers(id, [...BASE, ["connection", "close"]], true)],
  [
    "H2-A09 a WINDOW_UPDATE of 0",
    (f, id) => {
      f.peer.request(id, false);
      f.peer.windowUpdate(id, 0);
    },
  ],
  [
    "H2-A09 a window overflow",
    (f, id) => {
      f.peer.request(id, false);
      f.peer.windowUpdate(id, 0x7fff_ffff);
    },
  ],
  [
    "H2-A09 DATA beyond content-length",
    (f, id) => {
      f.peer.request(id, false, ["content-length", "1"]);
      f.peer.data(id, "12", false);
    },
  ],
  [
    "H2-A09 DATA on a half-closed stream",
    (f, id) => {
      f.peer.request(id);
      f.peer.data(id, "1", false);
    },
  ],
];

for (const [what, act] of MADE_RESETS) {
  test(`${what} on each stream cancels its exchange, and ends the connection after 1,024`, async () => {
    // Nothing is answered: each exchange hangs until it is cancelled.
    const service = new ScriptedService();
    const front = new H2Front(service);
    front.peer.shakeHands();
    for (let i = 0; i < 1024; i++) act(front, 2 * i + 1);
    await front.settle();
    assert.ok(!front.peer.heard.some((h) => h.startsWith("GOAWAY")));
    assert.equal(front.peer.of(FrameType.rstStream).length, 1024);
    for (let i = 1024; i < 1100; i++) act(front, 2 * i + 1);
    await front.settle();
    assert.match(front.peer.heard.at(-1) ?? "", /^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
    assert.equal(front.rejections.length, 1025);
    for (const { request } of service.requests) assert.equal(request.events.length, 1);
    front.clock.advance(1_000);
    await front.settle();
    assert.equal(front.closes.length, 1);
    assert.equal(front.clock.timers, 0);
  });
}

test("H2-A04 a hundred large responses of HTTP/1 origins for a client that does not read hold less than 8 MiB", async () => {
  const front = new H2ToH1();
  front.peer.shakeHands([4, 0x7fff_ffff]);
  front.peer.windowUpdate(0, 0x7fff_ffff - 65_535);
  for (let i = 0; i < 100; i++) front.peer.request(2 * i + 1);
  await front.settle();
  assert.equal(front.connections, 100);
  front.pair.left.stalled = true;
  const piece = "v".repeat(60_000);
  for (let i = 0; i < 100; i++) {
    front.origin(i).send(`HTTP/1.1 200 OK\r\ncontent-length: ${20 * piece.length}\r\n\r\n`);
    for (let n = 0; n < 20; n++) front.origin(i).send(piece);
  }
  await front.settle();
  const taken = 100 * 20 * piece.length - front.waitingAtOrigins();
  assert.ok(taken > 0 && taken <= 8 * 1_048_576, `${taken} bytes are held`);
  front.pair.left.stalled = false;
  await front.settle();
  for (let i = 0; i < 100; i++) assert.equal(front.peer.dataBytes(2 * i + 1), 20 * piece.length);
});

test("H2-A06 a header block without end is given up, and a connection may die inside of one", async () => {
  for (const [piece, count] of [
    [Buffer.alloc(0), 1_000],
    [Buffer.alloc(16_384, 0x82), 50],
  ] as const) {
    const service = answering();
    const front = new H2Front(service);
    front.peer.shakeHands();
    front.peer.send(FrameType.headers, FrameFlag.endStream, 1, block(BASE));
    for (let i = 0; i < count; i++) front.peer.send(FrameType.continuation, 0, 1, piece);
    await front.settle();
    assert.match(front.peer.heard.at(-1) ?? "", /ENHANCE_YOUR_CALM$/);
    assert.equal(service.requests.length, 0);
  }
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  front.peer.request(1, false);
  front.peer.send(FrameType.headers, 0, 3, block(BASE));
  front.peer.send(FrameType.continuation, 0, 3, Buffer.alloc(100, 0x82));
  await front.settle();
  front.pair.left.destroy();
  await front.settle();
  assert.equal(service.requests.length, 1);
  assert.deepEqual(service.at(0).request.events, ["reset io"]);
  assert.equal(front.closes.length, 1);
});

test("H2-A07 a small block that decodes to 16 MB is given up at four times the list limit", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  const bomb = Buffer.concat([block([["x", "v".repeat(4_000)]], 0x40), Buffer.alloc(4_000, 0xbe)]);
  const before = process.cpuUsage();
  front.peer.send(FrameType.headers, 5, 1, bomb);
  await front.settle();
  const { user, system } = process.cpuUsage(before);
  assert.match(front.peer.heard.at(-1) ?? "", /ENHANCE_YOUR_CALM$/);
  assert.equal(service.requests.length, 0);
  assert.ok(user + system < 50_000 * slowness(), `${user + system}us`);
  // Under that, the stream alone fails: 100 references are 400 KB for four times 64 KiB, 40 are not.
  const milder = new H2Front(service);
  milder.peer.shakeHands();
  milder.peer.send(
    FrameType.headers,
    5,
    1,
    Buffer.concat([block(BASE), block([["x", "v".repeat(4_000)]], 0x40), Buffer.alloc(40, 0xbe)]),
  );
  await milder.settle();
  assert.deepEqual(milder.peer.heard, ["HEADERS 1 :status=431 END"]);
  await stillServes(milder, 3);
});

test("H2-A10 4,096 stalled responses of 10 MB hold no more than the connection's window upstream", async () => {
  const { service, credited } = bulkOrigin();
  const front = new H2ToH2(service);
  front.peer.shakeHands([4, 0]);
  for (let i = 0; i < H2_CONCURRENT_STREAMS; i++) front.peer.request(2 * i + 1);
  await front.settle();
  assert.equal(front.server.openStreams, H2_CONCURRENT_STREAMS);
  assert.ok(credited() <= 1_048_576 + 65_536, `${credited()} bytes left the origin`);
  // No timeout is configured: they stay, and nothing runs meanwhile.
  front.clock.advance(300_000);
  await front.settle();
  assert.equal(front.server.openStreams, H2_CONCURRENT_STREAMS);
  // At the end of the grace period the transport is cut; every exchange ends.
  front.server.drain();
  front.pair.right.destroy();
  await front.settle();
  assert.equal(front.server.openStreams, 0);
  assert.equal(front.client.openStreams, 0);
  assert.equal(front.clock.timers, 0);
});

test("H2-A11 a client that never acknowledges our SETTINGS is served, and held to them once it does", async () => {
  const service = new ScriptedService(({ request }) => (request.holding = true));
  const front = new H2Front(service, { streamWindowBytes: 100 });
  front.peer.raw(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
  front.peer.settings([]);
  await front.settle();
  front.clock.advance(60_000);
  front.peer.request(1, false);
  // More than our window, but within the default that holds until the acknowledgement.
  front.peer.data(1, Buffer.alloc(5_000), false);
  await front.settle();
  assert.equal(service.at(0).request.bytes, 5_000);
  front.peer.send(FrameType.settings, FrameFlag.ack, 0);
  front.peer.request(3, false);
  front.peer.data(3, Buffer.alloc(101), false);
  await front.settle();
  assert.equal(front.peer.heard.at(-1), "RST_STREAM 3 FLOW_CONTROL_ERROR");
  assert.equal(service.at(0).request.error, undefined);
});

test("H2-A12 a connection with a preface and nothing more is kept; where PINGs are configured, a dead one is not", async () => {
  const service = answering();
  const idle = new H2Front(service);
  idle.peer.shakeHands();
  idle.clock.advance(3_600_000);
  await stillServes(idle, 1);
  assert.equal(idle.clock.timers, 0);

  const keepAlive = { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true };
  const live = new H2Front(service, { keepAlive });
  const dead = new H2Front(service, { keepAlive });
  for (const { peer } of [live, dead]) peer.shakeHands();
  for (let second = 0; second < 60; second++) {
    for (const front of [live, dead]) {
      front.clock.advance(1_000);
      await front.settle();
    }
    for (const ping of live.peer.of(FrameType.ping))
      live.peer.send(FrameType.ping, FrameFlag.ack, 0, ping.payload);
    live.peer.frames.length = 0;
    await live.settle();
    if (second === 11) assert.equal(dead.closes.length, 0);
    if (second === 12) assert.equal(dead.closes.length, 1);
  }
  assert.equal(dead.closes[0]?.code, "io");
  assert.equal(live.closes.length, 0);
});

test("H2-A15 padding counts in the windows and is given back at once; frames of nothing else are bounded", async () => {
  const service = answering();
  const front = new H2Front(service);
  front.peer.shakeHands();
  front.peer.request(1, false);
  const padded = Buffer.concat([Buffer.of(255), Buffer.from("x"), Buffer.alloc(255)]);
  // 20,000 frames of 257 bytes: five times the connection's window, and 78 times that of the stream.
  for (let i = 0; i < 20_000; i++) {
    front.peer.send(FrameType.data, 8, 1, padded);
    if (i % 100 === 0) await front.settle();
  }
  await front.settle();
  assert.equal(service.at(0).request.bytes, 20_000);
  assert.ok(!front.peer.heard.some((h) => /^(GOAWAY|RST)/.test(h)));
  const hollow = Buffer.concat([Buffer.of(255), Buffer.alloc(255)]);
  for (let i = 0; i < 101; i++) front.peer.send(FrameType.data, 8, 1, hollow);
  await front.settle();
  assert.match(front.peer.heard.at(-1) ?? "", /ENHANCE_YOUR_CALM$/);
});
