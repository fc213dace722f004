import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { parseCidr } from "../../src/addr/cidr.ts";
import { formatSocketAddr } from "../../src/addr/socket-addr.ts";
import type { OutboundPolicyLookup } from "../../src/control/control-plane.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import {
  outboundTcpErrorLabels,
  parentLabels,
  tcpRouteLabels,
  withFirst,
  withLast,
} from "../../src/metrics/labels.ts";
import { chooseProtocol, type ProtocolChoice } from "../../src/outbound/protocol.ts";
import type { ClientProtocol, Profile } from "../../src/policy/client-policy.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { synthesizeForward, unknownEndpoint } from "../../src/policy/synthesize.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import {
  detect,
  opaqueRoute,
  ORIG_DST,
  outbound,
  PARENT,
  Peer,
  until,
  WrittenControlPlane,
} from "./listening.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { dialerWith } from "./meshed-peer.ts";
import { addr, must, name } from "./scripted.ts";

const NO_PROFILE: Profile = {
  logical: undefined,
  opaqueProtocol: false,
  endpoint: undefined,
  routes: [],
  targets: [],
  retryBudget: undefined,
};
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const web = (t: Parameters<typeof Peer.start>[0]) =>
  Peer.start(t, (conversation) => conversation.socket.on("data", () => conversation.send(OK)));

test("outbound 2.1: the policy names the protocol, and a profile that says opaque wins over it", () => {
  const { http1 } = detect({ meta: PARENT, dispatcher: { kind: "fail", message: "" } });
  const kinds: readonly (readonly [ClientProtocol, ProtocolChoice])[] = [
    [synthesizeForward("fallback", unknownEndpoint(addr(ORIG_DST)), 1).protocol, "detect"],
    [{ kind: "http1", http1 }, "http1"],
    [{ kind: "http2", http2: http1 }, "http2"],
    [{ kind: "grpc", grpc: { routes: [], failureAccrual: undefined } }, "http2"],
    [{ kind: "opaque", opaque: undefined }, "opaque"],
    [{ kind: "tls", routes: [] }, "tls"],
  ];
  for (const [protocol, expected] of kinds) {
    const policy = { parent: PARENT, protocol };
    assert.equal(chooseProtocol(policy, undefined), expected);
    assert.equal(chooseProtocol(policy, NO_PROFILE), expected);
    assert.equal(chooseProtocol(policy, { ...NO_PROFILE, opaqueProtocol: true }), "opaque");
  }
});

test("outbound 16.2 (DEV-1): a request is HTTP wherever its line is cut", async (t) => {
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const request = "GET / HTTP/1.1\r\nhost: web\r\n\r\n";
  for (const at of [1, 13, 14, 15]) {
    const client = proxy.dial();
    client.send(request.slice(0, at));
    await until("the first part is there", () => client.socket.bytesWritten === at);
    await new Promise(setImmediate);
    client.send(request.slice(at));
    await until("the response arrives", () => client.text.endsWith("ok"));
    // What only a server of HTTP adds.
    assert.match(client.text, /\r\ndate: /);
  }
});

test("outbound 2.4: a half-closed connection goes on the other way", async (t) => {
  const server = await Peer.start(t, ({ socket }) => (socket.allowHalfOpen = true));
  const proxy = await outbound(t, { protocol: { kind: "opaque", opaque: opaqueRoute(server.backend) } });
  const client = proxy.dial();
  client.socket.allowHalfOpen = true;
  client.socket.end("question");
  await until("the end is passed on", () => server.accepted[0]?.ended === true);
  server.accepted[0]?.socket.end("answer");
  await until("the answer arrives", () => client.text === "answer" && client.ended);
});

test("outbound 2.4: an application whose server cannot be reached is closed, and never saw a refusal", async (t) => {
  const server = await Peer.start(t);
  server.server.close();
  const proxy = await outbound(t, { protocol: { kind: "opaque", opaque: opaqueRoute(server.backend) } });
  const client = proxy.dial();
  await until("it is closed", () => client.closed);
  const labels = tcpRouteLabels(PARENT, metaDefault("opaque"), "192.0.2.1", 8080);
  const { families } = proxy.context;
  const unexpected = withLast(labels, "error", "unexpected");
  assert.equal(proxy.count(families.outboundTcpRouteCloseTotal, unexpected), 1);
  assert.equal(
    proxy.count(families.outboundTcpErrorsTotal, outboundTcpErrorLabels(addr(ORIG_DST), "i/o")),
    1,
  );
});

