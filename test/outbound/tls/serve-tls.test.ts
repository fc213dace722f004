import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { test, type TestContext } from "node:test";
import {
  parentLabels,
  outboundTcpErrorLabels,
  routeLabels,
  withFirst,
  withLast,
} from "../../../src/metrics/labels.ts";
import type { Backend, OpaqueFilter, TlsClientRoute } from "../../../src/policy/client-policy.ts";
import { NO_METADATA } from "../../../src/policy/endpoint.ts";
import { metaDefault } from "../../../src/policy/meta.ts";
import { TestCa } from "../../support/certs.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { hello, realHello, serverName } from "../../support/client-hello.ts";
import { ORIG_DST, opaqueRoute, outbound, PARENT, Peer, until } from "../listening.ts";
import { addr } from "../scripted.ts";

function route(
  name: string,
  snis: readonly string[],
  backend: Backend,
  filters: readonly OpaqueFilter[] = [],
): TlsClientRoute {
  return {
    ...opaqueRoute(backend),
    meta: metaDefault(name),
    snis: snis.map((sni) => ({ kind: "exact", name: sni })),
    filters,
  };
}

/** A TLS server of an application that says its name. */
async function secure(t: TestContext, name: string): Promise<Backend> {
  const leaf = CA.issue({ id: name });
  const server = createTlsServer({ key: leaf.keyPem, cert: leaf.chainPem }, (socket) => {
    socket.on("error", () => {});
    socket.end(`this is ${name}`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  // A TCP server that listens has an address, and it is not a string.
  const endpoint = {
    addr: addr(`127.0.0.1:${(server.address() as AddressInfo).port}`),
    metadata: NO_METADATA,
  };
  return { meta: metaDefault(name), dispatcher: { kind: "forward", endpoint } };
}

const CA = TestCa.create();

test("outbound 2.3: TLS is routed by server name and ends at the application, not here", async (t) => {
  const [a, b] = [await secure(t, "a.example.com"), await secure(t, "b.example.com")];
  const routes = [route("a", ["a.example.com"], a), route("b", ["b.example.com"], b)];
  const proxy = await outbound(t, { protocol: { kind: "tls", routes }, target: { hostnameLabels: true } });
  const { families } = proxy.context;
  for (const name of ["a.example.com", "b.example.com"]) {
    const { socket } = proxy.dial();
    const client = connectTls({ socket, servername: name, ca: CA.certPem });
    let text = "";
    client.on("data", (chunk) => (text += chunk.toString()));
    await once(client, "end");
    assert.equal(text, `this is ${name}`);
    assert.equal(client.authorized, true);
    client.end();
    const labels = routeLabels(PARENT, metaDefault(name.slice(0, 1)), name);
    assert.equal(proxy.count(families.outboundTlsRouteOpenTotal, labels), 1);
    const closed = withLast(labels, "error", "");
    await until("the end is counted", () => proxy.count(families.outboundTlsRouteCloseTotal, closed) === 1);
  }
  const protocol = withFirst("protocol", "tls", parentLabels(PARENT));
  assert.equal(proxy.count(families.outboundTcpProtocolConnectionsTotal, protocol), 2);
});

test("outbound 2.3: the bytes of the application pass untouched, however they are cut", async (t) => {
  const peer = await Peer.start(t);
  const proxy = await outbound(t, { protocol: { kind: "tls", routes: [route("all", [], peer.backend)] } });
  const sent = Buffer.concat([await realHello({ servername: "a.example.com" }), Buffer.from("more")]);
  const client = proxy.dial();
  client.socket.setNoDelay(true);
  for (const byte of sent.subarray(0, 20)) client.socket.write(Buffer.of(byte));
  client.socket.write(sent.subarray(20));
  await until("all of it arrives", () => peer.accepted[0]?.text === sent.toString("latin1"));
});

test("outbound 2.3: without a hostname label the server name stays out of the metrics", async (t) => {
  const peer = await Peer.start(t);
  const proxy = await outbound(t, { protocol: { kind: "tls", routes: [route("all", [], peer.backend)] } });
  proxy.dial().socket.write(hello({ extensions: serverName("a.example.com") }));
  await until("it is forwarded", () => peer.accepted.length === 1);
  const labels = routeLabels(PARENT, metaDefault("all"), "");
  assert.equal(proxy.count(proxy.context.families.outboundTlsRouteOpenTotal, labels), 1);
});

const REFUSED: readonly (readonly [string, Buffer])[] = [
  ["no server name", hello({ extensions: [] })],
  ["an address for a name", hello({ extensions: serverName("192.0.2.1") })],
  ["no TLS", Buffer.from("GET / HTTP/1.1\r\nhost: a.example.com\r\n\r\n")],
  ["a name without a route", hello({ extensions: serverName("x.example.com") })],
];

for (const [what, bytes] of REFUSED) {
  test(`outbound 2.3: ${what}: closed, and nobody is dialled`, async (t) => {
    const peer = await Peer.start(t);
    const routes = [route("a", ["a.example.com"], peer.backend)];
    const proxy = await outbound(t, { protocol: { kind: "tls", routes } });
    const client = proxy.dial();
    client.socket.write(bytes);
    await until("it is closed", () => client.closed);
    assert.equal(client.text, "");
    assert.equal(peer.accepted.length, 0);
    const labels = outboundTcpErrorLabels(addr(ORIG_DST), "unexpected");
    assert.equal(proxy.count(proxy.context.families.outboundTcpErrorsTotal, labels), 1);
  });
}

test("outbound 2.3: a silent client is closed when detection gives up, and no server is dialled ahead of it", async (t) => {
  const peer = await Peer.start(t);
  const clock = new FakeClock();
  const proxy = await outbound(t, {
    protocol: { kind: "tls", routes: [route("all", [], peer.backend)] },
    clock,
  });
  const client = proxy.dial();
  await until("detection has begun", () => clock.timers === 1);
  clock.advance(9_999);
  assert.equal(client.closed, false);
  clock.advance(1);
  await until("it is closed", () => client.closed);
  assert.equal(peer.accepted.length, 0);
});

test("outbound 13.1: a TLS route of an egress network denies by closing, and the route counts it", async (t) => {
  const peer = await Peer.start(t);
  const routes = [
    route("tls-egress-deny", [], peer.backend, [{ kind: "forbidden" }]),
    route("allowed", ["a.example.com"], peer.backend),
  ];
  const proxy = await outbound(t, { protocol: { kind: "tls", routes } });
  const client = proxy.dial();
  client.socket.write(hello({ extensions: serverName("b.example.com") }));
  await until("it is closed", () => client.closed);
  assert.equal(peer.accepted.length, 0);
  const labels = withLast(routeLabels(PARENT, metaDefault("tls-egress-deny"), ""), "error", "forbidden");
  assert.equal(proxy.count(proxy.context.families.outboundTlsRouteCloseTotal, labels), 1);
  proxy.dial().socket.write(hello({ extensions: serverName("a.example.com") }));
  await until("the other is let through", () => peer.accepted.length === 1);
});

test("outbound 1.4: a new policy routes new connections, one that is not about TLS changes nothing here", async (t) => {
  const [before, after] = [await Peer.start(t), await Peer.start(t)];
  const tls = (peer: Peer) => ({ kind: "tls", routes: [route("all", [], peer.backend)] }) as const;
  const proxy = await outbound(t, { protocol: tls(before) });
  const bytes = hello({ extensions: serverName("a.example.com") });
  const held = proxy.dial();
  held.socket.write(bytes);
  await until("the old one is used", () => before.accepted.length === 1);
  proxy.policy.publish({ parent: PARENT, protocol: tls(after) });
  proxy.dial().socket.write(bytes);
  await until("the new one is used", () => after.accepted.length === 1);
  proxy.policy.publish({ parent: PARENT, protocol: { kind: "opaque", opaque: opaqueRoute(before.backend) } });
  held.socket.write("more");
  await until("connections under way go on", () => before.accepted[0]?.text.endsWith("more") === true);
  proxy.dial().socket.write("\x01not TLS");
  await until("new ones follow the new protocol", () => before.accepted[1]?.text === "\x01not TLS");
});
