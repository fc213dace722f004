import assert from "node:assert/strict";
import { test } from "node:test";
import { ReconnectingH2 } from "../../src/http/client/reconnecting-h2.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { H2ClientOptions } from "../../src/http/h2-options.ts";
import { HttpBalancer } from "../../src/outbound/http/balancer.ts";
import { parseSocketAddr } from "../../src/addr/socket-addr.ts";
import { NO_METADATA } from "../../src/policy/endpoint.ts";
import { SENT_BODY_BYTES } from "../../src/http/client/sent-bodies.ts";
import type { Sink } from "../../src/http/message.ts";
import { PROCESS_REPLAY_MEMORY } from "../../src/http/replay-buffer.ts";
import { FrameType } from "../../src/wire/http2/frame.ts";
import { SettingId } from "../../src/wire/http2/settings.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { field, RecordingSink, requestHead } from "../support/h2-exchange.ts";
import { RawPeer } from "../support/h2-raw-peer.ts";
import { MemoryPair } from "../support/memory-transport.ts";

/** Divides every pause below, so that each attempt is told at its time. */
const STEP_MS = 5;

/** A server that is hostile or restarts, seen by the client that makes its connection again. */
class Upstream {
  readonly pairs: MemoryPair[] = [];
  readonly peers: RawPeer[] = [];
  readonly connectErrors: ProxyError[] = [];
  readonly service: ReconnectingH2;
  readinessChanges = 0;
  refuses = false;
  readonly #clock: FakeClock;
  readonly #dials: number[] = [];

  constructor(clock: FakeClock, http2: H2ClientOptions = {}, readinessChanged: () => void = () => {}) {
    this.#clock = clock;
    this.service = new ReconnectingH2({
      clock,
      random: () => 0.5,
      backoff: { minMs: 100, maxMs: 60_000, jitter: 0.1 },
      http2,
      connect: () => {
        this.#dials.push(clock.nowMs());
        if (this.refuses) return Promise.reject(new ProxyError("io", "refused"));
        const pair = new MemoryPair();
        this.pairs.push(pair);
        this.peers.push(new RawPeer(pair, pair.right, "server"));
        return Promise.resolve(pair.left);
      },
      onReadiness: () => {
        this.readinessChanges++;
        readinessChanged();
      },
      onConnectError: (error) => this.connectErrors.push(error),
    });
    this.service.start();
  }

  /** Pauses between attempts to connect, in milliseconds. */
  get pauses(): number[] {
    return this.#dials.slice(1).map((at, i) => at - (this.#dials[i] ?? 0));
  }

  get dials(): number {
    return this.#dials.length;
  }

  peer(index: number): RawPeer {
    const peer = this.peers[index];
    if (peer === undefined) throw new Error(`connection ${index} was not opened`);
    return peer;
  }

