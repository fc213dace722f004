import assert from "node:assert/strict";
import { createServer as createHttp2Server, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { connect, createServer, type AddressInfo, type Server as TcpServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { create, toBinary } from "@bufbuild/protobuf";
import { parseDnsName, type DnsName } from "../../src/addr/dns-name.ts";
import { parseAddr, type Addr } from "../../src/addr/name-addr.ts";
import type { SocketAddr } from "../../src/addr/socket-addr.ts";
import { ControlClient, MESSAGE_MAX_BYTES } from "../../src/control/control-client.ts";
import type { ControlTls } from "../../src/control/mesh-credentials.ts";
import { Code, type CallStatus } from "../../src/control/stream.ts";
import { parseId } from "../../src/identity/id.ts";
import { parseTrustRoots } from "../../src/identity/trust-roots.ts";
import type { Parsed } from "../../src/parsed.ts";
import {
  Destination,
  DestinationProfileSchema,
  GetDestinationSchema,
  type DestinationProfile,
} from "../../src/proto/gen/destination_pb.js";
import { systemClock, type Clock } from "../../src/time/clock.ts";
import { CredentialsStore } from "../../src/tls/credentials.ts";
import { TestCa } from "../support/certs.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { ListeningLog } from "./listening-log.ts";
import { ScriptedServer } from "./scripted-server.ts";

const BACKOFF = { minMs: 5, maxMs: 20, jitter: 0.1 };
const NAME = "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
const OWN = "web.shop.serviceaccount.identity.linkerd.cluster.local";

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
});

function take<T>(result: Parsed<T>): T {
  return result.ok ? result.value : assert.fail(result.problem);
}
const addrOf = (text: string): Addr => take(parseAddr(text));
function socketOf(port: number): SocketAddr {
  const addr = addrOf(`127.0.0.1:${port}`);
  return addr.kind === "socket" ? addr.socket : assert.fail();
}

/** A client of a control plane with a name, found at the given ports of this machine, or of one on loopback. */
function clientOf(
  ports: readonly number[],
  tls?: ControlTls,
  log = new ListeningLog(),
  clock: Clock = systemClock,
): ControlClient {
  const [port = 0] = ports;
  const client = new ControlClient({
    service: "destination",
    address: addrOf(tls === undefined ? `127.0.0.1:${port}` : "dst.linkerd.svc.cluster.local.:8086"),
    tls,
    connectTimeoutMs: 500,
    backoff: BACKOFF,
    clock,
    log,
    random: () => 0.99,
    resolve: () => Promise.resolve(ports.map(socketOf)),
  });
  cleanups.push(() => client.close());
  return client;
}

/** Opens one stream and hands out what it tells. */
function openProfile(client: ControlClient) {
  const request = create(GetDestinationSchema, { path: "web:80" });
  const first = Promise.withResolvers<DestinationProfile>();
  const ended = Promise.withResolvers<CallStatus>();
  const stream = client.serverStream(
    Destination.method.getProfile,
    request,
  )({ message: first.resolve, end: ended.resolve });
  cleanups.push(() => stream.cancel());
  return { first: first.promise, ended: ended.promise, cancel: () => stream.cancel() };
}

async function scripted(): Promise<ScriptedServer> {
  const server = await new ScriptedServer().start();
  cleanups.push(() => server.kill());
  return server;
}

const ca = TestCa.create();
function store(roots = ca): CredentialsStore {
  const id = take(parseId(OWN));
  return new CredentialsStore(id, dnsName(OWN), take(parseTrustRoots(roots.certPem)).roots);
}
const dnsName = (text: string): DnsName => take(parseDnsName(text));
const tlsOf = (credentials = store()): ControlTls => ({
  serverName: dnsName(NAME),
  credentials: credentials.credentials,
});

/** What stands in front of a control plane: mesh TLS as `id`, which asks for a client certificate but does not insist. */
async function tlsFront(server: ScriptedServer, id: string, issuer = ca) {
  const leaf = issuer.issue({ id });
  const clients: (string | undefined)[] = [];
  const front = createTlsServer(
    {
      key: leaf.keyPem,
      cert: leaf.chainPem,
      ca: ca.certPem,
      requestCert: true,
      rejectUnauthorized: false,
      // As a mesh proxy, which refuses what it does not know.
      ALPNProtocols: ["transport.l5d.io/v1"],
    },
    (socket) => {
      clients.push(socket.authorized ? socket.getPeerX509Certificate()?.subjectAltName : undefined);
      const inner = connect(server.port, "127.0.0.1");
      cleanups.push(() => [socket, inner].forEach((s) => s.destroy()));
      for (const s of [socket, inner]) s.on("error", () => {});
      socket.pipe(inner).pipe(socket);
    },
  );
  front.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => front.close());
  return { port: portOf(front), clients };
}

