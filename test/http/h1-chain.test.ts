import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { AUTHORITY, METHOD, PATH, RequestHead, type ResponseHead } from "../../src/http/message.ts";
import { H1Pool } from "../../src/http/pool.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { headerField } from "../../src/wire/header-field.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { H1Chain, withoutDate } from "../support/h1-chain.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { fieldsOf } from "../support/recording-app.ts";

/** Server, pool and client together: what the origin sees, upgrades, tunnels, reuse. */
const GET = "GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

test("the origin gets Host first, lower-case names, and everything else as it was", async () => {
  const chain = new H1Chain();
  await chain.request(
    "GET /a?b=%20c HTTP/1.1\r\nX-A: 1\r\nCookie: a\r\nHost: h.test:80\r\nX-a: 2\r\nCookie: b\r\n\r\n",
  );
  assert.equal(
    chain.origin(0).received,
    "GET /a?b=%20c HTTP/1.1\r\nhost: h.test:80\r\nx-a: 1\r\ncookie: a\r\nx-a: 2\r\ncookie: b\r\n\r\n",
  );
});

test("H1-X07 presence of content-length is kept, and no coding is added to requests without a body", async () => {
  for (const [request, arrives] of [
    ["POST / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nhost: h\r\n\r\n"],
    [
      "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n",
    ],
  ] as const) {
    const chain = new H1Chain();
    await chain.request(request);
    assert.equal(chain.origin(0).received, arrives);
  }
});

test("a chunked body is framed anew, with its trailers", async () => {
  const chain = new H1Chain();
  await chain.request("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n");
  await chain.request("0\r\nX-Sum: 1\r\n\r\n");
  assert.equal(
    chain.origin(0).received,
    "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
  );
});

test("an absolute target stays absolute, with Host from it", async () => {
  const chain = new H1Chain();
  await chain.request("GET http://h.test:8080/a?b HTTP/1.1\r\n\r\n");
  assert.equal(chain.origin(0).received, "GET http://h.test:8080/a?b HTTP/1.1\r\nhost: h.test:8080\r\n\r\n");
});

test("OPTIONS * passes in both forms", async () => {
  const chain = new H1Chain();
  await chain.request("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
  assert.match(chain.origin(0).received, /^OPTIONS \* HTTP\/1\.1\r\n/);
  const absolute = new H1Chain();
  await absolute.request("OPTIONS http://h.test HTTP/1.1\r\nHost: h.test\r\n\r\n");
  assert.match(absolute.origin(0).received, /^OPTIONS http:\/\/h\.test HTTP\/1\.1\r\n/);
});

test("HTTP/1.0 stays HTTP/1.0, on a connection of its own", async () => {
  const chain = new H1Chain();
  const request = "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
  await chain.request(request);
  assert.equal(chain.origin(0).received, "GET / HTTP/1.0\r\nhost: h\r\n\r\n");
  await chain.answer("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok");
  await chain.request(request);
  assert.equal(chain.origins.length, 2);
});

test("H1-R22 H1-R23 H1-R26 requests without a Host get a connection of their own, and no Host", async () => {
  for (const host of ["", "Host: \r\n"]) {
    const chain = new H1Chain();
    await chain.request(`GET / HTTP/1.1\r\n${host}\r\n`);
    assert.equal(chain.origin(0).received, `GET / HTTP/1.1\r\n${host.toLowerCase()}\r\n`);
    await chain.answer(OK);
    assert.equal(chain.pool.idleConnections, 0);
    assert.ok(chain.origin(0).closed);
  }
});

test("an idle connection is used again, the last one first, for the same authority and form only", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer(OK);
  await chain.request(GET);
  await chain.answer(OK);
  assert.equal(chain.origins.length, 1);
  await chain.request(GET.replace("h.test", "other.test"));
  await chain.answer(OK);
  assert.equal(chain.origins.length, 2);
  await chain.request(GET.replace("/a", "http://h.test/a"));
  await chain.answer(OK);
  assert.equal(chain.origins.length, 3);
  assert.equal(chain.pool.idleConnections, 3);
});

test("idle connections are closed after their time, and no timer is left", async () => {
  const chain = new H1Chain({}, {}, { idleTimeoutMs: 3_000 });
  await chain.request(GET);
  await chain.answer(OK);
  chain.clock.advance(2_000);
  await chain.request(GET.replace("h.test", "other.test"));
  await chain.answer(OK);
  chain.clock.advance(1_500);
  await chain.settle();
  assert.ok(chain.origin(0).closed);
  assert.equal(chain.origin(1).closed, false);
  chain.clock.advance(1_500);
  await chain.settle();
  assert.ok(chain.origin(1).closed);
  assert.equal(chain.pool.idleConnections, 0);
  chain.clock.advance(10_000);
  assert.equal(chain.clock.timers, 0);
});