  /** Moves the clock on in steps, so that what timers begin gets its turn. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.#clock.advance(STEP_MS);
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      for (const pair of this.pairs) pair.settle();
      await Promise.resolve();
    }
  }
}

function ask(service: { call: ReconnectingH2["call"] }): RecordingSink {
  const sink = new RecordingSink();
  sink.source = service.call(requestHead("GET", "/"), true, sink);
  return sink;
}

test("HC-06 a server that says nothing after the connection is left after 10s, and others are used", async () => {
  const clock = new FakeClock(1_000);
  const upstreams = new Map<string, Upstream>();
  const balancer = new HttpBalancer({
    clock,
    random: () => 0,
    queueCapacity: 10,
    failfastTimeoutMs: 3_000,
    name: "backend test",
    makeEndpoint: ({ addr }, readinessChanged) => {
      const upstream = new Upstream(clock, {}, readinessChanged);
      upstreams.set(addr.ip.text, upstream);
      return {
        get ready() {
          return upstream.service.ready;
        },
        // The silent one is the cheaper one: it is chosen as long as it may be.
        load: () => (addr.ip.text === "192.0.2.1" ? 0 : 1),
        call: (head, last, response) => upstream.service.call(head, last, response),
        close: () => upstream.service.close(),
      };
    },
    onClose: () => {},
  });
  const endpoints = ["192.0.2.1:80", "192.0.2.2:80"].map((text) => ({
    addr: addr(text),
    metadata: NO_METADATA,
  }));
  balancer.update({ kind: "reset", endpoints });
  const [silent, good] = [upstreams.get("192.0.2.1"), upstreams.get("192.0.2.2")];
  assert.ok(silent !== undefined && good !== undefined);
  const settle = async (): Promise<void> => {
    await silent.settle();
    await good.settle();
  };
  await settle();
  good.peer(0).shakeHands();
  const hung = ask(balancer);
  await settle();
  assert.equal(silent.peer(0).of(FrameType.headers).length, 1);
  clock.advance(9_999);
  await settle();
  assert.deepEqual(hung.events, []);
  clock.advance(1);
  await settle();
  assert.deepEqual(hung.events, ["reset connect_timeout"]);
  assert.equal(silent.service.ready, false);
  const next = ask(balancer);
  await settle();
  good.peer(0).headers(1, [[":status", "200"]], true);
  await settle();
  assert.deepEqual(next.events, ["head 200", "last"]);
  balancer.close();
  await settle();
});

test("HC-11 a connection that dies under 1,000 streams ends each once, and is made again with back-off", async () => {
  const clock = new FakeClock(1_000);
  const upstream = new Upstream(clock);
  await upstream.settle();
  upstream.peer(0).shakeHands();
  const sinks = Array.from({ length: 1_000 }, () => ask(upstream.service));
  await upstream.settle();
  assert.equal(upstream.peer(0).of(FrameType.headers).length, 1_000);
  upstream.peer(0).headers(1, [[":status", "200"]], true);
  upstream.peer(0).headers(3, [[":status", "200"]], false);
  await upstream.settle();
  upstream.refuses = true;
  upstream.pairs[0]?.right.destroy();
  await upstream.settle();
  assert.deepEqual(sinks[0]?.events, ["head 200", "last"]);
  assert.deepEqual(sinks[1]?.events, ["head 200", "reset upstream_closed"]);
  for (const sink of sinks.slice(2)) assert.deepEqual(sink.events, ["reset upstream_closed"]);
  assert.equal(upstream.service.ready, false);
  assert.equal(upstream.dials, 1);
  // One attempt at a time: 100 ms doubling up to 60 s, each with half of the jitter of 0.1 on top.
  await upstream.pass(200_000);
  assert.deepEqual(
    upstream.pauses,
    [105, 210, 420, 840, 1_680, 3_360, 6_720, 13_440, 26_880, 53_760, 60_000],
  );
  // A request meanwhile fails at once, for the reason of the latest attempt.
  assert.deepEqual(ask(upstream.service).events, ["reset io"]);
  upstream.refuses = false;
  for (let waited = 0; !upstream.service.ready; waited += STEP_MS) {
    assert.ok(waited <= 60_000);
    await upstream.pass(STEP_MS);
  }
  upstream.peer(1).shakeHands();
  const after = ask(upstream.service);
  await upstream.settle();
  upstream.peer(1).headers(1, [[":status", "200"]], true);
  await upstream.settle();
  assert.deepEqual(after.events, ["head 200", "last"]);
  for (const sink of sinks.slice(2)) assert.equal(sink.events.length, 1);
  upstream.service.close();
  await upstream.settle();
  assert.equal(clock.timers, 0);
});

test("HC-12 a server that does not answer PING is left after 13s, and is not ready", async () => {
  const clock = new FakeClock(1_000);
  const keepAlive = { intervalMs: 10_000, timeoutMs: 3_000, whileIdle: true };
  const upstream = new Upstream(clock, { keepAlive });
  await upstream.settle();
  upstream.peer(0).shakeHands();
  const sink = ask(upstream.service);
  await upstream.settle();
  clock.advance(10_000);
  await upstream.settle();
  assert.equal(upstream.peer(0).of(FrameType.ping).length, 1);
  clock.advance(2_999);
  await upstream.settle();
  assert.equal(upstream.service.ready, true);
  clock.advance(1);
  await upstream.settle();
  assert.equal(upstream.service.ready, false);
  assert.equal(upstream.readinessChanges, 2);
  assert.deepEqual(sink.events, ["reset io"]);
  assert.equal(upstream.pairs[0]?.left.destroyed, true);
  upstream.service.close();
  assert.equal(clock.timers, 0);
});

test("HC-13 when stream ids run out a new connection takes over without an error", async () => {
  const clock = new FakeClock(1_000);
  // Room for two more streams.
  const upstream = new Upstream(clock, { firstStreamId: 2 ** 31 - 3 });
  await upstream.settle();
  upstream.peer(0).shakeHands();
  const sinks = [ask(upstream.service), ask(upstream.service)];
  await upstream.settle();
  assert.deepEqual(
    upstream
      .peer(0)
      .of(FrameType.headers)
      .map(({ id }) => id),
    [2 ** 31 - 3, 2 ** 31 - 1],
  );
  // Nothing more is sent there, so whoever asks waits for the next one.
  assert.equal(upstream.service.ready, false);
  await upstream.pass(120);
  assert.equal(upstream.service.ready, true);
  upstream.peer(1).shakeHands();
  sinks.push(ask(upstream.service));
  await upstream.settle();
  upstream.peer(0).headers(2 ** 31 - 3, [[":status", "200"]], true);
  upstream.peer(0).headers(2 ** 31 - 1, [[":status", "200"]], true);
  const [opened] = upstream.peer(1).of(FrameType.headers);
  upstream.peer(1).headers(opened?.id ?? 0, [[":status", "200"]], true);
  await upstream.settle();
  for (const { events } of sinks) assert.deepEqual(events, ["head 200", "last"]);
  assert.equal(upstream.pairs[0]?.left.ended, true);
  assert.deepEqual(upstream.connectErrors, []);
  upstream.service.close();
});

function addr(text: string) {
  const parsed = parseSocketAddr(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

interface Posted {
  readonly sink: RecordingSink;
  readonly request: Sink;
}

function post({ service }: Upstream): Posted {
  const sink = new RecordingSink();
  const request = service.call(requestHead("POST", "/"), false, sink);
  sink.source = request;
  return { sink, request };
}

function send({ request }: Posted, text: string, last: boolean): void {
  const bytes = Buffer.from(text);
  request.data(bytes, 0, bytes.length, last);
  // Whoever keeps the range instead of its bytes is found out.
  bytes.fill(0);
}

/** An upstream with a connection that stands. */
async function connected(clock: FakeClock, settings: readonly number[] = []): Promise<Upstream> {
  const upstream = new Upstream(clock);
  await upstream.settle();
  upstream.peer(0).shakeHands(settings);
  return upstream;
}

const OK = [[":status", "200"]] as const;
const bodiesOf = (peer: RawPeer): string[] =>
  peer.of(FrameType.data).map(({ id, flags, payload }) => `${id} ${payload.toString("latin1")} ${flags}`);

test("HC-01 streams above the last id of a GOAWAY are made again on the next connection, the others finish", async () => {
  const clock = new FakeClock(1_000);
  // The third has to wait for a place, and never gets one there.
  const upstream = await connected(clock, [SettingId.maxConcurrentStreams, 3]);
  const [seen, bare, full, waiting] = [
    ask(upstream.service),
    ask(upstream.service),
    post(upstream),
    post(upstream),
  ];
  send(full, "mess", false);
  send(waiting, "later", false);
  await upstream.settle();
  upstream.peer(0).goaway(1, 0);
  await upstream.settle();
  // What still comes of a request follows it.
  send(full, "age", true);
  waiting.request.trailers([field("checksum", "1")]);
  upstream.peer(0).headers(1, OK, true);
  await upstream.settle();
  assert.deepEqual(seen.events, ["head 200", "last"]);
  for (const { events } of [bare, full.sink, waiting.sink]) assert.deepEqual(events, []);
  await upstream.pass(110);
  const next = upstream.peer(1);
  next.shakeHands();
  await upstream.settle();
  assert.deepEqual(
    new Set([full.sink.credited, waiting.sink.credited]),
    new Set(["message".length, "later".length]),
    "the caller gets credit once for each byte",
  );
  for (const id of [1, 3, 5]) next.headers(id, OK, true);
  await upstream.settle();
  for (const { events } of [bare, full.sink, waiting.sink]) assert.deepEqual(events, ["head 200", "last"]);
  assert.equal(upstream.dials, 2);
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  upstream.service.close();
});

test("HC-01 a request that is made again carries its method, its body so far, the rest and its trailers", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const [whole, open] = [post(upstream), post(upstream)];
  send(whole, "whole", true);
  send(open, "one ", false);
  await upstream.settle();
  upstream.peer(0).goaway(0, 0);
  await upstream.settle();
  send(open, "two", false);
  open.request.trailers([field("checksum", "1")]);
  await upstream.pass(110);
  assert.deepEqual(bodiesOf(upstream.peer(1)), ["1 whole 1", "3 one  0", "3 two 0"]);
  assert.deepEqual(
    upstream.peer(1).heard.filter((text) => text.startsWith("HEADERS")),
    [
      "HEADERS 1 :method=POST :scheme=http :authority=h.test :path=/",
      "HEADERS 3 :method=POST :scheme=http :authority=h.test :path=/",
      "HEADERS 3 checksum=1 END",
    ],
  );
  upstream.service.close();
});