describe("a control client over TLS", () => {
  it("speaks to the service whose certificate has the name", async () => {
    const server = await scripted();
    const front = await tlsFront(server, NAME);
    const { first } = openProfile(clientOf([front.port], tlsOf()));
    const call = await server.getProfile.next();
    call.write(create(DestinationProfileSchema, { opaqueProtocol: true }));
    assert.equal((await first).opaqueProtocol, true);
  });

  it("refuses a certificate of somebody else, and says whose", async () => {
    const server = await scripted();
    const front = await tlsFront(server, "evil.shop.serviceaccount.identity.linkerd.cluster.local");
    const { ended } = openProfile(clientOf([front.port], tlsOf()));
    const { code, message } = await ended;
    assert.equal(code, Code.UNAVAILABLE);
    assert.match(message, /expected linkerd-destination\..* presented evil\.shop/);
    assert.equal(server.getProfile.opened, 0);
  });

  it("refuses a certificate of another authority", async () => {
    const server = await scripted();
    const front = await tlsFront(server, NAME, TestCa.create({ name: "other" }));
    const { ended } = openProfile(clientOf([front.port], tlsOf()));
    assert.equal((await ended).code, Code.UNAVAILABLE);
    assert.equal(server.getProfile.opened, 0);
  });

  it("refuses a wildcard", async () => {
    const server = await scripted();
    const front = await tlsFront(server, `*.${NAME.split(".").slice(1).join(".")}`);
    const { ended } = openProfile(clientOf([front.port], tlsOf()));
    assert.equal((await ended).code, Code.UNAVAILABLE);
  });

  it("never falls back to clear text", async () => {
    const server = await scripted();
    const { ended } = openProfile(clientOf([server.port], tlsOf()));
    assert.equal((await ended).code, Code.UNAVAILABLE);
    assert.equal(server.getProfile.opened, 0);
  });

  it("presents its certificate on connections made after it has one, and leaves running streams alone", async () => {
    const server = await scripted();
    const front = await tlsFront(server, NAME);
    const own = store();
    const running = openProfile(clientOf([front.port], tlsOf(own)));
    const before = await server.getProfile.next();
    before.write(create(DestinationProfileSchema));
    await running.first;
    assert.deepEqual(front.clients, [undefined]);

    const leaf = ca.issue({ id: OWN });
    take(own.setCertificate(leaf.leafDer, leaf.intermediatesDer, leaf.key, leaf.notAfterMs, Date.now()));
    openProfile(clientOf([front.port], tlsOf(own)));
    await server.getProfile.next();
    assert.deepEqual(front.clients, [undefined, `DNS:${OWN}`]);
    assert.equal(before.cancelled, false);
  });

  it("cannot be made for an address off loopback without a name to verify", () => {
    assert.throws(
      () =>
        new ControlClient({
          service: "destination",
          address: addrOf("192.0.2.1:8086"),
          tls: undefined,
          connectTimeoutMs: 500,
          backoff: BACKOFF,
          clock: systemClock,
          log: new ListeningLog(),
        }),
      /destination at 192\.0\.2\.1:8086 is not on loopback and needs a server name/,
    );
  });
});