test("outbound 2.4: opaque connections have no circuit breaker: however many failed, the next one is tried at once", async (t) => {
  const server = await Peer.start(t, ({ socket }) => socket.end("hello"));
  server.server.close();
  const proxy = await outbound(t, { protocol: { kind: "opaque", opaque: opaqueRoute(server.backend) } });
  for (let i = 0; i < 10; i++) {
    const client = proxy.dial();
    await until("it is closed", () => client.closed);
  }
  server.server.listen(server.addr.port, "127.0.0.1");
  await once(server.server, "listening");
  const client = proxy.dial();
  await until("the server is heard", () => client.text === "hello");
});

test("outbound 2.4: a connection that says nothing for a day is kept, and nobody waits for it to end", async (t) => {
  const server = await Peer.start(t);
  const clock = new FakeClock();
  const protocol = { kind: "opaque", opaque: opaqueRoute(server.backend) } as const;
  const proxy = await outbound(t, { protocol, clock });
  const client = proxy.dial();
  client.send("question");
  await until("it arrives", () => server.accepted[0]?.text === "question");
  clock.advance(86_400_000);
  assert.equal(clock.timers, 0);
  server.accepted[0]?.send("answer");
  await until("the answer arrives", () => client.text === "answer");
});

test("outbound 13.2, 16.20: an undefined port accepts and then closes", async (t) => {
  const server = await Peer.start(t);
  const forbidden = {
    ...opaqueRoute(server.backend),
    meta: metaDefault("undefined-port"),
    filters: [{ kind: "forbidden" }],
  } as const;
  const proxy = await outbound(t, { protocol: { kind: "opaque", opaque: forbidden } });
  const client = proxy.dial();
  await until("it is closed", () => client.closed);
  assert.equal(server.accepted.length, 0);
  const labels = tcpRouteLabels(PARENT, metaDefault("undefined-port"), "192.0.2.1", 8080);
  const { families } = proxy.context;
  assert.equal(proxy.count(families.outboundTcpRouteOpenTotal, labels), 1);
  assert.equal(proxy.count(families.outboundTcpRouteCloseTotal, withLast(labels, "error", "forbidden")), 1);
});

