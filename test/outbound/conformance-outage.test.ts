/** Endpoints that are not there, and what discovery says about their connections: statements without another test. */
import assert from "node:assert/strict";
import { createServer } from "node:http2";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { ReconnectingH2 } from "../../src/http/client/reconnecting-h2.ts";
import type { Transport } from "../../src/transport/transport.ts";
import type { Backend, ClientPolicy, Profile } from "../../src/policy/client-policy.ts";
import { NO_METADATA, type EndpointMetadata } from "../../src/policy/endpoint.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { CLIENT_PREFACE, FrameType } from "../../src/wire/http2/frame.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { EMPTY } from "./http/profile-setup.ts";
import { detect, outbound, Peer, until, WrittenControlPlane, type Conversation } from "./listening.ts";
import { must, name } from "./scripted.ts";

const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const FAILFAST_MS = 3_000;

/** A peer that takes HTTP/1 over HTTP/2. */
function hinted(peer: Peer, more: Partial<EndpointMetadata> = {}): Backend {
  const endpoint = { addr: peer.addr, metadata: { ...NO_METADATA, protocolHint: "h2", ...more } } as const;
  return { meta: metaDefault("backend"), dispatcher: { kind: "forward", endpoint } };
}

test("outbound 9.1, 16.7: while the endpoints refuse the first request is 504 after the wait, the next 503 at once, and a server that is back is used at once", async (t) => {
  const peer = await Peer.start(t);
  peer.server.close();
  const clock = new FakeClock();
  const { http1 } = detect(hinted(peer));
  const proxy = await outbound(t, { protocol: { kind: "http1", http1 }, clock });
  const ask = (): Conversation => {
    const client = proxy.dial();
    client.send(GET);
    return client;
  };
  // Connections keep the target, and with it the state of its queue.
  ask();
  const first = ask();
  const startMs = clock.nowMs();
  await until("the first is answered", () => {
    if (first.text === "") clock.advance(100);
    return first.closed;
  });
  assert.ok(clock.nowMs() - startMs >= FAILFAST_MS, `${clock.nowMs() - startMs}ms`);
  assert.match(first.text, /^HTTP\/1\.1 504 /);
  assert.match(first.text, /\r\nl5d-proxy-error: .*service in fail-fast\r\n/);
  assert.match(first.text, /\r\nconnection: close\r\n/);

  const second = ask();
  await until("the second is answered, though no time passes", () => second.closed);
  assert.match(second.text, /^HTTP\/1\.1 503 /);
  assert.match(second.text, /\r\nl5d-proxy-error: .*service unavailable\r\n/);
  assert.match(second.text, /\r\nconnection: close\r\n/);

  const server = createServer((_request, response) => response.end("back"));
  let sessions = 0;
  server.on("session", (session) => {
    sessions++;
    t.after(() => session.destroy());
  });
  await new Promise<void>((resolve) => server.listen(peer.addr.port, "127.0.0.1", resolve));
  t.after(() => server.close());
  await until("it is connected to", () => {
    if (sessions === 0) clock.advance(100);
    return sessions > 0;
  });
  const third = ask();
  await until("the third is answered", () => third.text.includes("back"));
  assert.match(third.text, /^HTTP\/1\.1 200 /);
});

