import assert from "node:assert/strict";
import { test } from "node:test";
import { H1Server } from "../../src/http/server/h1.ts";
import { H1_HEAD_TIMEOUT_MS } from "../../src/wire/limits.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { H1Chain, withoutDate } from "../support/h1-chain.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { RecordingApp } from "../support/recording-app.ts";

/** Cases of HTTP/1 that are about what passes through unchanged, and about peers that take their time. */
const GET = "GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

test("H1-X03 values pass byte for byte in both directions, in one piece and cut anywhere", async () => {
  const high = Buffer.from(Array.from({ length: 128 }, (_, i) => 0x80 + i)).toString("latin1");
  const fields = [
    `x-high: ${high}`,
    "x-empty: ",
    `x-long: ${"v".repeat(8_192)}`,
    "x-tabs: a\tb\t\tc",
    "x-blanks: a  b",
  ].join("\r\n");
  for (const pairs of [{}, { split: () => 1 }, { split: () => 1_000 }]) {
    const chain = new H1Chain(pairs);
    await chain.request(`GET /a HTTP/1.1\r\nHost: h.test\r\n${fields}\r\n\r\n`);
    assert.equal(chain.origin(0).received, `GET /a HTTP/1.1\r\nhost: h.test\r\n${fields}\r\n\r\n`);
    await chain.answer(`HTTP/1.1 200 OK\r\n${fields}\r\ncontent-length: 0\r\n\r\n`);
    assert.equal(
      withoutDate(chain.client.received),
      `HTTP/1.1 200 OK\r\n${fields}\r\ncontent-length: 0\r\n\r\n`,
    );
  }
});

test("H1-X04 a client that expects 100 gets it once, whatever interim responses the origin sends", async () => {
  const chain = new H1Chain();
  await chain.request(
    "POST /a HTTP/1.1\r\nHost: h.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
  );
  await chain.answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
  await chain.request("body");
  assert.match(chain.origin(0).received, /\r\n\r\nbody$/);
  await chain.answer(OK);
  assert.equal(
    withoutDate(chain.client.received),
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
  );
  assert.equal(chain.pool.idleConnections, 1);
});

test("RS-26 an origin that is silent for 60s inside of a response is waited for", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab");
  chain.clock.advance(60_000);
  await chain.settle();
  assert.equal(chain.client.closed || chain.client.ended, false);
  await chain.answer("cd");
  assert.match(chain.client.received, /\r\n\r\nabcd$/);
  assert.equal(chain.pool.idleConnections, 1);
  assert.deepEqual(chain.errors, []);
});

test("SL-01 of 1,000 clients that trickle a head each gets 408 after 60s, and others are served meanwhile", () => {
  const clock = new FakeClock(1_000);
  const app = new RecordingApp();
  const refused: number[] = [];
  const open = (): { pair: MemoryPair; client: RawPeer; server: H1Server } => {
    const pair = new MemoryPair();
    const client = new RawPeer(pair.left);
    const server = new H1Server(pair.right, app, { clock, onRefused: (status) => refused.push(status) });
    return { pair, client, server };
  };
  const slow = Array.from({ length: 1_000 }, open);
  const good = open();
  const head = "GET /a HTTP/1.1\r\nX-Slow: y";
  // One byte each ten seconds: never done in time.
  for (let second = 0; second < H1_HEAD_TIMEOUT_MS / 1_000; second += 10) {
    for (const { pair, client } of slow) {
      client.send(head.charAt(second / 10));
      pair.settle();
      assert.equal(client.received, "");
    }
    good.client.send(GET);
    good.pair.settle();
    clock.advance(10_000);
  }
  for (const { pair } of slow) pair.settle();
  assert.ok(slow.every(({ client }) => client.statuses[0] === 408 && client.ended));
  assert.ok(slow.every(({ client }) => client.received.includes("connection: close")));
  assert.equal(good.client.statuses.filter((status) => status === 200).length, 6);
  assert.equal(good.client.ended, false);
  assert.deepEqual([refused.length, refused.every((status) => status === 408)], [1_000, true]);
  assert.equal(app.seen.length, 6);
});

test("SL-02 a body of one byte each 5s is passed on for as long as it takes, and nothing of it is kept", async () => {
  const chain = new H1Chain();
  await chain.request("POST /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: 200\r\n\r\n");
  for (let i = 0; i < 200; i++) {
    chain.clock.advance(5_000);
    await chain.request("x");
    assert.equal(chain.origin(0).received.split("\r\n\r\n")[1]?.length, i + 1);
  }
  await chain.answer(OK);
  assert.deepEqual(chain.client.statuses, [200]);
  assert.equal(chain.clock.timers, 1);
});

test("SL-03 a client that does not read stops its origin, within the window of a connection", async () => {
  const chain = new H1Chain({ blockAt: 65_536 });
  await chain.request(GET);
  const client = chain.clientPair.left;
  client.stalled = true;
  const piece = "v".repeat(16_384);
  await chain.answer(`HTTP/1.1 200 OK\r\ncontent-length: ${64 * piece.length}\r\n\r\n`);
  for (let i = 0; i < 64; i++) await chain.answer(piece);
  const waiting = chain.origins[0]?.pair.right.waitingBytes ?? 0;
  const inside = 64 * piece.length - waiting;
  // What the socket takes, the window, and one read on top.
  assert.ok(inside <= 3 * 65_536, `${inside} bytes were taken`);
  client.stalled = false;
  for (let before = -1; before !== chain.client.received.length;) {
    before = chain.client.received.length;
    await chain.settle();
  }
  assert.equal(chain.client.received.split("\r\n\r\n")[1]?.length, 64 * piece.length);
  assert.equal(chain.pool.idleConnections, 1);
});

test("SL-04 an origin that takes 30s for its head and a second for each byte is relayed as it comes", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  chain.clock.advance(30_000);
  await chain.answer("HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n");
  assert.deepEqual(chain.client.statuses, [200]);
  for (let i = 1; i <= 30; i++) {
    chain.clock.advance(1_000);
    await chain.answer("x");
    assert.equal(chain.client.received.split("\r\n\r\n")[1]?.length, i);
  }
  assert.equal(chain.pool.idleConnections, 1);
});

test("SL-05 a connection idle for 10 minutes serves the next request, over a fresh connection to the origin", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer(OK);
  chain.clock.advance(600_000);
  await chain.settle();
  assert.equal(chain.client.ended, false);
  // The one to the origin was given up long before, by us and not in the middle of this request.
  assert.equal(chain.origin(0).closed, true);
  await chain.request(GET);
  await chain.answer(OK);
  assert.deepEqual(chain.client.statuses, [200, 200]);
  assert.equal(chain.origins.length, 2);
  assert.deepEqual(chain.errors, []);
});