test("no more connections are kept than allowed", async () => {
  const chain = new H1Chain({}, {}, { maxIdle: 0 });
  await chain.request(GET);
  await chain.answer(OK);
  assert.equal(chain.pool.idleConnections, 0);
  assert.ok(chain.origin(0).closed);
});

test("RS-10 a request that meets a connection given up by its server is sent again, once", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer(OK);
  chain.client.received = "";
  // The server's end of the connection is on its way while the request is.
  chain.client.send(GET);
  chain.clientPair.settle();
  chain.origin(0).end();
  await chain.settle();
  assert.equal(chain.origins.length, 2);
  assert.equal(chain.pool.replayed, 1);
  await chain.answer(OK);
  assert.equal(withoutDate(chain.client.received), OK);
  assert.equal(chain.pool.activeConnections, 0);
  // The new connection is one of the pool like any other: used again, and closed when it has been idle for too long.
  await chain.request(GET);
  await chain.answer(OK);
  assert.equal(chain.origins.length, 2);
  chain.clock.advance(2 * 3_000);
  await chain.settle();
  assert.equal(chain.pool.idleConnections, 0);
  assert.ok(chain.origin(1).closed);
});

for (const [what, request] of [
  ["is not safe to repeat", GET.replace("GET", "POST")],
  ["has a body", "PUT /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: 3\r\n\r\nabc"],
] as const) {
  test(`a request that ${what} is not sent again: 502`, async () => {
    const chain = new H1Chain();
    await chain.request(GET);
    await chain.answer(OK);
    chain.client.received = "";
    chain.client.send(request);
    chain.clientPair.settle();
    chain.origin(0).end();
    await chain.settle();
    assert.equal(chain.origins.length, 1);
    assert.deepEqual(chain.client.statuses, [502]);
    assert.equal(chain.errors[0]?.code, "upstream_closed");
  });
}

test("RS-09 a fresh connection that closes without an answer is 502, not tried again", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  chain.origin(0).end();
  await chain.settle();
  assert.equal(chain.origins.length, 1);
  assert.deepEqual(chain.client.statuses, [502]);
});

test("an idle connection that the server closes is forgotten", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer(OK);
  chain.origin(0).end();
  await chain.settle();
  assert.equal(chain.pool.idleConnections, 0);
  await chain.request(GET);
  assert.equal(chain.origins.length, 2);
});

test("bytes that nobody asked for close an idle connection", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer(OK);
  await chain.answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
  assert.ok(chain.origin(0).closed);
  assert.equal(chain.pool.idleConnections, 0);
});

test("a dial that fails is the request's error", async () => {
  const chain = new H1Chain();
  chain.refuse = new ProxyError("io", "connection refused");
  await chain.request(GET);
  assert.deepEqual(chain.client.statuses, [502]);
  assert.equal(chain.errors[0]?.message, "connection refused");
  assert.equal(chain.pool.connecting, 0);
});

test("a client that leaves takes the connection to the origin with it", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  chain.clientPair.left.destroy();
  await chain.settle();
  assert.ok(chain.origin(0).closed);
  assert.equal(chain.pool.activeConnections, 0);
});

test("H1-X09 a client that leaves inside a body leaves no complete request behind", async () => {
  const chain = new H1Chain();
  await chain.request("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  chain.clientPair.left.destroy();
  await chain.settle();
  assert.ok(chain.origin(0).closed);
  assert.equal(chain.origin(0).received.includes("0\r\n\r\n"), false);
});

test("an early response ends the upload, and the origin's connection is not used again", async () => {
  const chain = new H1Chain();
  await chain.request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
  await chain.answer("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 0\r\n\r\n");
  assert.deepEqual(chain.client.statuses, [413]);
  assert.ok(chain.origin(0).closed);
  await chain.request(`def${GET}`);
  assert.equal(chain.origins.length, 2);
});

test("closing the pool ends idle connections at once and the others after their exchange", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  chain.pool.close();
  await chain.settle();
  assert.equal(chain.origin(0).closed, false);
  await chain.answer(OK);
  assert.deepEqual(chain.client.statuses, [200]);
  assert.ok(chain.origin(0).closed);
  const idle = new H1Chain();
  await idle.request(GET);
  await idle.answer(OK);
  idle.pool.close();
  await idle.settle();
  assert.ok(idle.origin(0).closed);
  assert.equal(idle.clock.timers, 0);
  await idle.request(GET);
  assert.equal(idle.errors[0]?.code, "shutting_down");
});