describe("a control client", () => {
  it("makes one connection for all streams that a dead control plane broke", async () => {
    const connections: Socket[] = [];
    let opened = 0;
    const server = await http2Server((stream) => {
      opened++;
      grpc(stream);
    }, connections);
    const client = clientOf([portOf(server)]);
    const streams = Array.from({ length: 50 }, () => openProfile(client));
    await seen(() => opened === 50, server);
    assert.equal(connections.length, 1);
    for (const socket of connections) socket.destroy();
    await Promise.all(streams.map((stream) => stream.ended));
    for (let i = 0; i < 50; i++) openProfile(client);
    await seen(() => opened === 100, server);
    assert.equal(connections.length, 2);
  });

  it("tells an operator once that the control plane is gone, and once that it is back", async () => {
    const server = await scripted();
    const log = new ListeningLog();
    const client = clientOf([server.port], undefined, log);
    server.kill();
    const unreachable = log.hears("control plane is unreachable");
    const back = log.hears("control plane is reachable again");
    assert.equal(client.unreachable, undefined);
    await openProfile(client).ended;
    assert.equal((await unreachable)["service"], "destination");
    assert.match(client.unreachable ?? "", /^destination at 127\.0\.0\.1:\d+: no connection to 127\.0\.0\.1/);
    await server.start();
    openProfile(client);
    (await server.getProfile.next()).write(create(DestinationProfileSchema));
    await back;
    assert.equal(client.unreachable, undefined);
  });

  it("asks on another connection after an answer that did not come in time", async () => {
    const connections: Socket[] = [];
    const server = await http2Server(grpc, connections);
    const client = clientOf([portOf(server)]);
    const late = new AbortController();
    const request = create(GetDestinationSchema);
    const asked = client.unary(Destination.method.getProfile, request, late.signal);
    await seen(() => connections.length === 1, server);
    late.abort();
    assert.equal((await asked).ok, false);
    const again = new AbortController();
    const second = client.unary(Destination.method.getProfile, request, again.signal);
    await seen(() => connections.length === 2, server);
    again.abort();
    await second;
  });

  it("counts a refusal as an answer", async () => {
    const server = await scripted();
    const log = new ListeningLog();
    const client = clientOf([server.port], undefined, log);
    server.kill();
    await openProfile(client).ended;
    const back = log.hears("control plane is reachable again");
    await server.start();
    openProfile(client);
    const refusal = Object.assign(new Error("no"), { code: Code.NOT_FOUND, details: "no" });
    (await server.getProfile.next()).emit("error", refusal);
    await back;
  });

  it("goes to the next address when one refuses", async () => {
    const server = await scripted();
    const closed = await scripted();
    closed.kill();
    const client = clientOf([closed.port, server.port]);
    await openProfile(client).ended;
    openProfile(client);
    await server.getProfile.next();
  });

  it("goes to the next address when one accepts and never answers", async () => {
    const silent = await tcpServer(() => {});
    const server = await scripted();
    const client = clientOf([portOf(silent), server.port]);
    const stuck = openProfile(client);
    await accepted(silent);
    stuck.cancel();
    openProfile(client);
    await server.getProfile.next();
  });

  it("gives up on a peer that accepts and never answers, and says which", async () => {
    const silent = await tcpServer(() => {});
    const clock = new FakeClock();
    const stuck = openProfile(clientOf([portOf(silent)], undefined, new ListeningLog(), clock));
    await accepted(silent);
    clock.advance(500 + 2_000);
    const { code, message } = await stuck.ended;
    assert.equal(code, Code.UNAVAILABLE);
    assert.equal(message, `connecting to 127.0.0.1:${portOf(silent)} timed out`);
  });

  it("paces its attempts to connect, however many calls ask for one", async () => {
    const clock = new FakeClock();
    let attempts = 0;
    const client = new ControlClient({
      service: "policy",
      address: addrOf("policy.linkerd.svc.cluster.local.:8090"),
      tls: tlsOf(),
      connectTimeoutMs: 500,
      backoff: { minMs: 100, maxMs: 60_000, jitter: 0 },
      clock,
      log: new ListeningLog(),
      resolve: () => {
        attempts++;
        return Promise.reject(new Error("no such name"));
      },
    });
    cleanups.push(() => client.close());
    for (const [i, pauseMs] of [0, 100, 200, 400].entries()) {
      const calls = Array.from({ length: 20 }, () => openProfile(client).ended);
      clock.advance(Math.max(0, pauseMs - 1));
      assert.equal(attempts, i === 0 ? 1 : i);
      clock.advance(1);
      await Promise.all(calls);
      assert.equal(attempts, i + 1);
    }
  });

  it("reports names that do not resolve as unavailable", async () => {
    const client = new ControlClient({
      service: "policy",
      address: addrOf("policy.linkerd.svc.cluster.local.:8090"),
      tls: tlsOf(),
      connectTimeoutMs: 500,
      backoff: BACKOFF,
      clock: systemClock,
      log: new ListeningLog(),
      resolve: () => Promise.reject(new Error("resolving policy: no such name")),
    });
    cleanups.push(() => client.close());
    assert.deepEqual(await openProfile(client).ended, {
      code: Code.UNAVAILABLE,
      message: "resolving policy: no such name",
    });
  });

  it("fails what waits for a connection when it is closed", async () => {
    const client = clientOf([1]);
    await openProfile(client).ended;
    const waiting = openProfile(client);
    client.close();
    assert.equal((await waiting.ended).code, Code.UNAVAILABLE);
  });

  it("sends http as scheme and the configured authority, without trailing dot", async () => {
    const heads: Record<string, unknown>[] = [];
    const server = await http2Server((stream, headers) => {
      heads.push(headers);
      stream.respond({ ":status": 200 });
    });
    const client = new ControlClient({
      service: "destination",
      address: addrOf("localhost.:80"),
      tls: undefined,
      connectTimeoutMs: 500,
      backoff: BACKOFF,
      clock: systemClock,
      log: new ListeningLog(),
      resolve: () => Promise.resolve([socketOf(portOf(server))]),
    });
    cleanups.push(() => client.close());
    openProfile(client);
    await seen(() => heads.length > 0, server);
    assert.equal(heads[0]?.[":scheme"], "http");
    assert.equal(heads[0]?.[":authority"], "localhost");
    assert.equal(heads[0]?.["te"], "trailers");
    assert.equal(heads[0]?.["grpc-timeout"], undefined);
  });
});

