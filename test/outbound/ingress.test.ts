import assert from "node:assert/strict";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { test, type TestContext } from "node:test";
import type { RequestHead } from "../../src/http/message.ts";
import { parentLabels, withFirst } from "../../src/metrics/labels.ts";
import { takeOverride } from "../../src/outbound/ingress.ts";
import { formatTarget } from "../../src/outbound/target.ts";
import type { ClientPolicy } from "../../src/policy/client-policy.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { WatchCell } from "../../src/watch/watch.ts";
import { fieldsOf, textOf } from "../support/recording-app.ts";
import { detect, opaqueRoute, ORIG_DST, outbound, PARENT, Peer, until, type Outbound } from "./listening.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const WEB = "web.shop.svc.cluster.local";
const web = (t: TestContext) =>
  Peer.start(t, (conversation) => conversation.socket.on("data", () => conversation.send(OK)));

/** A listener in ingress mode: connections were for `original`, and `WEB` is known on port 80. */
async function ingress(t: TestContext, original: Peer, named: Peer): Promise<Outbound> {
  const proxy = await outbound(t, {
    protocol: detect(original.backend),
    options: { ingressMode: true },
    target: { informationalHeaders: false },
  });
  proxy.control.policies.set(
    `${WEB}:80`,
    new WatchCell<ClientPolicy>({ parent: metaDefault("web"), protocol: detect(named.backend) }),
  );
  return proxy;
}

const OVERRIDES: readonly (readonly [string, string | undefined])[] = [
  ["web.shop.svc.cluster.local", "web.shop.svc.cluster.local:80"],
  ["web.shop.svc.cluster.local:8080", "web.shop.svc.cluster.local:8080"],
  ["Web.Shop.svc.cluster.local.", "web.shop.svc.cluster.local:80"],
  ["192.0.2.1", undefined],
  ["192.0.2.1:80", undefined],
  ["[2001:db8::1]:80", undefined],
  ["web:0", undefined],
  ["web:65536", undefined],
  ["http://web/", undefined],
  ["web shop", undefined],
  ["", undefined],
];

for (const [text, expected] of OVERRIDES) {
  test(`outbound 12.1: l5d-dst-override "${text}" means ${expected ?? "no name"}`, () => {
    const fields = fieldsOf([`l5d-dst-override: ${text}`, "l5d-dst-override: second", "x-other: kept"]);
    // Nothing else of a head is looked at.
    const head = { fields } as RequestHead;
    const target = takeOverride(head);
    assert.equal(target?.ok === true ? formatTarget(target.value) : undefined, expected);
    assert.equal(target?.ok, expected !== undefined);
    assert.deepEqual(textOf(fields), ["x-other: kept"]);
  });
}

test("outbound 12.1: without the header a request goes where the connection went", () => {
  assert.equal(takeOverride({ fields: fieldsOf(["host: web"]) } as RequestHead), undefined);
});