test("outbound 10.2: pauses between attempts grow while they fail, and start anew after a connection that stood", async (t) => {
  const clock = new FakeClock();
  const attempts: number[] = [];
  const pairs: MemoryPair[] = [];
  let refuses = true;
  const endpoint = new ReconnectingH2({
    clock,
    random: () => 0,
    backoff: { minMs: 100, maxMs: 60_000, jitter: 0 },
    http2: {},
    connect: (): Promise<Transport> => {
      attempts.push(clock.nowMs());
      if (refuses) return Promise.reject(new ProxyError("io", "connection refused"));
      const pair = new MemoryPair();
      pairs.push(pair);
      return Promise.resolve(pair.left);
    },
    onReadiness: () => {},
    onConnectError: () => {},
  });
  t.after(() => endpoint.close());
  /** A millisecond at a time, as promises settle between. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      await turn();
      clock.advance(1);
    }
    await turn();
  };
  endpoint.start();
  await pass(699);
  assert.deepEqual(attempts, [0, 100, 300]);
  refuses = false;
  await pass(1);
  assert.deepEqual([attempts.length, endpoint.ready], [4, true]);
  pairs[0]?.right.destroy();
  pairs[0]?.settle();
  assert.equal(endpoint.ready, false);
  refuses = true;
  const lostAtMs = clock.nowMs();
  await pass(350);
  assert.deepEqual(
    attempts.slice(4).map((atMs) => atMs - lostAtMs),
    [100, 300],
  );
});

/** Type, payload. */
function framesOf(text: string): (readonly [number, Buffer])[] {
  const bytes = Buffer.from(text, "latin1").subarray(CLIENT_PREFACE.length);
  const frames: (readonly [number, Buffer])[] = [];
  for (let at = 0; bytes.length - at >= 9 && bytes.length - at >= 9 + bytes.readUIntBE(at, 3);) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    frames.push([bytes.readUInt8(at + 3), bytes.subarray(at + 9, end)]);
    at = end;
  }
  return frames;
}

test("outbound 3.11: what discovery says about the HTTP/2 of an endpoint goes before what is configured, group by group", async (t) => {
  const overrides = {
    flowControl: { kind: "fixed", streamWindow: 100_000, connectionWindow: 2_000_000 },
    keepAlive: { intervalMs: 1_000, timeoutMs: 3_000, whileIdle: true },
    maxConcurrentResetStreams: undefined,
    maxFrameSize: 32_768,
    maxSendBufferSize: undefined,
  } as const;
  for (const http2 of [undefined, overrides]) {
    // SETTINGS of its own, and an acknowledgement of ours.
    const settings = "\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    const peer = await Peer.start(t, (conversation) => conversation.send(settings));
    const clock = new FakeClock();
    const { http1 } = detect(hinted(peer, { http2 }));
    const proxy = await outbound(t, { protocol: { kind: "http1", http1 }, clock });
    proxy.dial().send(GET);
    const sent = (): string => peer.accepted[0]?.text ?? "";
    const has = (type: number): boolean => framesOf(sent()).some(([other]) => other === type);
    await until("the request is sent", () => has(FrameType.headers));
    const [first, second] = framesOf(sent());
    const announced = new Map<number, number>();
    const [, payload = Buffer.alloc(0)] = first ?? [];
    for (let at = 0; at < payload.length; at += 6)
      announced.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    const window = second?.[0] === FrameType.windowUpdate ? second[1].readUInt32BE(0) : 0;
    // 4: INITIAL_WINDOW_SIZE, 5: MAX_FRAME_SIZE. Defaults need not be said.
    const expected = http2 === undefined ? [undefined, undefined, 983_041] : [100_000, 32_768, 1_934_465];
    assert.deepEqual([announced.get(4), announced.get(5), window], expected);
    // The clock may have to move more than once: the silence is counted from the last byte that came.
    if (http2 !== undefined) {
      await until("it is asked whether it lives", () => {
        if (!has(FrameType.ping)) clock.advance(1_000);
        return has(FrameType.ping);
      });
    } else {
      clock.advance(2_000);
      await turn();
      assert.equal(has(FrameType.ping), false);
    }
  }
});

test("outbound 3.11: where discovery asks for adaptive windows, the first DATA of a response is followed by a PING", async (t) => {
  for (const flowControl of [undefined, { kind: "adaptive" } as const]) {
    const http2 = {
      flowControl,
      keepAlive: undefined,
      maxConcurrentResetStreams: 10,
      maxFrameSize: undefined,
      maxSendBufferSize: 10_000,
    };
    // SETTINGS and an acknowledgement; then a head of :status 200, and a body of one byte that ends it.
    const settings = "\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0";
    const answer = "\0\0\x01\x01\x04\0\0\0\x01\x88\0\0\x01\0\x01\0\0\0\x01x";
    const peer = await Peer.start(t, (conversation) => conversation.send(settings));
    const { http1 } = detect(hinted(peer, { http2 }));
    const proxy = await outbound(t, { protocol: { kind: "http1", http1 } });
    const client = proxy.dial();
    client.send(GET);
    const types = (): number[] => framesOf(peer.accepted[0]?.text ?? "").map(([type]) => type);
    await until("the request is sent", () => types().includes(FrameType.headers));
    peer.accepted[0]?.send(answer);
    await until("it is answered", () => client.text.endsWith("x") || client.text.endsWith("\r\n\r\n"));
    if (flowControl !== undefined) await until("it is asked", () => types().includes(FrameType.ping));
    else assert.equal(types().includes(FrameType.ping), false);
  }
});

const WEB = "web.shop.svc.cluster.local";

test("outbound 12.1: a name without a policy is its profile's endpoint, or else balanced under the profile's name", async (t) => {
  const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  const answering = () =>
    Peer.start(t, (conversation) => conversation.socket.on("data", () => conversation.send(OK)));
  const [pod, balanced] = [await answering(), await answering()];
  for (const [profile, expected] of [
    [{ ...EMPTY, endpoint: pod.endpoint, logical: undefined }, pod],
    [{ ...EMPTY, logical: name(`${WEB}:80`) }, balanced],
  ] as const) {
    const control = new WrittenControlPlane();
    control.endpoints = [balanced.endpoint];
    control.profiles.set(`${WEB}:80`, new WatchCell<Profile>(profile));
    const suffix = must(parseDnsName("svc.cluster.local"));
    const discovery = { profileSuffixes: [suffix], profileNetworks: [], detectTimeoutMs: 10_000 };
    const options = { ingressMode: true };
    const protocol: ClientPolicy["protocol"] = { kind: "tls", routes: [] };
    const proxy = await outbound(t, { protocol, control, target: { discovery }, options });
    const client = proxy.dial();
    const before = expected.accepted.length;
    client.send(`GET / HTTP/1.1\r\nHost: web\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
    await until("it is answered", () => client.text.endsWith("ok"));
    assert.equal(expected.accepted.length, before + 1);
    assert.deepEqual(
      control.resolutions.map(({ path }) => path),
      expected === pod ? [] : [WEB],
    );
  }
});