const UPGRADE =
  "GET /chat HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: a, b\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";

test("UP-01 UP-02 UP-04 an upgrade becomes a tunnel, and early bytes of both sides are delivered in order", async () => {
  const early = "c".repeat(65_536);
  for (const split of [undefined, (waiting: number) => Math.ceil(waiting / 3)]) {
    const chain = new H1Chain(split === undefined ? {} : { split });
    await chain.request(UPGRADE + early);
    assert.equal(
      chain.origin(0).received,
      "GET /chat HTTP/1.1\r\nhost: h.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: a, b\r\n\r\n",
    );
    chain.origin(0).received = "";
    await chain.answer(`${SWITCH}\x00\x01server`);
    assert.equal(chain.client.received, `${SWITCH}\x00\x01server`);
    assert.equal(chain.origin(0).received, early);
    await chain.request("more");
    assert.equal(chain.origin(0).received, `${early}more`);
    assert.ok(chain.server.isTunnel);
    assert.equal(chain.pool.activeConnections, 1);
  }
});

test("UP-03 a declined upgrade is an ordinary exchange, and the connection goes on", async () => {
  for (const status of ["426 Upgrade Required", "200 OK", "503 Service Unavailable"]) {
    const chain = new H1Chain();
    await chain.request(UPGRADE);
    await chain.answer(
      `HTTP/1.1 ${status}\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 0\r\n\r\n`,
    );
    assert.equal(withoutDate(chain.client.received), `HTTP/1.1 ${status}\r\ncontent-length: 0\r\n\r\n`);
    await chain.request(GET);
    assert.equal(chain.origins.length, 1, "the origin's connection is used again");
    await chain.answer(OK);
    assert.equal(chain.client.statuses.length, 2);
  }
});

test("UP-05 half-close passes through a tunnel in either direction, and the tunnel ends with both", async () => {
  for (const first of ["client", "origin"] as const) {
    const chain = new H1Chain();
    await chain.request(UPGRADE);
    await chain.answer(SWITCH);
    const [one, other] =
      first === "client" ? [chain.client, chain.origin(0)] : [chain.origin(0), chain.client];
    one.end();
    await chain.settle();
    assert.ok(other.ended);
    other.received = "";
    one.received = "";
    other.send("still here");
    await chain.settle();
    assert.equal(one.received, "still here");
    other.end();
    await chain.settle();
    assert.ok(one.ended && one.closed && other.closed);
    assert.equal(chain.pool.activeConnections, 0);
    assert.equal(chain.errors.length, 0);
  }
});

test("UP-09 draining leaves a tunnel alone", async () => {
  const chain = new H1Chain();
  await chain.request(UPGRADE);
  await chain.answer(SWITCH);
  chain.server.drain();
  await chain.request("on");
  assert.ok(chain.origin(0).received.endsWith("on"));
  assert.equal(chain.client.ended, false);
});

