import assert from "node:assert/strict";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  H1_HEAD_TIMEOUT_MS,
  H1_INCOMPLETE_HEADS_BYTES,
  H1_LINGER_MS,
  H1_UNREAD_BODY_BYTES,
  H1_WINDOW_BYTES,
} from "../../src/wire/limits.ts";
import { H1Server, type H1ServerOptions } from "../../src/http/server/h1.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { withoutDate } from "../support/h1-chain.ts";
import { MemoryPair } from "../support/memory-transport.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { answerOk, fieldsOf, RecordingApp, responseHead, send } from "../support/recording-app.ts";

/** One server connection: keep-alive, pipelining, ends, credit. */
const H = "Host: h.test\r\n";
const GET = `GET /a HTTP/1.1\r\n${H}\r\n`;
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const OK_CLOSE = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

function connection(app = new RecordingApp(), options: Partial<H1ServerOptions> = {}) {
  const clock = new FakeClock(1_000);
  const pair = new MemoryPair();
  const server = new H1Server(pair.right, app, { clock, ...options });
  const client = new RawPeer(pair.left);
  const exchange = (text: string): string => {
    client.received = "";
    client.send(text);
    pair.settle();
    return withoutDate(client.received);
  };
  return { app, clock, pair, server, client, exchange };
}
/** An app that leaves every request unanswered. */
const silent = (): RecordingApp => new RecordingApp(() => {});

test("keeps the connection for the next request", () => {
  const { exchange, client } = connection();
  assert.equal(exchange(GET), OK);
  assert.equal(exchange(GET), OK);
  assert.equal(client.ended, false);
});

test("adds a date to a response without one, and keeps the server's", () => {
  const own = "Mon, 02 Jan 2006 15:04:05 GMT";
  const app = new RecordingApp(({ response }) => response.head(responseHead(200, `date: ${own}`), true));
  const { client, exchange } = connection(app);
  exchange(GET);
  assert.equal(client.received.match(/date: [^\r]*/g)?.join(), `date: ${own}`);
  const other = connection();
  other.exchange(GET);
  assert.equal(
    other.client.received.match(/date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n/g)
      ?.length,
    1,
  );
});

test("serves pipelined requests one at a time and in order", () => {
  const { app, pair, client } = connection(silent());
  client.send(GET.replace("/a", "/1") + GET.replace("/a", "/2") + GET.replace("/a", "/3"));
  pair.settle();
  for (let i = 0; i < 3; i++) {
    assert.equal(app.seen.length, i + 1);
    const seen = app.seen[i];
    assert.equal(seen?.head.path?.value, `/${i + 1}`);
    if (seen !== undefined) answerOk(seen);
    pair.settle();
    assert.equal(client.statuses.length, i + 1);
  }
});

test("JS-11 serves 20,000 pipelined requests without recursion", () => {
  const { app, pair, client } = connection();
  client.send(GET.repeat(20_000));
  pair.settle();
  assert.equal(app.seen.length, 20_000);
});

test("INV-3 answers an earlier request before it refuses a malformed one", () => {
  const { app, pair, client } = connection(silent());
  client.send(`${GET}GARBAGE\r\n\r\n`);
  pair.settle();
  assert.deepEqual(client.statuses, []);
  if (app.seen[0] !== undefined) answerOk(app.seen[0]);
  pair.settle();
  assert.deepEqual(client.statuses, [200, 400]);
  assert.ok(client.ended);
});