test("outbound 12.1: each request of a connection goes where its header says, which is stripped", async (t) => {
  const [original, named] = [await web(t), await web(t)];
  const proxy = await ingress(t, original, named);
  const client = proxy.dial();
  client.send(`GET /named HTTP/1.1\r\nhost: public.example.com\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
  await until("the first answer is there", () => client.text.endsWith("ok"));
  client.text = "";
  client.send("GET /original HTTP/1.1\r\nhost: public.example.com\r\n\r\n");
  await until("the second answer is there", () => client.text.endsWith("ok"));
  assert.match(
    named.accepted[0]?.text ?? "",
    /^GET \/named HTTP\/1\.1\r\nhost: public\.example\.com\r\n\r\n$/,
  );
  assert.match(original.accepted[0]?.text ?? "", /^GET \/original /);
  assert.deepEqual(proxy.control.asked, [`${WEB}:80`, ORIG_DST]);
  const { families } = proxy.context;
  const detected = withFirst("result", "http/1", parentLabels(metaDefault("ingress")));
  assert.equal(proxy.count(families.outboundTcpDetectHttpResultsTotal, detected), 1);
});

for (const [what, override] of [
  ["an address", "192.0.2.1:80"],
  ["a name that nobody knows", "nobody.shop.svc.cluster.local"],
] as const) {
  test(`outbound 12.1: ${what} gets no response: HTTP/1 is closed, HTTP/2 is reset`, async (t) => {
    const server = await web(t);
    const proxy = await ingress(t, server, server);
    const client = proxy.dial();
    client.send(`GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: ${override}\r\n\r\n`);
    await until("it is closed", () => client.closed);
    assert.equal(client.text, "");
    const session = http2(t, proxy);
    const stream = session.request({ ":path": "/", "l5d-dst-override": override });
    stream.on("error", () => {});
    await new Promise((resolve) => stream.once("close", resolve));
    assert.equal(stream.rstCode, 2);
    assert.equal(session.closed, false);
    assert.equal(server.accepted.length, 0);
  });
}

function http2(t: TestContext, proxy: Outbound): ClientHttp2Session {
  const session = connectHttp2("http://web", { createConnection: () => proxy.dial().socket });
  session.on("error", () => {});
  t.after(() => session.destroy());
  return session;
}

test("outbound 12.1: a target whose policy is not about HTTP takes no requests", async (t) => {
  const server = await web(t);
  const proxy = await ingress(t, server, server);
  const opaque = { kind: "opaque", opaque: opaqueRoute(server.backend) } as const;
  proxy.control.policies.get(`${WEB}:80`)?.publish({ parent: PARENT, protocol: opaque });
  const client = proxy.dial();
  client.send(`GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
  await until("it is closed", () => client.closed);
  assert.equal(client.text, "");
});

test("outbound 12.1: every connection is looked at, and what is not HTTP goes where it went", async (t) => {
  const [original, named] = [await Peer.start(t), await web(t)];
  const proxy = await ingress(t, original, named);
  const opaque = { kind: "opaque", opaque: opaqueRoute(original.backend) } as const;
  proxy.policy.publish({ parent: PARENT, protocol: opaque });
  const http = proxy.dial();
  http.send(`GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
  await until("HTTP is answered", () => http.text.endsWith("ok"));
  proxy.dial().send("\x01binary");
  await until("bytes go on", () => original.accepted[0]?.text === "\x01binary");
});

test("outbound 12.1: a request without a host is named after its target", async (t) => {
  const [original, named] = [await web(t), await web(t)];
  const proxy = await ingress(t, original, named);
  const [route] = detect(named.backend).http1.routes;
  assert.ok(route !== undefined);
  const only = {
    routes: [{ ...route, hosts: [{ kind: "exact", host: WEB }] }],
    failureAccrual: undefined,
  } as const;
  proxy.control.policies
    .get(`${WEB}:80`)
    ?.publish({ parent: PARENT, protocol: { ...detect(named.backend), http1: only } });
  const client = proxy.dial();
  client.send(`GET / HTTP/1.0\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
  await until("the route was found by that name", () => client.text.endsWith("ok"));
});

test("outbound 12.1: a server that speaks first is heard at once here too", async (t) => {
  const original = await Peer.start(t, (conversation) => conversation.send("220 hello\r\n"));
  const proxy = await ingress(t, original, original);
  const client = proxy.dial();
  await until("the greeting arrives", () => client.text === "220 hello\r\n");
});

test("outbound 12.1: outside of ingress mode the header means nothing and is passed on", async (t) => {
  const [original, named] = [await web(t), await web(t)];
  const proxy = await ingress(t, original, named);
  Object.assign(proxy.context.options, { ingressMode: false });
  const client = proxy.dial();
  client.send(`GET / HTTP/1.1\r\nhost: web\r\nl5d-dst-override: ${WEB}\r\n\r\n`);
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.match(original.accepted[0]?.text ?? "", /l5d-dst-override: web\.shop/);
  assert.equal(named.accepted.length, 0);
});