test("HC-01 is not made again: what was sent for an error, what is too large, what finds no server, and the second time", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const [large, small] = [post(upstream), ask(upstream.service)];
  send(large, "x".repeat(SENT_BODY_BYTES), false);
  send(large, "x", false);
  await upstream.settle();
  upstream.peer(0).goaway(0, 0);
  await upstream.settle();
  assert.deepEqual([large.sink.events, small.events], [["reset h2_goaway"], []]);
  await upstream.pass(110);
  upstream.peer(1).shakeHands();
  upstream.peer(1).goaway(0, 0);
  await upstream.settle();
  assert.deepEqual(small.events, ["reset h2_goaway"]);

  await upstream.pass(110);
  upstream.peer(2).shakeHands();
  const poison = ask(upstream.service);
  await upstream.settle();
  upstream.peer(2).goaway(0, 1);
  await upstream.settle();
  assert.deepEqual(poison.events, ["reset h2_goaway"]);

  await upstream.pass(110);
  upstream.peer(3).shakeHands();
  const lost = ask(upstream.service);
  await upstream.settle();
  upstream.refuses = true;
  upstream.peer(3).goaway(0, 0);
  await upstream.settle();
  assert.deepEqual(lost.events, []);
  await upstream.pass(110);
  assert.deepEqual(lost.events, ["reset h2_goaway"]);
  upstream.service.close();
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
});

