/** Bytes on both sides of an outbound listener: statements about messages without another test. */
import assert from "node:assert/strict";
import { connect, createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import type { HostMatch } from "../../src/policy/route-match.ts";
import type { Backend, ClientProtocol } from "../../src/policy/client-policy.ts";
import { NO_METADATA, type Endpoint } from "../../src/policy/endpoint.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { DEFAULT_LOAD } from "../../src/policy/synthesize.ts";
import { detect, ORIG_DST, outbound, Peer, until, WrittenControlPlane } from "./listening.ts";
import { dialerWith, MeshedPeer } from "./meshed-peer.ts";
import { addr, name } from "./scripted.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const web = (t: TestContext) =>
  Peer.start(t, (conversation) => conversation.socket.on("data", () => conversation.send(OK)));

/** HTTP/1 to one backend, for some hosts alone. */
function http1(backend: Backend, ...hosts: readonly HostMatch[]): ClientProtocol {
  const { routes, failureAccrual } = detect(backend).http1;
  return { kind: "http1", http1: { routes: routes.map((route) => ({ ...route, hosts })), failureAccrual } };
}
const exactly = (host: string): HostMatch => ({ kind: "exact", host });
const forwardTo = (endpoint: Endpoint): Backend => ({
  meta: metaDefault("backend"),
  dispatcher: { kind: "forward", endpoint },
});

test("outbound 16.3: what a request says about its connection stays behind, names are lower-case, Host is as it was", async (t) => {
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const client = proxy.dial();
  client.send(
    "GET /x HTTP/1.1\r\nHost: Web.Example:8080\r\nConnection: keep-alive, x-foo\r\nX-Foo: 1\r\n" +
      "X-Bar: A\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nx-bar: B\r\n\r\n",
  );
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.equal(
    server.accepted[0]?.text,
    "GET /x HTTP/1.1\r\nhost: Web.Example:8080\r\nx-bar: A\r\nx-bar: B\r\n\r\n",
  );
});

test("outbound 3.2: what a client expects is told to the server, and the word to go on comes from here", async (t) => {
  const server = await Peer.start(t);
  const proxy = await outbound(t, { protocol: http1(server.backend) });
  const client = proxy.dial();
  client.send("POST / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  await until("it is told to go on", () => client.text === "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  await until("it arrives", () => server.accepted[0]?.text.endsWith("\r\n\r\nbody") === true);
  assert.match(server.accepted[0]?.text ?? "", /\r\nexpect: 100-continue\r\n/);
});

test("outbound 3.4, 16.4: an absolute-form request is matched by its target, and goes on in absolute form", async (t) => {
  const server = await web(t);
  const proxy = await outbound(t, { protocol: http1(server.backend, exactly("target.test")) });
  const client = proxy.dial();
  client.send("GET http://target.test/abs?q HTTP/1.1\r\nHost: target.test\r\n\r\n");
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.match(
    server.accepted[0]?.text ?? "",
    /^GET http:\/\/target\.test\/abs\?q HTTP\/1\.1\r\nhost: target\.test\r\n/,
  );
});

test("outbound 3.4: a request that names no host is matched by the original destination, and gets no Host", async (t) => {
  const server = await web(t);
  const [host = ""] = ORIG_DST.split(":");
  const proxy = await outbound(t, { protocol: http1(server.backend, exactly(host)) });
  const client = proxy.dial();
  client.send("GET / HTTP/1.0\r\n\r\n");
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.doesNotMatch(server.accepted[0]?.text ?? "", /host:/);
  const other = proxy.dial();
  other.send("GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
  await until("it is answered", () => other.text !== "");
  assert.match(other.text, /^HTTP\/1\.1 404 .*\r\nl5d-proxy-error: .*no route\r\n/s);
});

test("outbound 13.1: a forward goes where the connection went, whatever Host says", async (t) => {
  const server = await web(t);
  const proxy = await outbound(t, { protocol: detect(server.backend) });
  const client = proxy.dial();
  client.send("GET / HTTP/1.1\r\nHost: never.resolved.invalid\r\n\r\n");
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.match(server.accepted[0]?.text ?? "", /\r\nhost: never\.resolved\.invalid\r\n/);
});

const CLOSING =
  "HTTP/1.1 503 Not Now\r\nl5d-proxy-error: peer\r\nl5d-proxy-connection: close\r\ncontent-length: 2\r\n\r\nno";

test("outbound 3.8: a meshed peer that is forwarded to may end the application's connection, one in a balancer may not", async (t) => {
  const balanced: Backend = {
    meta: metaDefault("web"),
    dispatcher: { kind: "balance", path: name("web.shop.svc.cluster.local:80"), load: DEFAULT_LOAD },
  };
  for (const isForward of [true, false]) {
    const peer = await MeshedPeer.start(t, []);
    const endpoint = peer.endpoint(8080);
    const control = new WrittenControlPlane();
    control.endpoints = [endpoint];
    const protocol = http1(isForward ? forwardTo(endpoint) : balanced);
    const proxy = await outbound(t, { protocol, control, target: { dialer: dialerWith({}) } });
    const client = proxy.dial();
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await until("it arrives", () => peer.accepted[0]?.bytes.includes("\r\n\r\n") === true);
    peer.accepted[0]?.socket.write(CLOSING);
    await until("it is answered", () => client.text.endsWith("no"));
    assert.match(client.text, /^HTTP\/1\.1 503 Not Now\r\n/);
    assert.doesNotMatch(client.text, /l5d-proxy/);
    assert.equal(/\r\nconnection: close\r\n/.test(client.text), isForward);
    if (isForward) await until("it is closed", () => client.closed);
    else assert.equal(client.ended, false);
  }
});

test("outbound 16.17: a 502 of this proxy carries its own reason", async (t) => {
  const server = await Peer.start(t);
  server.server.close();
  const proxy = await outbound(t, { protocol: http1(server.backend) });
  const client = proxy.dial();
  client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
  await until("it is closed", () => client.closed);
  assert.match(client.text, /^HTTP\/1\.1 502 /);
  assert.match(client.text, /\r\nl5d-proxy-error: endpoint 127\.0\.0\.1:\d+: /);
  assert.match(client.text, /\r\nl5d-proxy-connection: close\r\n/);
  assert.match(client.text, /\r\nconnection: close\r\n/);
  assert.match(client.text, /\r\ncontent-length: 0\r\n/);
  assert.match(client.text, /\r\ndate: /);
});

test("outbound 3.7, 10.6: a meshed endpoint at an address of our own takes HTTP/1 in clear text, under its own authority", async (t) => {
  const server = await web(t);
  const mesh = await MeshedPeer.start(t);
  const { port } = server.addr;
  const endpoint = mesh.endpoint(port, { protocolHint: "h2", authorityOverride: "gateway.test:81" });
  const dialer = dialerWith({ localIps: [server.addr.ip] });
  const proxy = await outbound(t, { protocol: http1(forwardTo(endpoint)), target: { dialer } });
  const client = proxy.dial();
  client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
  await until("it is answered", () => client.text.endsWith("ok"));
  assert.equal(server.accepted[0]?.text, "GET / HTTP/1.1\r\nhost: web\r\n\r\n");
  assert.equal(mesh.accepted.length, 0);
});

const PEER_DATE = "Thu, 01 Jan 1970 00:00:00 GMT";

/** A peer that takes HTTP/1 over HTTP/2, and whose response head for `/BYTES` is at least so large. */
async function http2Peer(t: TestContext): Promise<{ endpoint: Endpoint; seen: IncomingHttpHeaders[] }> {
  const server = createServer({ maxSendHeaderBlockLength: 1_000_000 });
  const seen: IncomingHttpHeaders[] = [];
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    seen.push(headers);
    const bytes = Number(/\d+/.exec(String(headers[":path"]))?.[0] ?? 0);
    stream.respond({
      ":status": 200,
      "l5d-orig-proto": "HTTP/1.1",
      "x-long": "v".repeat(bytes),
      date: PEER_DATE,
    });
    stream.end("ok");
  });
  server.on("session", (session) => {
    session.on("error", () => {});
    t.after(() => session.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  // A TCP server that listens has an address, and it is not a string.
  const { port } = server.address() as AddressInfo;
  return { endpoint: endpointOn(port), seen };
}
const endpointOn = (port: number): Endpoint => ({
  addr: addr(`127.0.0.1:${port}`),
  metadata: { ...NO_METADATA, protocolHint: "h2" },
});

test("outbound 16.6: HTTP/1 to a peer that takes it over HTTP/2 tells its version, loses its coding, and comes back as HTTP/1", async (t) => {
  const { endpoint, seen } = await http2Peer(t);
  const proxy = await outbound(t, { protocol: detect(forwardTo(endpoint)) });
  const client = proxy.dial();
  client.send(
    "POST /a HTTP/1.1\r\nHost: web.test:81\r\nl5d-orig-proto: forged\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "3\r\nabc\r\n0\r\n\r\n",
  );
  await until("it is answered", () => client.text.endsWith("0\r\n\r\n"));
  const { ":method": method, ":scheme": scheme, ":authority": authority, host } = seen[0] ?? {};
  assert.deepEqual([method, scheme, authority, host], ["POST", "http", "web.test:81", "web.test:81"]);
  assert.equal(seen[0]?.["l5d-orig-proto"], "HTTP/1.1");
  assert.equal(seen[0]?.["transfer-encoding"], undefined);
  assert.match(client.text, /^HTTP\/1\.1 200 /);
  assert.match(client.text, /\r\ntransfer-encoding: chunked\r\n/);
  assert.doesNotMatch(client.text, /l5d-orig-proto/);

  const absolute = proxy.dial();
  absolute.send("GET http://web.test/abs HTTP/1.1\r\nHost: web.test\r\n\r\n");
  await until("it is answered", () => absolute.text.endsWith("0\r\n\r\n"));
  assert.equal(seen[1]?.["l5d-orig-proto"], "HTTP/1.1; absolute-form");
});

test("outbound 16.18: a response head over the limit fails its request alone, and one of 20 KiB does not", async (t) => {
  const { endpoint, seen } = await http2Peer(t);
  const proxy = await outbound(t, { protocol: detect(forwardTo(endpoint)) });
  for (const [bytes, status] of [
    [20_480, 200],
    [70_000, 502],
    [20_480, 200],
  ] as const) {
    const client = proxy.dial();
    client.send(`GET /${bytes} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n`);
    await until("it is closed", () => client.closed);
    assert.match(client.text, new RegExp(`^HTTP/1\\.1 ${status} `));
  }
  assert.equal(seen.length, 3);
});

test("outbound 3.1: an HTTP/2 response without a date gets one, and one with a date keeps it", async (t) => {
  const { endpoint } = await http2Peer(t);
  const { routes, failureAccrual } = detect(forwardTo(endpoint)).http2;
  const http2 = { routes: routes.map((route) => ({ ...route, hosts: [exactly("web")] })), failureAccrual };
  const proxy = await outbound(t, { protocol: { kind: "http2", http2 } });
  const session = connect("http://web", { createConnection: () => proxy.dial().socket });
  session.on("error", () => {});
  t.after(() => session.destroy());
  const ask = (authority: string): Promise<IncomingHttpHeaders & { ":status"?: number }> => {
    const stream = session.request({ ":path": "/0", ":authority": authority });
    stream.resume();
    return new Promise((resolve) => stream.once("response", resolve));
  };
  const served = await ask("web");
  assert.deepEqual([served[":status"], served["date"]], [200, PEER_DATE]);
  const refused = await ask("nobody");
  assert.equal(refused[":status"], 404);
  assert.ok(Math.abs(Date.parse(String(refused["date"])) - Date.now()) < 60_000);
});