test("an upgrade with a counted body sends it first", async () => {
  const chain = new H1Chain();
  const upgrade =
    "POST /attach HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}raw";
  await chain.request(upgrade);
  assert.ok(chain.origin(0).received.endsWith("\r\n\r\n{}"));
  await chain.answer("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
  assert.ok(chain.origin(0).received.endsWith("\r\n\r\n{}raw"));
});

for (const offer of ["h2c", "H2C", "h2c, websocket"]) {
  test(`an upgrade to ${offer} is an ordinary request`, async () => {
    const chain = new H1Chain();
    await chain.request(
      `GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${offer}\r\nHTTP2-Settings: x\r\n\r\n`,
    );
    assert.equal(chain.origin(0).received, "GET / HTTP/1.1\r\nhost: h\r\n\r\n");
  });
}

test("UP-07 CONNECT opens a tunnel; lengths of its 2xx are removed", async () => {
  const chain = new H1Chain();
  await chain.request("CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n\x16\x03");
  assert.equal(chain.origin(0).received, "CONNECT h.test:443 HTTP/1.1\r\nhost: h.test:443\r\n\r\n");
  await chain.answer(
    "HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
  );
  assert.equal(chain.client.received, "HTTP/1.1 200 Connection established\r\n\r\nhello");
  assert.ok(chain.origin(0).received.endsWith("\r\n\r\n\x16\x03"));
});

test("a declined CONNECT is an ordinary response", async () => {
  const chain = new H1Chain();
  await chain.request("CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n");
  await chain.answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
  assert.equal(withoutDate(chain.client.received), "HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
  await chain.request(GET);
  await chain.answer(OK);
  assert.deepEqual(chain.client.statuses, [403, 200]);
});

test("an origin that resets a tunnel cuts the client's connection", async () => {
  const chain = new H1Chain();
  await chain.request(UPGRADE);
  await chain.answer(SWITCH);
  chain.origins[0]?.pair.right.destroy();
  await chain.settle();
  assert.ok(chain.client.closed);
  assert.equal(chain.pool.activeConnections, 0);
});

test("RS-23 a body until close that breaks off is not mistaken for a complete one", async () => {
  const chain = new H1Chain();
  await chain.request(GET);
  await chain.answer("HTTP/1.1 200 OK\r\n\r\npart");
  chain.origins[0]?.pair.right.destroy();
  await chain.settle();
  assert.ok(chain.client.closed);
  assert.ok(!chain.client.received.includes("0\r\n\r\n"));
});

test("bytes sent ahead of a declined upgrade are read as what they are", async () => {
  const chain = new H1Chain();
  await chain.request(UPGRADE + GET);
  await chain.answer("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n");
  await chain.answer(OK);
  assert.deepEqual(chain.client.statuses, [426, 200]);
  const garbage = new H1Chain();
  await garbage.request(`${UPGRADE}\x81\x05hello`);
  await garbage.answer("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n");
  assert.deepEqual(garbage.client.statuses, [426, 400]);
});

test("an HTTP/2 request for an HTTP/1 origin gets its Host from the authority, and one cookie", async () => {
  const chain = new H1Chain();
  const head = new RequestHead(
    20,
    headerField(METHOD, "GET"),
    undefined,
    headerField(AUTHORITY, "h.test"),
    headerField(PATH, "/"),
    fieldsOf(["cookie: a=1", "x: y", "cookie: b=2", "te: trailers"]),
    0,
  );
  chain.pool.call(head, true, { head() {}, data() {}, trailers() {}, reset() {}, credit() {} });
  await chain.settle();
  assert.equal(
    chain.origin(0).received,
    "GET / HTTP/1.1\r\nhost: h.test\r\nx: y\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n",
  );
});

test("a request that contradicts its own length is not written", async () => {
  const chain = new H1Chain();
  const errors: string[] = [];
  const response = {
    head() {},
    data() {},
    trailers() {},
    credit() {},
    reset: (error: ProxyError) => void errors.push(error.code),
  };
  const fields = fieldsOf(["host: h.test", "content-length: 5"]);
  const head = new RequestHead(
    11,
    headerField(METHOD, "POST"),
    undefined,
    undefined,
    headerField(PATH, "/"),
    fields,
    0,
  );
  chain.pool.call(head, true, response);
  await chain.settle();
  assert.deepEqual(errors, ["bad_message"]);
  assert.equal(chain.origin(0).received, "");
  assert.equal(chain.pool.idleConnections, 1);
});

test("requests that find no idle connection wait together, and one that becomes idle serves the first", async () => {
  const dials: ((transport: Transport) => void)[] = [];
  const connect = (): Promise<Transport> => new Promise((resolve) => dials.push(resolve));
  const pool = new H1Pool({ connect, clock: new FakeClock() });
  const statuses: number[] = [];
  const response = {
    head: (head: ResponseHead) => void statuses.push(head.status),
    data() {},
    trailers() {},
    reset() {},
    credit() {},
  };
  const ask = (path: string): void => {
    const fields = fieldsOf(["host: h.test"]);
    pool.call(
      new RequestHead(
        11,
        headerField(METHOD, "GET"),
        undefined,
        undefined,
        headerField(PATH, path),
        fields,
        0,
      ),
      true,
      response,
    );
  };
  ask("/1");
  ask("/2");
  ask("/3");
  assert.equal(pool.connecting, 3);
  const pair = new MemoryPair();
  const origin = new RawPeer(pair.right);
  dials[2]?.(pair.left);
  for (const path of ["/1", "/2", "/3"]) {
    await Promise.resolve();
    pair.settle();
    assert.match(origin.received, new RegExp(`^GET ${path} `));
    origin.received = "";
    origin.send(OK);
    pair.settle();
  }
  assert.deepEqual(statuses, [200, 200, 200]);
  assert.equal(pool.idleConnections, 1);
  const late = new MemoryPair();
  dials[0]?.(late.left);
  await Promise.resolve();
  assert.equal(pool.idleConnections, 2, "the dial that lost is kept");
  pool.close();
});
