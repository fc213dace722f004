import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { parseAddr, type Addr } from "../../src/addr/name-addr.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { AdminServer } from "../../src/admin/admin-server.ts";
import { ControlClient } from "../../src/control/control-client.ts";
import { GrpcControlPlane } from "../../src/control/grpc-control-plane.ts";
import type { ReceiveLimits } from "../../src/control/receive-limits.ts";
import type { StreamContext } from "../../src/control/stream-context.ts";
import { detectHttp } from "../../src/detect/detect-http.ts";
import { detectTls } from "../../src/detect/detect-tls.ts";
import { H1Server } from "../../src/http/server/h1.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { createLog } from "../../src/log/create-log.ts";
import { DestinationProfileSchema } from "../../src/proto/gen/destination_pb.js";
import { systemClock } from "../../src/time/clock.ts";
import { CLIENT_PREFACE } from "../../src/wire/http2/frame.ts";
import { ListeningLog } from "../control/listening-log.ts";
import { TestCa } from "../support/certs.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { responseHead, ScriptedService } from "../support/h2-exchange.ts";
import { RawPeer as H2Peer } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { certifiedStore, HANDSHAKE_TIMEOUT_MS, TerminatingListener } from "../tls/mesh-peer.ts";
import { listening, portOf, until } from "./pair.ts";

/** Peers that take their time outside of HTTP messages: prefaces, handshakes, the control plane, scrapers. */
const DETECT_MS = 10_000;

test("H2-A13 a preface of one byte each 2s is opaque at the detect timeout, every byte of it kept", async () => {
  const clock = new FakeClock(1_000);
  const pair = new MemoryPair();
  const client = new RawPeer(pair.left);
  const detecting = detectHttp(pair.right, clock, DETECT_MS);
  for (let i = 0; i < 5; i++) {
    client.send(CLIENT_PREFACE.toString("latin1", i, i + 1));
    pair.settle();
    clock.advance(2_000);
  }
  const found = await detecting;
  assert.ok(found.kind === "timeout");
  assert.equal(found.prefix.toString("latin1"), "PRI *");
  assert.equal(clock.timers, 0);
});

test("H2-A13 where HTTP/2 is certain, a preface that trickles is served once it is complete", () => {
  const clock = new FakeClock(1_000);
  const pair = new MemoryPair();
  const service = new ScriptedService(({ response }) => response.head(responseHead(200), true));
  const server = new H2Server(pair.right, service, { clock });
  const peer = new H2Peer(pair, pair.left, "client");
  for (let i = 0; i < CLIENT_PREFACE.length; i++) {
    peer.raw(CLIENT_PREFACE.subarray(i, i + 1));
    pair.settle();
    clock.advance(2_000);
  }
  peer.settings([]);
  peer.request(1);
  peer.settle();
  assert.equal(peer.heard.at(-1), "HEADERS 1 :status=200 END");
  assert.equal(server.openStreams, 0);
});

test("SL-06 a ClientHello that never comes to its end is given up at the detect timeout", async () => {
  const clock = new FakeClock(1_000);
  const pair = new MemoryPair();
  const client = new RawPeer(pair.left);
  const detecting = detectTls(pair.right, clock, DETECT_MS);
  const hello = Buffer.from("1603010200010001fc0303", "hex").toString("latin1");
  for (const byte of hello.slice(0, 5)) {
    client.send(byte);
    pair.settle();
    clock.advance(2_000);
  }
  assert.equal((await detecting).kind, "timeout");
  assert.equal(clock.timers, 0);
});

test("SL-06 a handshake that stalls is closed 10s after it began", async () => {
  const clock = new FakeClock(1_000);
  await using listener = await TerminatingListener.open(certifiedStore(TestCa.create()), "ordinary", clock);
  const socket = connect(listener.addr.port, "127.0.0.1");
  socket.on("error", () => {});
  const gone = once(socket, "close");
  await once(socket, "connect");
  // The record says 512 bytes; five of them come.
  socket.write(Buffer.from("1603010200010001fc03", "hex"));
  const outcome = listener.next();
  const failed = assert.rejects(outcome, /not finished within 10000 ms/);
  await until("the handshake has begun", () => clock.timers > 0);
  clock.advance(HANDSHAKE_TIMEOUT_MS - 1);
  await turn();
  assert.equal(socket.destroyed, false);
  clock.advance(1);
  await failed;
  socket.resume();
  await gone;
});

const CHART: ReceiveLimits = { initialMs: 3_000, idleMs: 300_000, lifetimeMs: undefined };
const BACKOFF = { minMs: 5, maxMs: 20, jitter: 0 };