test("HC-01 a client that leaves while its request waits is gone, and a closed endpoint lets nobody wait", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const [left, stays] = [post(upstream), post(upstream)];
  for (const posted of [left, stays]) send(posted, "body", true);
  await upstream.settle();
  upstream.peer(0).goaway(0, 0);
  await upstream.settle();
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 8);
  left.request.reset(new ProxyError("canceled", "gave up"));
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 4);
  upstream.service.close();
  assert.deepEqual([left.sink.events, stays.sink.events], [[], ["reset h2_goaway"]]);
  assert.equal(PROCESS_REPLAY_MEMORY.usedBytes, 0);
  assert.equal(clock.timers, 0);
});

test("HC-03 a refused stream is made again once, without anybody noticing", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const [once, twice, other] = [post(upstream), ask(upstream.service), ask(upstream.service)];
  send(once, "body", true);
  await upstream.settle();
  const peer = upstream.peer(0);
  for (const id of [1, 3]) peer.rst(id, 7);
  // Looked at, as any other code says.
  peer.rst(5, 8);
  await upstream.settle();
  assert.deepEqual([once.sink.events, twice.events, other.events], [[], [], ["reset h2_reset"]]);
  assert.deepEqual(bodiesOf(peer), ["1 body 1", "7 body 1"]);
  peer.headers(7, OK, true);
  peer.rst(9, 7);
  await upstream.settle();
  assert.deepEqual([once.sink.events, once.sink.credited], [["head 200", "last"], 4]);
  assert.deepEqual([twice.events, twice.error?.detail.h2Code], [["reset h2_reset"], 7]);
  assert.equal(upstream.dials, 1);
  upstream.service.close();
});

test("HC-03 streams refused by a server that then says GOAWAY are made again on the next connection", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const sink = ask(upstream.service);
  await upstream.settle();
  upstream.peer(0).rst(1, 7);
  upstream.peer(0).goaway(1, 0);
  await upstream.settle();
  assert.deepEqual(sink.events, []);
  await upstream.pass(110);
  assert.deepEqual(
    [0, 1].map((i) => upstream.peer(i).of(FrameType.headers).length),
    [1, 1],
  );
  upstream.service.close();
});

test("HC-03 a response that has begun is not asked for again", async () => {
  const clock = new FakeClock(1_000);
  const upstream = await connected(clock);
  const sink = ask(upstream.service);
  await upstream.settle();
  upstream.peer(0).headers(1, OK, false);
  upstream.peer(0).rst(1, 7);
  await upstream.settle();
  assert.deepEqual(sink.events, ["head 200", "reset h2_reset"]);
  upstream.service.close();
});
