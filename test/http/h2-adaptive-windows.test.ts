import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { ByteBudget } from "../../src/http/byte-budget.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import { AdaptiveWindows, PROCESS_ADAPTIVE_WINDOWS } from "../../src/http/h2-adaptive-windows.ts";
import type { H2ServerOptions } from "../../src/http/h2-options.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { FrameFlag, FrameType } from "../../src/wire/http2/frame.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { requestHead, responseHead, RecordingSink, ScriptedService } from "../support/h2-exchange.ts";
import { RawPeer } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";

const MIB = 1024 * 1024;
const ADAPTIVE: H2ServerOptions = { adaptiveWindows: true };

/** A server that takes requests and credits what comes, before a raw client. */
function scene(t: TestContext, options: H2ServerOptions = ADAPTIVE) {
  const pair = new MemoryPair();
  const clock = new FakeClock(1_000);
  const service = new ScriptedService();
  const server = new H2Server(pair.right, service, { clock, ...options });
  t.after(() => {
    pair.left.destroy();
    pair.settle();
    assert.equal(PROCESS_ADAPTIVE_WINDOWS.usedBytes, 0);
  });
  const peer = new RawPeer(pair, pair.left, "client");
  peer.shakeHands();
  peer.request(1, false);
  peer.settle();
  peer.frames.length = 0;
  return { pair, peer, clock, service, server };
}

type Scene = ReturnType<typeof scene>;

function sendData({ peer }: Scene, id: number, bytes: number): void {
  for (let left = bytes; left > 0; left -= 16_384) peer.data(id, Buffer.alloc(Math.min(left, 16_384)), false);
  peer.settle();
}

/** No credit is given from now on, as if nothing were read beyond the proxy. */
function hold({ service }: Scene): void {
  for (const { request } of service.requests) request.holding = true;
}

/** Answers the PING that came. */
function pong({ peer }: Scene): void {
  const ping = peer.of(FrameType.ping).at(-1);
  assert.ok(ping, "there was no PING");
  peer.send(FrameType.ping, FrameFlag.ack, 0, ping.payload);
  peer.settle();
}

function pings({ peer }: Scene): number {
  return peer.of(FrameType.ping).filter(({ flags }) => (flags & FrameFlag.ack) === 0).length;
}

/** INITIAL_WINDOW_SIZE as it was announced, one after the other. */
function announced({ peer }: Scene): number[] {
  return peer
    .of(FrameType.settings)
    .flatMap(({ flags, payload }) =>
      flags === 0 && payload.readUInt16BE(0) === 4 ? [payload.readUInt32BE(2)] : [],
    );
}

test("outbound 3.1: the first DATA is followed by a PING, and windows grow with its answer", (t) => {
  const s = scene(t);
  sendData(s, 1, 60_000);
  assert.equal(pings(s), 1);
  s.clock.advance(20);
  pong(s);
  assert.deepEqual(announced(s), [120_000]);
  // The connection had a larger window all along.
  assert.equal(
    s.peer
      .of(FrameType.windowUpdate)
      .some(({ id, payload }) => id === 0 && payload.readUInt32BE(0) > 200_000),
    false,
  );
});

test("outbound 3.1: without being asked for, nothing is sampled", (t) => {
  const s = scene(t, {});
  sendData(s, 1, 60_000);
  assert.equal(pings(s), 0);
});

test("a stream that is open when windows grow may use the new one, and not a byte more", (t) => {
  const s = scene(t);
  s.peer.request(3, false);
  s.peer.settle();
  hold(s);
  sendData(s, 1, 60_000);
  sendData(s, 3, 60_000);
  s.clock.advance(20);
  pong(s);
  assert.deepEqual(announced(s), [240_000]);
  sendData(s, 1, 180_000);
  assert.deepEqual(s.peer.of(FrameType.rstStream), []);
  sendData(s, 1, 1);
  assert.deepEqual(
    s.peer.heard.filter((frame) => frame.startsWith("RST")),
    ["RST_STREAM 1 FLOW_CONTROL_ERROR"],
  );
  // A stream that is opened afterwards has it as well.
  s.peer.request(5, false);
  s.peer.settle();
  hold(s);
  sendData(s, 5, 240_000);
  assert.deepEqual(s.peer.of(FrameType.rstStream).length, 1);
});

/** Lets a connection sample until its window is the largest; returns how many PINGs that took. */
function growToTheLargest(s: Scene): number {
  for (let rounds = 0; rounds < 20 && (announced(s).at(-1) ?? 0) < 16 * MIB; rounds++) {
    const window = announced(s).at(-1) ?? 65_535;
    sendData(s, 1, 1);
    for (let left = window; left > 0; left -= 60_000) sendData(s, 1, Math.min(left, 60_000));
    s.clock.advance(20);
    pong(s);
    s.clock.advance(1_000);
  }
  return pings(s);
}