for (const [id, after] of [
  ["H1-P03", GET],
  ["H1-P04", "Invalid\r\n\r\n"],
] as const) {
  test(`${id} serves a request with connection: close and nothing after it`, () => {
    const { app, exchange, client } = connection();
    assert.equal(exchange(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n") + after), OK_CLOSE);
    assert.equal(app.seen.length, 1);
    assert.ok(client.ended);
  });
}

test("an HTTP/1.0 response ends the connection", () => {
  const { exchange, client } = connection();
  assert.equal(exchange("GET /a HTTP/1.0\r\n\r\n"), OK_CLOSE.replace("1.1", "1.0"));
  assert.ok(client.ended);
});

test("an HTTP/1.0 client may ask to keep the connection", () => {
  const { exchange, client } = connection();
  const request = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  const response = OK.replace("1.1", "1.0").replace("\r\n\r\n", "\r\nconnection: keep-alive\r\n\r\n");
  assert.equal(exchange(request), response);
  assert.equal(exchange(request), response);
  assert.equal(client.ended, false);
});

test("H1-X08 an HTTP/1.0 client gets a body of unknown length until the close", () => {
  const app = new RecordingApp(({ response }) => {
    response.head(responseHead(200), false);
    send(response, "some", false);
    send(response, "thing", true);
  });
  const { exchange, client } = connection(app);
  const got = exchange("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  assert.equal(got, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nsomething");
  assert.ok(client.ended);
});

test("a body of unknown length is chunked, with trailers for clients that want them", () => {
  const app = new RecordingApp(({ response }) => {
    response.head(responseHead(200), false);
    send(response, "0123456789abcdef", false);
    response.trailers(fieldsOf(["x-sum: 1", "content-length: 9", "set-cookie: no"]));
  });
  const head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n";
  assert.equal(connection(app).exchange(GET), `${head}\r\n`);
  const wanting = GET.replace("\r\n\r\n", "\r\nTE: trailers\r\n\r\n");
  assert.equal(connection(app).exchange(wanting), `${head}x-sum: 1\r\n\r\n`);
});

test("a response whose service broke its length never looks complete", () => {
  for (const [length, body] of [
    [3, "four"],
    [5, "four"],
  ] as const) {
    const app = new RecordingApp(({ response }) => {
      response.head(responseHead(200, `content-length: ${length}`), false);
      send(response, body, true);
    });
    const { pair, client } = connection(app);
    client.send(GET);
    pair.settle();
    assert.ok(client.closed && !client.ended);
    assert.equal(app.seen[0]?.reset?.code, "bad_message");
  }
});

test("H1-X01 removes fields meant for this hop, and te other than trailers", () => {
  const { app, exchange } = connection();
  const fields =
    "Connection: close, X-Hop, Host, Content-Length\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip, trailers\r\nX-Hop: 1\r\nUpgrade: h2c\r\nX-End: 2\r\nContent-Length: 0\r\n";
  exchange(`POST /a HTTP/1.1\r\n${H}${fields}\r\n`);
  assert.deepEqual(app.seen[0]?.fields, ["host: h.test", "te: trailers", "x-end: 2", "content-length: 0"]);
  assert.equal(app.seen[0]?.head.upgrade, false);
});

test("H1-P08 asks for an expected body once the service has taken the request", () => {
  const { app, exchange } = connection(silent());
  const head = `POST /a HTTP/1.1\r\n${H}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`;
  assert.equal(exchange(head), "HTTP/1.1 100 Continue\r\n\r\n");
  assert.ok(app.seen[0]?.fields.includes("expect: 100-continue"));
  exchange("abc");
  assert.equal(app.seen[0]?.body, "abc");
});

test("a refusal comes without the expected body being asked for, and closes", () => {
  const app = new RecordingApp();
  const refusing = {
    call: (...args: Parameters<RecordingApp["call"]>) => {
      args[2].head(responseHead(403), true);
      return app.call(...args);
    },
  };
  const pair = new MemoryPair();
  const server = new H1Server(pair.right, refusing, { clock: new FakeClock() });
  const client = new RawPeer(pair.left);
  client.send(`POST /a HTTP/1.1\r\n${H}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n`);
  pair.settle();
  assert.equal(
    withoutDate(client.received),
    "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
  );
  assert.ok(client.ended && !server.idle);
});

test("reads the small rest of a body after an early response, and keeps the connection", () => {
  const { app, exchange, client } = connection(silent());
  exchange(`POST /a HTTP/1.1\r\n${H}Content-Length: 6\r\n\r\nabc`);
  const seen = app.seen[0];
  if (seen !== undefined) answerOk(seen);
  exchange(`def${GET}`);
  assert.equal(app.seen.length, 2);
  assert.equal(seen?.body, "abcdef");
  assert.equal(client.ended, false);
});

test("RS-25 an early response is passed on and a large upload is stopped", () => {
  const { app, pair, client } = connection(silent());
  client.send(`POST /a HTTP/1.1\r\n${H}Content-Length: ${H1_UNREAD_BODY_BYTES * 10}\r\n\r\nabc`);
  pair.settle();
  if (app.seen[0] !== undefined) answerOk(app.seen[0]);
  pair.settle();
  assert.deepEqual(client.statuses, [200]);
  assert.ok(client.ended);
  assert.equal(app.seen[0]?.reset?.code, "canceled");
});

test("an unread chunked upload is stopped once it is no longer small", () => {
  const { app, pair, client } = connection(silent());
  client.send(`POST /a HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
  pair.settle();
  if (app.seen[0] !== undefined) answerOk(app.seen[0]);
  pair.settle();
  assert.equal(client.ended, false);
  client.send(`20000\r\n${"x".repeat(0x20000)}\r\n`);
  pair.settle();
  assert.ok(client.ended);
});

test("cancels the request of a client that leaves, by FIN or by close", () => {
  for (const leave of ["end", "destroy"] as const) {
    const { app, pair, client } = connection(silent());
    client.send(GET);
    pair.settle();
    pair.left[leave]();
    pair.settle();
    assert.equal(app.seen[0]?.reset?.code, "canceled");
    assert.equal(app.seen[0]?.reset?.detail.side, "downstream");
  }
});

test("answers a client that finished writing, where half-close is allowed", () => {
  const { app, pair, client } = connection(silent(), { halfClose: true });
  client.send(GET);
  client.end();
  pair.settle();
  if (app.seen[0] !== undefined) answerOk(app.seen[0]);
  pair.settle();
  assert.equal(withoutDate(client.received), OK);
  assert.ok(client.ended);
});

test("a body that breaks off resets the request and is answered with 400", () => {
  const { app, pair, client } = connection(silent());
  client.send(`POST /a HTTP/1.1\r\n${H}Content-Length: 6\r\n\r\nabc`);
  client.end();
  pair.settle();
  assert.equal(app.seen[0]?.reset?.code, "bad_message");
  assert.deepEqual(client.statuses, [400]);
});

test("a reset before the response head cuts the connection", () => {
  const { app, pair, client } = connection(silent());
  client.send(GET);
  pair.settle();
  app.seen[0]?.response.reset(new ProxyError("h2_reset", "stream error"));
  pair.settle();
  assert.equal(client.received, "");
  assert.ok(client.closed);
});

test("LIM-5 a head that does not arrive in time is answered with 408; an idle connection is left alone", () => {
  const { clock, pair, client, exchange } = connection();
  exchange(GET);
  clock.advance(H1_HEAD_TIMEOUT_MS * 10);
  assert.equal(client.ended, false);
  client.received = "";
  client.send("GET /a HTTP/1.1\r\nHo");
  pair.settle();
  clock.advance(H1_HEAD_TIMEOUT_MS - 1);
  assert.deepEqual(client.statuses, []);
  clock.advance(1);
  pair.settle();
  assert.deepEqual(client.statuses, [408]);
  assert.ok(client.ended);
});

test("LIM-4 the newest incomplete head is refused when those of the process are too large together", () => {
  const piece = `GET /a HTTP/1.1\r\nx: ${"v".repeat(400_000)}`;
  const many = Math.ceil(H1_INCOMPLETE_HEADS_BYTES / piece.length);
  const open = Array.from({ length: many }, () => connection());
  open.forEach(({ exchange }) => exchange(piece));
  assert.deepEqual(
    open.map(({ client }) => client.statuses),
    [...Array.from({ length: many - 1 }, () => []), [431]],
  );
  // What leaves or completes makes room again.
  open[0]?.pair.left.destroy();
  open[0]?.pair.settle();
  assert.equal(open[1]?.exchange("\r\n\r\n"), OK);
  for (const { pair } of open) {
    pair.left.destroy();
    pair.settle();
  }
  const { exchange } = connection();
  assert.equal(exchange(piece), "");
  assert.equal(exchange("\r\n\r\n"), OK);
});

test("the clock of a head stops when it is complete", () => {
  const { clock, client, pair, exchange } = connection(silent());
  client.send("GET /a HTTP/1.1\r\n");
  pair.settle();
  assert.equal(clock.timers, 1);
  exchange(`${H}\r\n`);
  assert.equal(clock.timers, 0);
});

test("draining closes an idle connection at once", () => {
  const { server, pair, client, exchange } = connection();
  exchange(GET);
  assert.ok(server.idle);
  server.drain();
  pair.settle();
  assert.ok(client.ended);
});

test("draining lets the exchange in flight finish, with connection: close, and drops what was pipelined", () => {
  const { app, server, pair, client } = connection(silent());
  client.send(GET + GET);
  pair.settle();
  server.drain();
  pair.settle();
  assert.equal(client.ended, false);
  if (app.seen[0] !== undefined) answerOk(app.seen[0]);
  pair.settle();
  assert.equal(withoutDate(client.received), OK_CLOSE);
  assert.ok(client.ended);
  assert.equal(app.seen.length, 1);
});

test("a response may ask that the connection be closed", () => {
  const app = new RecordingApp(({ response }) => {
    const head = responseHead(503);
    head.closeConnection = true;
    response.head(head, true);
  });
  const { exchange, client } = connection(app);
  assert.equal(
    exchange(GET),
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
  );
  assert.ok(client.ended);
});

test("a client that never closes is cut after a while, and no timer is left", () => {
  const { clock, pair, client, exchange } = connection();
  exchange("GARBAGE\r\n\r\n");
  assert.ok(client.ended && !client.closed);
  clock.advance(H1_LINGER_MS);
  pair.settle();
  assert.ok(client.closed);
  assert.equal(clock.timers, 0);
});

test("a client that takes its last response slowly is not cut", () => {
  const body = "y".repeat(50_000);
  const app = new RecordingApp(({ response }) => {
    response.head(responseHead(200, `content-length: ${body.length}`), false);
    send(response, body, true);
  });
  const { clock, pair, client } = connection(app);
  client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  pair.left.step();
  pair.left.stalled = true;
  clock.advance(H1_LINGER_MS * 5);
  pair.left.stalled = false;
  pair.settle();
  assert.ok(client.received.endsWith(body));
  assert.ok(client.ended);
});

test("stops reading a body that is not passed on, and goes on with credit", () => {
  const app = new RecordingApp(answerOk, false);
  const { pair, client } = connection(app);
  const size = 1_000_000;
  client.send(`POST /a HTTP/1.1\r\n${H}Content-Length: ${size}\r\n\r\n${"x".repeat(size)}`);
  pair.settle();
  const seen = app.seen[0];
  const first = seen?.body.length ?? 0;
  assert.ok(first >= H1_WINDOW_BYTES && first <= H1_WINDOW_BYTES + 65_536, String(first));
  let credited = 0;
  for (let turns = 0; turns < 100; turns++) {
    const body = seen?.body.length ?? 0;
    seen?.response.credit(body - credited);
    credited = body;
    pair.settle();
  }
  assert.equal(seen?.body.length, size);
  assert.deepEqual(client.statuses, [200]);
});

test("credits response bytes only once they left for the client", () => {
  const { app, pair, client } = connection(silent());
  client.send(GET);
  pair.settle();
  pair.left.stalled = true;
  const seen = app.seen[0];
  const piece = Buffer.alloc(50_000, "y");
  seen?.response.head(responseHead(200, "content-length: 200000"), false);
  for (let i = 0; i < 4; i++) seen?.response.data(piece, 0, piece.length, i === 3);
  piece.fill("z");
  assert.equal(seen?.credited, 50_000);
  assert.ok(pair.right.waitingBytes < 150_000);
  pair.left.stalled = false;
  pair.settle();
  assert.equal(seen?.credited, 200_000);
  assert.equal(client.received.split("\r\n\r\n")[1], "y".repeat(200_000));
});

test("late calls on an exchange that is over change nothing", () => {
  const { app, exchange } = connection();
  exchange(GET);
  const response = app.seen[0]?.response;
  response?.credit(5);
  response?.head(responseHead(500), true);
  if (response !== undefined) send(response, "late", true);
  response?.reset(new ProxyError("canceled", "late"));
  assert.equal(exchange(GET), OK);
});

test("DEV-2 and DEV-3 can be given up", () => {
  const { app, exchange, client } = connection(new RecordingApp(), {
    leniency: { bothLengths: true, anyHost: true },
  });
  exchange(
    `POST http://b.test/ HTTP/1.1\r\nHost: a.test\r\nHost: c.test\r\nContent-Length: 6\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  );
  assert.equal(app.seen[0]?.body, "abc");
  assert.deepEqual(app.seen[0]?.fields, ["host: a.test", "host: c.test"]);
  assert.ok(client.ended);
});

test("tells of what it refuses, with the reason and never the value", () => {
  const refusals: string[] = [];
  const { exchange } = connection(new RecordingApp(), {
    onRefused: (status, problem) => refusals.push(`${status} ${problem}`),
  });
  exchange(`GET / HTTP/1.1\r\nContent-Length: secret\r\n\r\n`);
  assert.deepEqual(refusals, ["400 content-length is not a number"]);
});