test("SL-08 an update that comes byte by byte is applied when it is complete, and bytes alone hold off no timer", async (t) => {
  const server = await listening(createServer());
  const sessions = new Set<ServerHttp2Session>();
  const streams: ServerHttp2Stream[] = [];
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    streams.push(stream);
  });
  const clock = new FakeClock(1_000);
  const log = new ListeningLog();
  const client = new ControlClient({
    service: "test",
    address: addr(`127.0.0.1:${portOf(server)}`),
    tls: undefined,
    connectTimeoutMs: 1_000,
    backoff: BACKOFF,
    clock: systemClock,
    log,
  });
  const context: StreamContext = { client, limits: CHART, backoff: BACKOFF, clock, log };
  const control = new GrpcControlPlane({
    destination: context,
    policy: context,
    contextToken: "",
    workload: "",
    outboundDetectTimeoutMs: DETECT_MS,
    inboundDetectTimeoutMs: DETECT_MS,
  });
  const held = new AbortController();
  t.after(() => {
    held.abort();
    client.close();
    for (const session of sessions) session.destroy();
    server.close();
  });
  const profile = (opaqueProtocol: boolean): Buffer => {
    const fields = { fullyQualifiedName: "web.shop.svc.cluster.local", opaqueProtocol };
    const bytes = toBinary(DestinationProfileSchema, create(DestinationProfileSchema, fields));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([prefix, bytes]);
  };
  const stream = (index: number): ServerHttp2Stream => {
    const found = streams[index];
    assert.ok(found !== undefined);
    return found;
  };
  /** Each byte in a DATA frame of its own. */
  const trickle = async (index: number, bytes: Buffer): Promise<void> => {
    for (const byte of bytes) {
      stream(index).write(Buffer.of(byte));
      await turn();
    }
  };

  let arrived = false;
  const lookup = control.watchProfile(addr("web.shop.svc.cluster.local:80"), held.signal);
  void lookup.then(() => (arrived = true));
  await until("the first stream", () => streams.length === 1);
  const first = profile(false);
  await trickle(0, first.subarray(0, -1));
  clock.advance(2_999);
  assert.equal(arrived, false);
  await trickle(0, first.subarray(-1));
  const watch = await lookup;
  assert.equal(watch?.value.opaqueProtocol, false);

  const second = profile(true);
  await trickle(0, second.subarray(0, -1));
  assert.equal(watch.value.opaqueProtocol, false);
  await trickle(0, second.subarray(-1));
  await until("the second update", () => watch.value.opaqueProtocol);

  // Part of a message is no sign of life.
  clock.advance(299_999);
  await trickle(0, first.subarray(0, -1));
  clock.advance(1);
  await until("the idle stream is left", () => stream(0).closed);
  await until("it is asked again", () => {
    clock.advance(5);
    return streams.length === 2;
  });
  await trickle(1, first.subarray(0, -1));
  clock.advance(3_000);
  await until("a stream without a first message is left", () => stream(1).closed);
  assert.equal(watch.value.opaqueProtocol, true);
});

test("SL-09 scrapers that read 1 KB a second hold a bounded part of a page of 5 MB, and others are served", async () => {
  const clock = new FakeClock(1_000);
  const piece = "m".repeat(9_999) + "\n";
  let made = 0;
  const admin = new AdminServer({
    isReady: () => true,
    scrape: async function* () {
      for (let i = 0; i < 500; i++) {
        made += piece.length;
        yield piece;
      }
    },
    environment: new Map(),
    logging: createLog({ filter: "off", format: "plain", write: () => {} }),
    shutdownEnabled: false,
    shutdown: () => {},
  });
  const open = (): { pair: MemoryPair; client: RawPeer; server: H1Server } => {
    const pair = new MemoryPair();
    const client = new RawPeer(pair.left);
    const local = parseSocketAddr("127.0.0.1:1");
    assert.ok(local.ok);
    const server = new H1Server(pair.right, admin.serviceFor(local.value), { clock });
    return { pair, client, server };
  };
  const slow = Array.from({ length: 4 }, open);
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      for (const { pair } of slow) pair.settle();
      await turn();
    }
  };
  for (const { pair, client } of slow) {
    client.send("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    pair.settle();
    pair.left.stalled = true;
  }
  await settle();
  // What a socket takes, what may be under way, and the piece being made, for each.
  const bound = slow.length * (65_536 + 65_536 + 2 * piece.length);
  assert.ok(made > 0 && made <= bound, `${made} bytes were made`);
  const other = open();
  other.client.send("GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
  for (let i = 0; i < 5; i++) {
    other.pair.settle();
    await turn();
  }
  assert.deepEqual(other.client.statuses, [200]);
  // The page comes to its end once it is read.
  for (const { pair } of slow) pair.left.stalled = false;
  for (let i = 0; i < 2_000 && slow.some(({ client }) => !client.received.endsWith("0\r\n\r\n")); i++)
    await settle();
  for (const { client } of slow) assert.ok(client.received.length > 500 * piece.length);
});

function addr(text: string): Addr {
  const result = parseAddr(text);
  assert.ok(result.ok);
  return result.value;
}
