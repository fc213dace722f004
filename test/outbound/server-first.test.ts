import assert from "node:assert/strict";
import { test } from "node:test";
import {
  outboundAcceptedLabels,
  parentLabels,
  tcpRouteLabels,
  withFirst,
  withLast,
} from "../../src/metrics/labels.ts";
import type { DialAheadOutcome } from "../../src/outbound/dial-ahead.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { ConcurrencyLimit } from "../../src/stack/concurrency-limit.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { detect, opaqueRoute, ORIG_DST, outbound, PARENT, Peer, until, type Outbound } from "./listening.ts";
import { addr } from "./scripted.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const GET = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";

const outcomes = ({ context, count }: Outbound, outcome: DialAheadOutcome): number =>
  count(
    context.families.outriggerOutboundDialAheadTotal,
    withFirst("outcome", outcome, parentLabels(PARENT)),
  );

/** Bytes read on accepted connections so far. */
const bytesRead = ({ context, count }: Outbound): number => {
  context.transportMetrics.refresh();
  return count(context.families.tcpReadBytesTotal, outboundAcceptedLabels(addr(ORIG_DST)));
};

const smtp = (t: Parameters<typeof Peer.start>[0]) =>
  Peer.start(t, (conversation) => conversation.send("220 hello\r\n"));
const web = (t: Parameters<typeof Peer.start>[0]) =>
  Peer.start(t, (conversation) => conversation.socket.on("data", () => conversation.send(OK)));

test("outbound 16.1: a server that speaks first is heard long before detection gives up", async (t) => {
  const server = await smtp(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const startedAtMs = performance.now();
  const client = proxy.dial();
  await until("the greeting arrives", () => client.text === "220 hello\r\n");
  assert.ok(performance.now() - startedAtMs < 2_000);
  client.send("EHLO client\r\n");
  await until("the server hears", () => server.accepted[0]?.text === "EHLO client\r\n");
  client.socket.end();
  await until("both are closed", () => client.closed && server.accepted[0]?.closed === true);
  assert.equal(server.accepted.length, 1);
  assert.equal(outcomes(proxy, "server_first"), 1);
  assert.equal(proxy.context.dialsAhead.inFlight, 0);
  const { families } = proxy.context;
  const labels = tcpRouteLabels(PARENT, metaDefault("opaque"), "192.0.2.1", 8080);
  assert.equal(proxy.count(families.outboundTcpRouteOpenTotal, labels), 1);
  await until(
    "its end is counted",
    () => proxy.count(families.outboundTcpRouteCloseTotal, withLast(labels, "error", "")) === 1,
  );
});

test("a client that was silent and then speaks HTTP gets a connection of its own", async (t) => {
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const client = proxy.dial();
  await until("the server is dialled ahead", () => server.accepted.length === 1);
  client.send(GET);
  await until("the response arrives", () => client.text.endsWith("ok"));
  await until("the other is dropped", () => server.accepted[0]?.closed === true);
  assert.equal(server.accepted[0]?.text, "");
  assert.match(server.accepted[1]?.text ?? "", /^GET \/ HTTP\/1\.1\r\n/);
  assert.equal(outcomes(proxy, "dropped"), 1);
  assert.equal(proxy.context.dialsAhead.inFlight, 0);
});

test("a client that was silent and then speaks something else gets the connection", async (t) => {
  const server = await Peer.start(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const client = proxy.dial();
  await until("the server is dialled ahead", () => server.accepted.length === 1);
  client.send("\x01binary");
  await until("the bytes arrive", () => server.accepted[0]?.text === "\x01binary");
  assert.equal(server.accepted.length, 1);
  assert.equal(outcomes(proxy, "used"), 1);
});

test("a client that speaks at once costs no connection ahead", async (t) => {
  const server = await web(t);
  const clock = new FakeClock();
  const proxy = await outbound(t, { protocol: detect(server.backend), clock });
  const client = proxy.dial();
  await until("detection has begun", () => clock.timers === 2);
  client.send("G");
  await until("the byte is there", () => bytesRead(proxy) === 1);
  clock.advance(5_000);
  assert.equal(proxy.context.dialsAhead.inFlight, 0);
  client.send(GET.slice(1));
  await until("the response arrives", () => client.text.endsWith("ok"));
  assert.equal(server.accepted.length, 1);
});

test("an HTTP/2 server that does not wait for its client is no reason to stop looking", async (t) => {
  const settings = Buffer.from("000000040000000000", "hex").toString("latin1");
  const greeting = await Peer.start(t, (conversation) => conversation.send(settings));
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend, greeting.backend) });
  const client = proxy.dial();
  await until("the greeting is recognised", () => outcomes(proxy, "dropped") === 1);
  client.send(GET);
  await until("the response arrives", () => client.text.endsWith("ok"));
  assert.match(client.text, /^HTTP\/1\.1 200 OK\r\n/);
});

