/** The bounds of HTTP/2 connections that variables and discovery may set. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { H2Client } from "../../src/http/client/h2.ts";
import type { H2Options, H2ServerOptions } from "../../src/http/h2-options.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { FrameType } from "../../src/wire/http2/frame.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestHead, RecordingSink, responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { RawPeer } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";

const KIB = 1024;

/** A server that begins a response to each request, before a client without any window. */
function slowReader(options: H2ServerOptions) {
  const pair = new MemoryPair();
  const service = new ScriptedService(({ response }) => response.head(responseHead(200), false));
  const server = new H2Server(pair.right, service, { clock: new FakeClock(1_000), ...options });
  const peer = new RawPeer(pair, pair.left, "client");
  peer.shakeHands([4, 0]);
  const open = (id: number): void => {
    peer.request(id);
    peer.settle();
  };
  open(1);
  const send = (index: number, bytes: number, last = false): void => {
    service.at(index).response.data(Buffer.alloc(bytes), 0, bytes, last);
    peer.settle();
  };
  const credited = (index: number): number => service.at(index).request.credited;
  return { peer, open, send, credited, server };
}

test("outbound 3.1: without a send buffer credit is given for what left, and for no more", () => {
  const s = slowReader({});
  s.send(0, 10 * KIB);
  assert.equal(s.credited(0), 0);
  s.peer.windowUpdate(1, 1_000);
  s.peer.settle();
  assert.equal(s.credited(0), 1_000);
});

test("outbound 3.1: a send buffer takes so many bytes of a stream ahead, each credited once", () => {
  const s = slowReader({ sendBufferBytes: 10_000 });
  s.send(0, 8_000);
  assert.equal(s.credited(0), 8_000);
  s.send(0, 8_000);
  assert.equal(s.credited(0), 10_000);
  // What leaves makes room for what waits behind the buffer, which is credited then.
  s.peer.windowUpdate(1, 1_000);
  s.peer.settle();
  assert.equal(s.credited(0), 11_000);
  s.peer.windowUpdate(1, 6_000);
  s.peer.settle();
  assert.equal(s.credited(0), 16_000);
  s.send(0, 1_000);
  assert.equal(s.credited(0), 17_000);
  s.peer.windowUpdate(1, 100_000);
  s.send(0, 500, true);
  assert.equal(s.credited(0), 17_500);
  assert.equal(s.peer.dataBytes(1), 17_500);
});

test("LIM-13: a larger send buffer than 400 KiB is 400 KiB", () => {
  const s = slowReader({ sendBufferBytes: 10_000_000 });
  for (let i = 0; i < 10; i++) s.send(0, 64 * KIB);
  assert.equal(s.credited(0), 409_600);
});

test("LIM-13: the streams of a connection take 1 MiB ahead together, and a stream that ends gives back its share", () => {
  const s = slowReader({ sendBufferBytes: 409_600 });
  for (const id of [3, 5, 7]) s.open(id);
  for (let i = 0; i < 4; i++) s.send(i, 409_600);
  const total = (): number => [0, 1, 2, 3].reduce((sum, i) => sum + s.credited(i), 0);
  assert.equal(total(), 1_048_576);
  assert.equal(s.credited(2), 1_048_576 - 2 * 409_600);
  assert.equal(s.credited(3), 0);
  s.peer.rst(1, 8);
  s.peer.settle();
  s.open(9);
  s.send(4, 409_600);
  assert.equal(s.credited(4), 409_600);
});

test("outbound 3.11: of the streams that we reset only the newest are remembered, as many as allowed", () => {
  const scene = (options: H2Options): string[] => {
    const pair = new MemoryPair();
    const service = new ScriptedService();
    const server = new H2Server(pair.right, service, { clock: new FakeClock(1_000), ...options });
    const peer = new RawPeer(pair, pair.left, "client");
    peer.shakeHands();
    // DATA that contradicts its length: we reset each of them.
    for (const id of [1, 3, 5]) {
      peer.request(id, false, ["content-length", "1"]);
      peer.data(id, "too much", false);
    }
    peer.settle();
    peer.frames.length = 0;
    for (const id of [5, 3, 1]) peer.data(id, "late", false);
    peer.settle();
    assert.equal(server.openStreams, 0);
    return peer.heard;
  };
  assert.deepEqual(scene({}), []);
  assert.deepEqual(scene({ resetStreams: 2 }), ["RST_STREAM 1 STREAM_CLOSED"]);
});

/** Opens and resets so many streams with one read, so many times. */
function resets(options: H2ServerOptions, perRead: number, reads: number): RawPeer {
  const pair = new MemoryPair();
  const clock = new FakeClock(1_000);
  const server = new H2Server(pair.right, new ScriptedService(), { clock, ...options });
  const peer = new RawPeer(pair, pair.left, "client");
  peer.shakeHands();
  let id = 1;
  for (let read = 0; read < reads; read++) {
    for (let i = 0; i < perRead; i++, id += 2) {
      peer.request(id);
      peer.rst(id, 8);
    }
    peer.settle();
    clock.advance(2_000);
  }
  assert.equal(server.openStreams, 0);
  return peer;
}

test("outbound 3.1: more streams that one read opens and resets than an operator allows end the connection", () => {
  const allowed = resets({ pendingResetStreams: 20 }, 20, 10);
  assert.deepEqual(allowed.of(FrameType.goaway), []);
  const over = resets({ pendingResetStreams: 20 }, 21, 1);
  assert.match(over.heard.at(-1) ?? "", /GOAWAY 41 ENHANCE_YOUR_CALM/);
  assert.match(resets({ pendingResetStreams: 0 }, 1, 1).heard.at(-1) ?? "", /ENHANCE_YOUR_CALM/);
});

test("LIM-15: no operator can allow more resets than we do", () => {
  assert.deepEqual(resets({}, 250, 1).of(FrameType.goaway), []);
  assert.deepEqual(resets({ pendingResetStreams: 1_000_000 }, 250, 1).of(FrameType.goaway), []);
  assert.match(resets({ pendingResetStreams: 1_000_000 }, 251, 1).heard.at(-1) ?? "", /ENHANCE_YOUR_CALM/);
});

test("a call that is handed back says how much of its body is credited, what was taken ahead included", () => {
  const pair = new MemoryPair();
  let credited: number | undefined;
  const client = new H2Client(pair.left, {
    clock: new FakeClock(1_000),
    sendBufferBytes: 6_000,
    onUnprocessed: (call) => {
      credited = call.credited;
      return undefined;
    },
  });
  const peer = new RawPeer(pair, pair.right, "server");
  peer.shakeHands([4, 1_000]);
  const sink = new RecordingSink();
  const request = client.call(requestHead("POST", "/"), false, sink);
  request.data(Buffer.alloc(10_000), 0, 10_000, false);
  peer.settle();
  assert.equal(sink.credited, 7_000);
  peer.rst(1, 7);
  peer.settle();
  assert.equal(credited, 7_000);
  client.destroy(sink.error ?? assert.fail("it was not reset"));
});
