import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import type { Dialer, Session } from "../../src/outbound/dial.ts";
import type { Endpoint, EndpointMetadata } from "../../src/policy/endpoint.ts";
import { metaDefault } from "../../src/policy/meta.ts";
import { DEFAULT_LOAD } from "../../src/policy/synthesize.ts";
import { parseTransportHeader } from "../../src/wire/transport-header.ts";
import { DB, id, WEB } from "../tls/mesh-peer.ts";
import { opaqueRoute, outbound, Peer, until, WrittenControlPlane } from "./listening.ts";
import { dialerWith, MeshedPeer } from "./meshed-peer.ts";
import { name } from "./scripted.ts";

const APP_PORT = 8080;

function dial(dialer: Dialer, endpoint: Endpoint, session: Session) {
  const at = { authority: undefined, addr: endpoint.addr, tls: dialer.tlsOf(endpoint), labels: [] };
  return dialer.dial(endpoint, session, at);
}

interface Told {
  readonly what: string;
  readonly session: Session;
  readonly metadata: Partial<EndpointMetadata>;
  readonly header: ReturnType<typeof headerOf>;
}

function headerOf(port: number, target: string | undefined, sessionProtocol: Session) {
  return { port, name: target, sessionProtocol };
}

const GATEWAY = "web.shop.svc.cluster.local";

const TOLD: readonly Told[] = [
  {
    what: "the port of the application",
    session: "http2",
    metadata: {},
    header: headerOf(APP_PORT, undefined, "http2"),
  },
  { what: "HTTP/1", session: "http1", metadata: {}, header: headerOf(APP_PORT, undefined, "http1") },
  {
    what: "no session for bytes",
    session: undefined,
    metadata: {},
    header: headerOf(APP_PORT, undefined, undefined),
  },
  {
    what: "no session where the hint says opaque",
    session: "http1",
    metadata: { protocolHint: "opaque" },
    header: headerOf(APP_PORT, undefined, undefined),
  },
  {
    what: "name and port of an override",
    session: "http2",
    metadata: { authorityOverride: `${GATEWAY}:81` },
    header: headerOf(81, GATEWAY, "http2"),
  },
  {
    what: "nothing of an override without a port",
    session: "http2",
    metadata: { authorityOverride: GATEWAY },
    header: headerOf(APP_PORT, undefined, "http2"),
  },
  {
    what: "the port alone of an override that is an address",
    session: "http2",
    metadata: { authorityOverride: "192.0.2.7:81" },
    header: headerOf(81, undefined, "http2"),
  },
];

for (const { what, session, metadata, header } of TOLD) {
  test(`outbound 10.4: the transport header tells ${what}`, async (t) => {
    const peer = await MeshedPeer.start(t);
    const transport = await dial(dialerWith({}), peer.endpoint(APP_PORT, metadata), session);
    const bytes = Buffer.from("payload");
    transport.write(bytes, 0, bytes.length);
    await until("it arrives", () => peer.accepted[0]?.bytes.toString("latin1").endsWith("payload") === true);
    const read = parseTransportHeader(peer.accepted[0]?.bytes ?? Buffer.alloc(0));
    assert.equal(read?.kind, "header");
    assert.deepEqual({ ...headerOf(0, undefined, undefined), ...read.header }, header);
    assert.equal(peer.accepted[0]?.bytes.subarray(read.length).toString(), "payload");
    transport.destroy();
  });
}