test("LIM-12: neither a stream nor all of a connection together grows beyond 16 MiB, and then nobody is asked any more", (t) => {
  const s = scene(t);
  const asked = growToTheLargest(s);
  assert.equal(announced(s).at(-1), 16 * MIB);
  assert.equal(PROCESS_ADAPTIVE_WINDOWS.usedBytes, 15 * MIB);
  s.clock.advance(60_000);
  sendData(s, 1, 100_000);
  assert.equal(pings(s), asked);
  // What streams hold together is bounded by the window of the connection.
  hold(s);
  s.peer.request(3, false);
  s.peer.settle();
  hold(s);
  sendData(s, 1, 8 * MIB);
  sendData(s, 3, 7 * MIB);
  assert.equal(s.peer.ended, false);
  sendData(s, 3, 2 * MIB);
  assert.ok(s.peer.heard.includes("GOAWAY 3 FLOW_CONTROL_ERROR"), s.peer.heard.slice(-3).join());
});

test("LIM-12: where the process has nothing left to grow by, windows stay as they are", () => {
  const grown: number[] = [];
  const peer = { sendWindowPing: () => {}, growWindows: (bytes: number) => void grown.push(bytes) };
  const budget = new ByteBudget(2 * MIB);
  const windows = new AdaptiveWindows(peer, budget);
  const other = new AdaptiveWindows(peer, budget);
  const sample = (of: AdaptiveWindows, bytes: number, atMs: number): void => {
    of.onData(bytes, atMs);
    of.onPong(atMs + 10);
  };
  sample(windows, MIB, 0);
  sample(other, MIB, 0);
  assert.deepEqual([grown, budget.usedBytes], [[2 * MIB, 2 * MIB], 2 * MIB]);
  sample(windows, 2 * MIB, 1_000);
  assert.equal(grown.length, 2);
  // What one gives back another may have.
  other.stop();
  sample(windows, 4 * MIB, 2_000);
  assert.equal(grown.length, 2);
  windows.stop();
  assert.equal(budget.usedBytes, 0);
  windows.stop();
  assert.equal(budget.usedBytes, 0);
});

test("answers to other PINGs say nothing about windows, and one answer counts once", (t) => {
  const s = scene(t);
  sendData(s, 1, 60_000);
  s.clock.advance(20);
  s.peer.send(FrameType.ping, FrameFlag.ack, 0, Buffer.from("outrigKA"));
  s.peer.send(FrameType.ping, FrameFlag.ack, 0, Buffer.from("12345678"));
  s.peer.settle();
  assert.deepEqual(announced(s), []);
  pong(s);
  pong(s);
  assert.deepEqual(announced(s), [120_000]);
});

test("a peer that never answers is asked once, and keep-alive still ends it", (t) => {
  const keepAlive = { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true };
  const s = scene(t, { ...ADAPTIVE, keepAlive });
  sendData(s, 1, 60_000);
  s.clock.advance(9_000);
  sendData(s, 1, 1);
  assert.equal(pings(s), 1);
  s.clock.advance(10_000);
  s.peer.settle();
  assert.equal(pings(s), 2);
  s.clock.advance(3_000);
  s.peer.settle();
  assert.equal(s.peer.closed, true);
  assert.equal(s.clock.timers, 0);
});

test("an answer about windows is a sign of life for keep-alive, as any byte is", (t) => {
  const keepAlive = { intervalMs: 1_000, timeoutMs: 500, whileIdle: true };
  const s = scene(t, { ...ADAPTIVE, keepAlive });
  s.clock.advance(999);
  sendData(s, 1, 60_000);
  s.clock.advance(900);
  pong(s);
  s.clock.advance(900);
  assert.equal(s.peer.closed, false);
  // One for the windows so far: the answer of 900 ms ago was heard.
  s.peer.settle();
  assert.equal(pings(s), 1);
});

test("between two of our own ends windows grow, and a body larger than any of them arrives whole", () => {
  const pair = new MemoryPair();
  const clock = new FakeClock(1_000);
  const service = new ScriptedService(({ request, response }) => {
    request.collect = false;
    request.onEvent = (event) => {
      if (event === "last") response.head(responseHead(200), true);
    };
  });
  const server = new H2Server(pair.right, service, { clock, ...ADAPTIVE });
  const client = new H2Client(pair.left, { clock });
  const sink = new RecordingSink();
  const request = client.call(requestHead("POST", "/"), false, sink);
  const send = (last: boolean): void => {
    request.data(Buffer.alloc(MIB), 0, MIB, last);
    pair.settle();
    clock.advance(1_000);
  };
  for (let i = 0; i < 4; i++) send(false);
  const { request: served } = service.at(0);
  served.holding = true;
  send(true);
  // More than any window at the beginning.
  assert.ok(served.held > 65_535, `${served.held} bytes came without credit`);
  served.holding = false;
  served.release();
  pair.settle();
  assert.deepEqual([sink.response?.status, served.bytes, server.openStreams], [200, 5 * MIB, 0]);
  client.close();
  pair.settle();
  assert.equal(PROCESS_ADAPTIVE_WINDOWS.usedBytes, 0);
});

test("a server draws on no fixed window where it adapts", (t) => {
  const s = scene(t, { ...ADAPTIVE, streamWindowBytes: 1_000, connectionWindowBytes: 65_535 });
  hold(s);
  sendData(s, 1, 65_535);
  assert.deepEqual(s.peer.of(FrameType.rstStream), []);
  assert.equal(s.peer.ended, false);
});