test("outbound 13.1, 16.20: what an egress network denies is closed where it is TCP and 403 where it is HTTP", async (t) => {
  const server = await web(t);
  const allowed = detect(server.backend);
  const [route] = allowed.http1.routes;
  const [rule] = route?.rules ?? [];
  assert.ok(route !== undefined && rule !== undefined);
  const ratio = { numerator: 1, denominator: 1 };
  const deny = { kind: "http_failure", status: 403, message: "traffic not allowed", ratio } as const;
  const http1 = { ...allowed.http1, routes: [{ ...route, rules: [{ ...rule, filters: [deny] }] }] };
  const opaque = { ...opaqueRoute(server.backend), filters: [{ kind: "forbidden" }] } as const;
  const proxy = await outbound(t, { protocol: { ...allowed, http1, opaque } });
  const tcp = proxy.dial();
  tcp.send("\x01binary");
  await until("it is closed", () => tcp.closed);
  const http = proxy.dial();
  http.send("GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  await until("the answer is there", () => http.text.startsWith("HTTP/1.1 403 "));
  assert.match(http.text, /l5d-proxy-error: traffic not allowed/);
  assert.equal(server.accepted.length, 0);
});

test("outbound 1.3: an address that nobody knows is forwarded to as it is", async (t) => {
  const server = await web(t);
  const origDst = formatSocketAddr(server.addr);
  const proxy = await outbound(t, { protocol: { kind: "tls", routes: [] }, origDst });
  proxy.control.policies.clear();
  const client = proxy.dial();
  client.send("GET / HTTP/1.0\r\n\r\n");
  await until("the response arrives", () => client.text.endsWith("ok"));
  const fallback = withFirst("protocol", "detect", parentLabels(metaDefault("fallback")));
  assert.equal(proxy.count(proxy.context.families.outboundTcpProtocolConnectionsTotal, fallback), 1);
});

/** A context in which the profiles of all addresses are asked for. */
const everywhere = {
  discovery: {
    profileSuffixes: [],
    profileNetworks: [must(parseCidr("0.0.0.0/0"))],
    detectTimeoutMs: 10_000,
  },
};

test("outbound 1.3: without a policy the endpoint of a profile is forwarded to, as for a pod of a headless Service", async (t) => {
  const server = await Peer.start(t);
  const control = new WrittenControlPlane();
  control.profiles.set(
    ORIG_DST,
    new WatchCell<Profile>({ ...NO_PROFILE, opaqueProtocol: true, endpoint: server.endpoint }),
  );
  const proxy = await outbound(t, { protocol: { kind: "tls", routes: [] }, control, target: everywhere });
  control.policies.clear();
  proxy.dial().send("hello");
  await until("it arrives", () => server.accepted[0]?.text === "hello");
});

test("outbound 5.1: a profile that splits traffic routes connections by its weights", async (t) => {
  const [server, other] = [await Peer.start(t), await Peer.start(t)];
  const control = new WrittenControlPlane();
  control.endpoints = [server.endpoint];
  const logical = name("db.shop.svc.cluster.local:8080");
  const targets = [{ addr: name("db-2.shop.svc.cluster.local:8080"), weight: 1 }];
  control.profiles.set(ORIG_DST, new WatchCell<Profile>({ ...NO_PROFILE, logical, targets }));
  const protocol = { kind: "opaque", opaque: opaqueRoute(other.backend) } as const;
  const proxy = await outbound(t, { protocol, control, target: everywhere });
  proxy.dial().send("hello");
  await until("it arrives", () => server.accepted[0]?.text === "hello");
  assert.deepEqual(
    control.resolutions.map(({ path }) => path),
    ["db-2.shop.svc.cluster.local"],
  );
  assert.equal(other.accepted.length, 0);
});

test("outbound 1.3: a policy that can never be had closes the connection, whatever the profile does", async (t) => {
  class Refusing extends WrittenControlPlane {
    override watchProfile(): Promise<undefined> {
      return new Promise(() => {});
    }
    override watchOutboundPolicy(): Promise<OutboundPolicyLookup> {
      return Promise.resolve({ kind: "failed", error: new ProxyError("invalid_policy", "nonsense") });
    }
  }
  const control = new Refusing();
  const proxy = await outbound(t, { protocol: { kind: "tls", routes: [] }, control, target: everywhere });
  const client = proxy.dial();
  await until("it is closed", () => client.closed);
});

test("outbound 1.4: one lookup serves all connections to a target, and ends when nobody has used it for a while", async (t) => {
  const server = await Peer.start(t);
  const clock = new FakeClock();
  const proxy = await outbound(t, {
    protocol: { kind: "opaque", opaque: opaqueRoute(server.backend) },
    clock,
  });
  const clients = [proxy.dial(), proxy.dial()];
  for (const client of clients) client.send("x");
  await until("both are served", () => server.accepted.length === 2);
  assert.deepEqual(proxy.control.asked, [ORIG_DST]);
  for (const client of clients) client.socket.end();
  for (const { socket } of server.accepted) socket.end();
  await until("nobody uses it", () => clock.timers === 1);
  clock.advance(1_000);
  proxy.dial().send("x");
  await until("it is asked for again", () => proxy.control.asked.length === 2);
});

test("outbound 1.2: nothing is dialled on loopback", async (t) => {
  const server = await Peer.start(t);
  const dialer = dialerWith({ allowLoopback: false });
  const protocol = { kind: "opaque", opaque: opaqueRoute(server.backend) } as const;
  const proxy = await outbound(t, { protocol, target: { dialer } });
  const client = proxy.dial();
  await until("it is closed", () => client.closed);
  assert.equal(server.accepted.length, 0);
  const labels = outboundTcpErrorLabels(addr(ORIG_DST), "i/o");
  assert.equal(proxy.count(proxy.context.families.outboundTcpErrorsTotal, labels), 1);
});