test("outbound 10.1: ALPN is offered only with a tagged port or an override, and the name asked for is the endpoint's", async (t) => {
  const peer = await MeshedPeer.start(t);
  const tagged = await dial(dialerWith({}), peer.endpoint(APP_PORT), "http2");
  const plain = peer.endpoint(peer.addr.port, { taggedTransportPort: undefined });
  const untagged = await dial(dialerWith({}), plain, "http2");
  const gateway = { taggedTransportPort: undefined, authorityOverride: `${GATEWAY}:81` };
  const overridden = await dial(dialerWith({}), peer.endpoint(peer.addr.port, gateway), "http2");
  await until("all stand", () => peer.accepted.length === 3);
  assert.deepEqual(
    peer.accepted.map(({ socket }) => socket.alpnProtocol),
    ["transport.l5d.io/v1", false, "transport.l5d.io/v1"],
  );
  // The runtime's types leave it out.
  assert.deepEqual(
    new Set(peer.accepted.map(({ socket }) => Reflect.get(socket, "servername"))),
    new Set([WEB]),
  );
  for (const { socket } of peer.accepted)
    assert.match(socket.getPeerCertificate().subjectaltname ?? "", new RegExp(DB));
  for (const transport of [tagged, untagged, overridden]) transport.destroy();
});

test("outbound 10.4: a peer that does not agree to a header gets none", async (t) => {
  const peer = await MeshedPeer.start(t, []);
  const transport = await dial(dialerWith({}), peer.endpoint(APP_PORT), "http1");
  const bytes = Buffer.from("payload");
  transport.write(bytes, 0, bytes.length);
  await until("it arrives", () => peer.accepted[0]?.bytes.toString() === "payload");
  transport.destroy();
});

test("outbound 10.1: a peer with another identity gets nothing", async (t) => {
  const peer = await MeshedPeer.start(t);
  const { metadata, addr } = peer.endpoint(APP_PORT);
  assert.ok(metadata.identity.kind === "mesh");
  const other = { addr, metadata: { ...metadata, identity: { ...metadata.identity, serverId: id(DB) } } };
  await assert.rejects(dial(dialerWith({}), other, "http2"), (error) => {
    assert.ok(error instanceof ProxyError);
    return error.code === "tls_identity";
  });
  assert.ok(peer.accepted.every(({ bytes }) => bytes.length === 0));
});

test("outbound 10.1: the whole of connect and handshake is bounded", async (t) => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.after(() => silent.close());
  const address = silent.address();
  assert.ok(typeof address === "object" && address !== null);
  const peer = await MeshedPeer.start(t);
  const endpoint = peer.endpoint(APP_PORT, { taggedTransportPort: address.port });
  await assert.rejects(dial(dialerWith({ connectTimeoutMs: 50 }), endpoint, "http2"), (error) => {
    assert.ok(error instanceof ProxyError);
    assert.equal(error.message, "connect timed out after 50ms");
    return error.code === "connect_timeout";
  });
});

test("outbound 16.21: a pod that balances to itself speaks clear text to the application's own port", async (t) => {
  const server = await Peer.start(t);
  const mesh = await MeshedPeer.start(t);
  const control = new WrittenControlPlane();
  control.endpoints = [mesh.endpoint(server.addr.port, { authorityOverride: `${GATEWAY}:81` })];
  const path = name("db.shop.svc.cluster.local:5432");
  const backend = {
    meta: metaDefault("db"),
    dispatcher: { kind: "balance", path, load: DEFAULT_LOAD },
  } as const;
  const protocol = { kind: "opaque", opaque: opaqueRoute(backend) } as const;
  const dialer = dialerWith({ localIps: [server.addr.ip] });
  const proxy = await outbound(t, { protocol, control, target: { dialer } });
  proxy.dial().send("hello");
  await until("it arrives as it is", () => server.accepted[0]?.text === "hello");
  assert.equal(mesh.accepted.length, 0);
});

test("outbound 1.2: bytes forwarded to a single endpoint are secured wherever it is", async (t) => {
  const peer = await MeshedPeer.start(t);
  const dialer = dialerWith({ localIps: [peer.addr.ip] });
  const backend = {
    meta: metaDefault("self"),
    dispatcher: { kind: "forward", endpoint: peer.endpoint(APP_PORT) },
  } as const;
  const proxy = await outbound(t, {
    protocol: { kind: "opaque", opaque: opaqueRoute(backend) },
    target: { dialer },
  });
  proxy.dial().send("hello");
  await until("it arrives", () => peer.accepted[0]?.bytes.toString("latin1").endsWith("hello") === true);
});
