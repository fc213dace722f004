import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer, get, type Server as HttpServer } from "node:http";
import { connect as h2Connect, createServer as createHttp2Server, type Http2Server } from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  Client,
  credentials,
  Server as GrpcServer,
  ServerCredentials,
  type sendUnaryData,
  type ServerUnaryCall,
} from "@grpc/grpc-js";
import { encodeTransportHeader, type TransportHeader } from "../../src/wire/transport-header.ts";
import { parseDnsName } from "../../src/addr/dns-name.ts";
import { unwrap } from "../tls/mesh-peer.ts";
import { identityOf, listening, metricsOf, portOf, sum, until } from "./pair.ts";
import { GATEWAY, TwoClusters } from "./two-clusters.ts";

const CLIENT = identityOf("client");
const same = (bytes: Buffer): Buffer => bytes;
const UNARY = {
  path: "/test.Echo/Unary",
  requestStream: false,
  responseStream: false,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
} as const;

/** What an application saw of a request, as it answers it. */
interface Seen {
  readonly version: string;
  readonly headers: Readonly<Record<string, string>>;
}

describe("a service of another cluster, through its gateway", { timeout: 30_000 }, () => {
  let http: HttpServer;
  let http2: Http2Server;
  let echo: Server;
  const grpc = new GrpcServer();
  let clusters: TwoClusters;
  let forwardedSeen: readonly string[] = [];

  before(async () => {
    http = await listening(
      createHttpServer((request, response) => {
        response.end(JSON.stringify({ version: request.httpVersion, headers: request.headers }));
      }),
    );
    http.on("upgrade", (request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      socket.write(`host ${request.headers.host}\n`);
      socket.pipe(socket);
    });
    http2 = await listening(
      createHttp2Server((request, response) => {
        response.end(JSON.stringify({ version: request.httpVersion, headers: request.headers }));
      }),
    );
    echo = await listening(createServer((socket) => socket.on("error", () => {}).pipe(socket)));
    grpc.addService(
      { unary: UNARY },
      {
        unary: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
          forwardedSeen = call.metadata.get("forwarded").map(String);
          reply(null, call.request);
        },
      },
    );
    const grpcPort = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      );
    });
    clusters = await TwoClusters.start({
      ports: { http: portOf(http), http2: portOf(http2), grpc: grpcPort, echo: portOf(echo) },
      opaque: ["echo"],
    });
  });

  after(async () => {
    await clusters.close();
    for (const server of [http, http2, echo]) server.close();
    grpc.forceShutdown();
  });

  const nameOf = (service: string): string => `${service}.shop.svc.cluster.local`;
  const forwarded = (service: string, port: number, client = CLIENT): string =>
    `by=${GATEWAY};for=${client};host=${nameOf(service)}:${port};proto=https`;

  /** A peer that speaks as a proxy of the other cluster. */
  const peer = (header: Partial<TransportHeader>, id = identityOf("raw")): Peer => {
    const socket = clusters.dial(clusters.gateway, GATEWAY, clusters.certify(id));
    const name = unwrap(parseDnsName(nameOf("http")));
    return new Peer(socket, { port: portOf(http), name, sessionProtocol: "http1", ...header });
  };
  const counted = async (name: string, labels: Record<string, string> = {}): Promise<number> =>
    sum(await metricsOf(clusters.gateway), name, labels);

  test("inbound 4.5, outbound 13.3: HTTP/1 arrives as HTTP/1, with Host, identity and forwarded of the gateway", async () => {
    const response = await fetch(`http://127.0.0.1:${clusters.forward("http")}/`, {
      headers: { "l5d-client-id": "spoofed", forwarded: "for=somebody" },
    });
    const seen = (await response.json()) as Seen;
    assert.equal(response.status, 200);
    assert.equal(seen.version, "1.1");
    assert.equal(seen.headers["host"], `${nameOf("http")}:${portOf(http)}`);
    assert.equal(seen.headers["forwarded"], `for=somebody, ${forwarded("http", portOf(http))}`);
    // To the server the gateway is the client.
    assert.equal(seen.headers["l5d-client-id"], GATEWAY);
    const labels = {
      session_protocol: "http/2",
      target_port: String(portOf(http)),
      target_name: nameOf("http"),
      client_id: CLIENT,
    };
    assert.equal(await counted("inbound_tcp_transport_header_connections_total", labels), 1);
    const server = { target_port: String(clusters.gateway.addrs.inbound.port), srv_name: "linkerd-gateway" };
    const authz = { ...server, authz_name: "linkerd-gateway", client_id: CLIENT };
    assert.equal(await counted("inbound_http_authz_allow_total", authz), 1);
    // Requests are counted where they go, and not as if they were for an application here.
    assert.equal(await counted("request_total", { direction: "inbound", client_id: CLIENT }), 0);
    const outbound = { direction: "outbound", dst_service: "http", server_id: identityOf("web") };
    assert.equal(await counted("request_total", outbound), 1);
  });

  test("outbound 13.3: the client's requests carry the labels of the cluster they go to", async () => {
    const page = await metricsOf(clusters.client);
    const labels = {
      dst_service: "http-east",
      dst_target_cluster: "east",
      dst_target_service: "http",
      dst_target_service_namespace: "shop",
      server_id: GATEWAY,
    };
    assert.ok(sum(page, "request_total", { direction: "outbound", ...labels }) > 0);
  });

  test("inbound 4.5: HTTP/2 arrives as HTTP/2, under the authority of the service", async () => {
    const session = h2Connect(`http://127.0.0.1:${clusters.forward("http2")}`);
    const stream = session.request({ ":path": "/", ":authority": "asked.example.org" });
    let text = "";
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await once(stream, "end");
    session.close();
    const seen = JSON.parse(text) as Seen;
    assert.equal(seen.version, "2.0");
    assert.equal(seen.headers[":authority"], `${nameOf("http2")}:${portOf(http2)}`);
    assert.equal(seen.headers["forwarded"], forwarded("http2", portOf(http2)));
  });

  test("inbound 4.5: gRPC goes through", async () => {
    const client = new Client(`127.0.0.1:${clusters.forward("grpc")}`, credentials.createInsecure());
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(UNARY.path, same, same, Buffer.from("hello"), (error, reply) =>
        error === null ? resolve(reply) : reject(error),
      );
    });
    client.close();
    assert.equal(String(answer), "hello");
    assert.equal(forwardedSeen.length, 1);
  });

  test("inbound 4.5: bytes go through, authorized as a connection", async () => {
    const socket = connect(clusters.forward("echo"), "127.0.0.1");
    socket.write("hello");
    const [chunk] = (await once(socket, "data")) as [Buffer];
    assert.equal(chunk.toString(), "hello");
    socket.destroy();
    const labels = { session_protocol: "", target_name: nameOf("echo"), client_id: CLIENT };
    assert.equal(await counted("inbound_tcp_transport_header_connections_total", labels), 1);
    assert.equal(await counted("inbound_tcp_authz_allow_total", { srv_name: "linkerd-gateway" }), 1);
    const route = { parent_name: "echo", parent_kind: "Service" };
    const closed = (error: string): Promise<number> =>
      counted("outbound_tcp_route_close_total", { ...route, error });
    await until("the route has closed it", async () => (await closed("")) === 1);
    const broken = connect(clusters.forward("echo"), "127.0.0.1");
    broken.write("hello");
    await once(broken, "data");
    broken.resetAndDestroy();
    await until("the route has lost the other", async () => (await closed("unexpected")) === 1);
    assert.equal(await closed(""), 1);
  });

  test("inbound 4.5: an upgrade becomes a tunnel", async () => {
    const request = get({
      port: clusters.forward("http"),
      headers: { connection: "upgrade", upgrade: "echo" },
    });
    const [response, socket, head] = (await once(request, "upgrade")) as [
      { statusCode: number },
      Socket,
      Buffer,
    ];
    assert.equal(response.statusCode, 101);
    let text = head.toString();
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.write("ping");
    await until("the echo", () => text.endsWith("ping"));
    assert.equal(text, `host ${nameOf("http")}:${portOf(http)}\nping`);
    socket.destroy();
  });

  test("inbound 4.5: a request that has been here before is a 508, and closes its connection", async () => {
    const before = await counted("inbound_http_errors_total", { error: "gateway loop" });
    for (const value of [`by=${GATEWAY}`, `by=x;for=y, for=z;by="${GATEWAY}"`]) {
      const looping = peer({});
      looping.send(`GET / HTTP/1.1\r\nhost: a\r\nForwarded: for=a\r\nFORWARDED: ${value}\r\n\r\n`);
      const text = await looping.closed();
      assert.match(text, /^HTTP\/1\.1 508 Loop Detected\r\n/);
      assert.match(text, /connection: close/);
      assert.match(text, /l5d-proxy-error: .*gateway loop detected/);
    }
    assert.equal(await counted("inbound_http_errors_total", { error: "gateway loop" }), before + 2);
  });

  test("invariant 22: a client with the gateway's own identity is a loop, in HTTP and in bytes", async () => {
    const looping = peer({}, GATEWAY);
    looping.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert.match(await looping.closed(), /^HTTP\/1\.1 508 /);
    const bytes = peer(
      { sessionProtocol: undefined, name: unwrap(parseDnsName(nameOf("echo"))), port: portOf(echo) },
      GATEWAY,
    );
    bytes.send("hello");
    assert.equal(await bytes.closed(), "");
    assert.equal(await counted("inbound_tcp_errors_total", { error: "gateway loop" }), 1);
  });

  test("invariant 22, ranked 15: names outside of the suffixes and names that nobody has are 404, and closed where they are no HTTP", async () => {
    const names = ["example.org", "nobody.shop.svc.cluster.local", "http.shop.svc.cluster.local.example.org"];
    const check = async (text: string): Promise<void> => {
      const name = unwrap(parseDnsName(text));
      const refused = peer({ name });
      refused.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      await refused.saw(/^HTTP\/1\.1 404 Not Found\r\n/);
      assert.doesNotMatch(refused.text, /connection: close/);
      refused.socket.destroy();
      const closed = peer({ name, sessionProtocol: undefined });
      closed.send("hello");
      assert.equal(await closed.closed(), "");
    };
    await Promise.all(names.map(check));
    assert.equal(
      await counted("inbound_http_errors_total", { error: "gateway domain invalid" }),
      names.length,
    );
    assert.equal(
      await counted("inbound_tcp_errors_total", { error: "gateway domain invalid" }),
      names.length,
    );
  });

  test("a port that the service does not have is a 404", async () => {
    const refused = peer({ port: 1 });
    refused.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await refused.saw(/^HTTP\/1\.1 404 Not Found\r\n/);
    refused.socket.destroy();
  });

  test("inbound 4.5: the request goes to the named target, whatever authority it claims", async () => {
    const other = peer({});
    other.send("GET http://evil.example.org/ HTTP/1.1\r\nhost: evil.example.org\r\nforwarded: for=x\r\n\r\n");
    await other.saw(/proto=https/);
    assert.match(other.text, new RegExp(`"host":"${nameOf("http")}:${portOf(http)}"`));
    assert.doesNotMatch(other.text, /evil/);
    other.socket.destroy();
  });
});

/** The far end of a direct connection: header first, then what a test sends. */
class Peer {
  readonly socket: TLSSocket;
  text = "";

  constructor(socket: TLSSocket, header: TransportHeader) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => (this.text += chunk.toString("latin1")));
    socket.write(encodeTransportHeader(header));
  }

  send(text: string): void {
    this.socket.write(text);
  }

  async saw(pattern: RegExp): Promise<void> {
    await until(
      () => `${pattern} in ${JSON.stringify(this.text)}`,
      () => pattern.test(this.text),
    );
  }

  /** Everything that came until the connection was closed. */
  async closed(): Promise<string> {
    // Not by `once`, which would take a reset, an end like others, for a failure.
    if (!this.socket.closed) await new Promise((resolve) => this.socket.once("close", resolve));
    return this.text;
  }
}