describe("a stream of nonsense", () => {
  const profileFrame = frame(toBinary(DestinationProfileSchema, create(DestinationProfileSchema, {})));
  const answers: readonly (readonly [string, (stream: ServerHttp2Stream) => void])[] = [
    ["that is no protobuf", (s) => grpc(s).write(frame(Buffer.from("ffffffffffff", "hex")))],
    ["that is cut off within a frame", (s) => void grpc(s).end(profileFrame.subarray(0, 3))],
    ["that is cut off by a reset", (s) => grpc(s).close(2)],
    ["that ends without trailers", (s) => void grpc(s).end(profileFrame)],
    ["that is a web page", (s) => void page(s).end("<html>busy</html>")],
    ["that announces more than 16 MiB", (s) => grpc(s).write(header(0, MESSAGE_MAX_BYTES + 1))],
    [
      "that claims to be compressed",
      (s) => grpc(s).write(Buffer.concat([header(1, 4), Buffer.from("gzip")])),
    ],
    ["that is an HTTP error", (s) => s.respond({ ":status": 503 }, { endStream: true })],
  ];
  for (const [name, answer] of answers) {
    it(`${name} ends with a status, and the next stream works`, async () => {
      let calls = 0;
      const server = await http2Server((stream) => {
        if (calls++ === 0) answer(stream);
        else grpc(stream).write(profileFrame);
      });
      const client = clientOf([portOf(server)]);
      const { code } = await openProfile(client).ended;
      assert.notEqual(code, Code.OK);
      assert.notEqual(code, Code.INVALID_ARGUMENT);
      assert.notEqual(code, Code.FAILED_PRECONDITION);
      const next = openProfile(client);
      assert.equal((await next.first).opaqueProtocol, false);
    });
  }
});

function header(compressed: number, length: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.writeUInt8(compressed, 0);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}
function frame(message: Uint8Array): Buffer {
  return Buffer.concat([header(0, message.length), message]);
}
function grpc(stream: ServerHttp2Stream): ServerHttp2Stream {
  stream.respond({ ":status": 200, "content-type": "application/grpc" });
  return stream;
}
function page(stream: ServerHttp2Stream): ServerHttp2Stream {
  stream.respond({ ":status": 200, "content-type": "text/html" });
  return stream;
}

async function http2Server(
  onStream: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
  connections: Socket[] = [],
): Promise<Http2Server> {
  const all: Socket[] = [];
  const server = createHttp2Server(({ headers }, { stream }) => {
    stream.on("error", () => {});
    onStream(stream, headers);
    server.emit("told");
  });
  server.on("connection", (socket) => {
    connections.push(socket);
    all.push(socket);
  });
  server.on("session", (session) => session.on("error", () => {}));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of all) socket.destroy();
    server.close();
  });
  return server;
}

async function tcpServer(onSocket: (socket: Socket) => void): Promise<TcpServer> {
  const all: Socket[] = [];
  const server = createServer((socket) => {
    all.push(socket);
    socket.on("error", () => {});
    onSocket(socket);
    server.emit("told");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of all) socket.destroy();
    server.close();
  });
  return server;
}

function portOf(server: TcpServer | Http2Server): number {
  // Listening on TCP, both have an address record.
  return (server.address() as AddressInfo).port;
}

function accepted(server: TcpServer): Promise<void> {
  return new Promise((resolve) => server.once("told", resolve));
}

async function seen(condition: () => boolean, server: Http2Server): Promise<void> {
  while (!condition()) await new Promise((resolve) => server.once("told", resolve));
}