test("no failure of a connection ahead reaches the client", async (t) => {
  const leaving = await Peer.start(t, (conversation) => conversation.socket.end());
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend, leaving.backend) });
  const client = proxy.dial();
  await until("the server has left", () => outcomes(proxy, "failed") === 1);
  client.send(GET);
  await until("the response arrives", () => client.text.endsWith("ok"));
  leaving.server.close();
  const refused = proxy.dial();
  await until("nobody can be dialled", () => outcomes(proxy, "failed") === 2);
  refused.send(GET);
  await until("the response arrives", () => refused.text.endsWith("ok"));
});

test("a client that leaves takes the connection with it", async (t) => {
  const server = await Peer.start(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const client = proxy.dial();
  await until("the server is dialled ahead", () => server.accepted.length === 1);
  client.socket.destroy();
  await until("it is dropped", () => server.accepted[0]?.closed === true);
  assert.equal(proxy.context.dialsAhead.inFlight, 0);
});

test("a policy that changes meanwhile decides: a connection that the old one led to is not used", async (t) => {
  const [before, after] = [await Peer.start(t), await Peer.start(t)];
  const proxy = await outbound(t, { protocol: detect(before.backend) });
  const client = proxy.dial();
  await until("the server is dialled ahead", () => before.accepted.length === 1);
  proxy.policy.publish({ parent: PARENT, protocol: detect(after.backend) });
  client.send("\x01binary");
  await until("the bytes go where they should", () => after.accepted[0]?.text === "\x01binary");
  await until("the other is dropped", () => before.accepted[0]?.closed === true);
  assert.equal(before.accepted[0]?.text, "");
});

test("a route that forbids is not dialled", async (t) => {
  const server = await smtp(t);
  const clock = new FakeClock();
  const { backend } = server;
  const forbidding = { ...opaqueRoute(backend), filters: [{ kind: "forbidden" }] } as const;
  const denied = await outbound(t, { protocol: { ...detect(backend), opaque: forbidding }, clock });
  const client = denied.dial();
  await until("detection has begun", () => clock.timers === 2);
  clock.advance(5_000);
  await until("it was given up", () => denied.context.dialsAhead.inFlight === 0);
  client.send("\x01binary");
  await until("it is closed", () => client.closed);
  assert.equal(server.accepted.length, 0);
});

test("what is dialled ahead is bounded", async (t) => {
  const server = await Peer.start(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  (proxy.context as { dialsAhead: ConcurrencyLimit }).dialsAhead = new ConcurrencyLimit(2);
  const clients = [proxy.dial(), proxy.dial(), proxy.dial(), proxy.dial()];
  await until("the others are counted", () => outcomes(proxy, "limited") === 2);
  await until("two are dialled", () => server.accepted.length === 2);
  clients.forEach((client, i) => client.send(`\x01${i}`));
  await until(
    "all are served",
    () => server.accepted.length === 4 && server.accepted.every(({ text }) => text !== ""),
  );
});

test("dialling ahead can be switched off", async (t) => {
  const server = await smtp(t);
  const clock = new FakeClock();
  const options = { dialAheadAfterMs: undefined, detectTimeoutMs: 10_000 };
  const proxy = await outbound(t, { protocol: detect(server.backend), options, clock });
  const client = proxy.dial();
  await until("detection has begun", () => clock.timers === 1);
  clock.advance(9_999);
  assert.equal(proxy.context.dialsAhead.inFlight, 0);
  clock.advance(1);
  await until("the greeting arrives after the detection", () => client.text === "220 hello\r\n");
});
