import assert from "node:assert/strict";
import { Agent, request as httpRequest, type IncomingHttpHeaders, type Server } from "node:http";
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type IncomingHttpHeaders as Http2Headers,
} from "node:http2";
import { createServer, type Server as TcpServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { H2Code } from "../../../src/wire/http2/error-code.ts";
import { CLIENT_PREFACE, FrameFlag, FrameType } from "../../../src/wire/http2/frame.ts";
import { block, frameBytes, type Pairs } from "../../support/h2-raw-peer.ts";
import { httpApp, listening, metricsOf, Pair, portOf, sum } from "../../socket/pair.ts";

const KIB_64 = 65_536;
const REQUEST_TIMEOUT_MS = 200;
const TRY_TIMEOUT_MS = 150;
const IDLE_TIMEOUT_MS = 100;

/** A gRPC server that answers each request at once, in one write, with the frames of its script. */
function rawGrpcServer(script: () => readonly Frame[]): TcpServer {
  return createServer((socket) => {
    socket.on("error", () => {});
    let rest: Buffer = Buffer.alloc(0);
    let hasPreface = false;
    socket.write(frameBytes(FrameType.settings, 0, 0, Buffer.alloc(0)));
    socket.on("data", (bytes: Buffer) => {
      rest = Buffer.concat([rest, bytes]);
      if (!hasPreface) {
        if (rest.length < CLIENT_PREFACE.length) return;
        hasPreface = true;
        rest = rest.subarray(CLIENT_PREFACE.length);
      }
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const end = 9 + rest.readUIntBE(0, 3);
        const [type, flags, id] = [rest.readUInt8(3), rest.readUInt8(4), rest.readUInt32BE(5)];
        rest = rest.subarray(end);
        if (type === FrameType.settings && (flags & FrameFlag.ack) === 0)
          socket.write(frameBytes(FrameType.settings, FrameFlag.ack, 0, Buffer.alloc(0)));
        if (type !== FrameType.headers) continue;
        const frames = script().map(([kind, flag, body]) => frameBytes(kind, flag, id, body));
        socket.write(Buffer.concat(frames));
      }
    });
  });
}

type Frame = readonly [type: number, flags: number, payload: Buffer];
const END = FrameFlag.endStream;
const headers = (pairs: Pairs, flags = 0): Frame => [
  FrameType.headers,
  FrameFlag.endHeaders | flags,
  block(pairs),
];
const HEAD = headers([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const message = (text: string): Frame => [FrameType.data, 0, Buffer.from(text)];
const trailers = (status: number): Frame => headers([["grpc-status", String(status)]], END);
const OK: readonly Frame[] = [HEAD, message("good"), trailers(0)];

describe("retries and timeouts through sockets", { timeout: 30_000 }, () => {
  let app: Server;
  let grpc: TcpServer;
  let pair: Pair;
  let script: (attempt: number) => readonly Frame[] = () => OK;
  let grpcAttempts = 0;
  /** Requests that the application saw: path, bytes of the body, and its own header. */
  let seen: { readonly path: string; readonly bytes: number; readonly timeoutHeader: string | undefined }[] =
    [];
  const agent = new Agent({ keepAlive: true });

  before(async () => {
    app = await httpApp((request, response) => {
      const path = request.url ?? "";
      let bytes = 0;
      request.on("data", (chunk: Buffer) => (bytes += chunk.length));
      request.on("end", () => {
        seen.push({ path, bytes, timeoutHeader: request.headers["l5d-timeout"] as string | undefined });
        const isFirst = seen.length === 1;
        switch (path) {
          case "/retried":
            response.writeHead(isFirst ? 503 : 200).end(isFirst ? "not yet" : "ok");
            return;
          case "/never":
            response.writeHead(503).end("no");
            return;
          case "/slow-first":
            if (!isFirst) response.end("ok");
            return;
          case "/hang":
            return;
          case "/stall":
            response.writeHead(200, { "content-type": "application/grpc" });
            response.write("half");
            return;
          default:
            response.end("ok");
        }
      });
    });
    grpc = await listening(rawGrpcServer(() => script(++grpcAttempts)));
    const [http, rpc] = [portOf(app), portOf(grpc)];
    pair = await Pair.start({
      ports: { http },
      manifests: {
        "plain.yaml": service("plain", { http, grpc: rpc }),
        "routes.yaml": [
          route("HTTPRoute", "retried", http, ["/retried", "/never"], {
            "retry.linkerd.io/http": "503",
            "retry.linkerd.io/limit": "2",
          }),
          route("HTTPRoute", "slow-first", http, ["/slow-first"], {
            "retry.linkerd.io/http": "503",
            "retry.linkerd.io/timeout": `${TRY_TIMEOUT_MS}ms`,
          }),
          route("HTTPRoute", "timed", http, ["/hang"], {
            "timeout.linkerd.io/request": `${REQUEST_TIMEOUT_MS}ms`,
          }),
          route("HTTPRoute", "stalls", http, ["/stall"], {
            "timeout.linkerd.io/idle": `${IDLE_TIMEOUT_MS}ms`,
          }),
          route("GRPCRoute", "late", rpc, ["late"], {
            "timeout.linkerd.io/request": `${REQUEST_TIMEOUT_MS}ms`,
          }),
          route("GRPCRoute", "idle", rpc, ["idle"], { "timeout.linkerd.io/idle": `${IDLE_TIMEOUT_MS}ms` }),
          route("GRPCRoute", "rpc", rpc, ["svc"], { "retry.linkerd.io/grpc": "unavailable" }),
        ].join("---"),
      },
    });
  });

  after(async () => {
    agent.destroy();
    app.closeAllConnections();
    app.close();
    await pair.close();
    grpc.close();
  });

  interface Answer {
    readonly status: number;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
    readonly complete: boolean;
    readonly localPort: number;
  }

  const authority = (port: number): string => `plain.shop.svc.cluster.local:${port}`;

  /** By explicit proxying, on the connection of the agent. */
  function ask(
    path: string,
    body = "",
    more: Record<string, string> = {},
    port = portOf(app),
  ): Promise<Answer> {
    seen = [];
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        host: "127.0.0.1",
        port: pair.outboundPort,
        path: `http://${authority(port)}${path}`,
        method: body === "" ? "GET" : "POST",
        headers: body === "" ? more : { ...more, "content-length": String(body.length) },
        agent,
      });
      request.on("error", reject);
      request.on("response", (response) => {
        const localPort = response.socket.localPort ?? 0;
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
        response.on("error", () => {});
        response.on("close", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text,
            complete: response.complete,
            localPort,
          }),
        );
      });
      request.end(body);
    });
  }

  test("outbound 16.12: a 503 to a POST of 64 KiB is followed by a retry with the whole body, and counted", async () => {
    const answer = await ask("/retried", "x".repeat(KIB_64));
    assert.deepEqual([answer.status, answer.body], [200, "ok"]);
    assert.deepEqual(
      seen.map(({ bytes }) => bytes),
      [KIB_64, KIB_64],
    );
    const page = await metricsOf(pair.client);
    const labels = { route_name: "retried" };
    assert.equal(sum(page, "outbound_http_route_retry_requests_total", labels), 1);
    assert.equal(sum(page, "outbound_http_route_retry_successes_total", labels), 1);
    assert.equal(sum(page, "outbound_http_route_retry_limit_exceeded_total", labels), 0);
    assert.equal(sum(page, "outbound_http_route_request_statuses_total", labels), 1);
    assert.equal(
      sum(page, "outbound_http_route_request_statuses_total", { ...labels, http_status: "200" }),
      1,
    );
  });

  test("outbound 16.12: with one byte more there is exactly one attempt", async () => {
    const answer = await ask("/retried", "x".repeat(KIB_64 + 1));
    assert.deepEqual([answer.status, answer.body], [503, "not yet"]);
    assert.deepEqual(
      seen.map(({ bytes }) => bytes),
      [KIB_64 + 1],
    );
  });

  test("outbound 8.5: when its retries are used up the application gets the last failure", async () => {
    const answer = await ask("/never");
    assert.deepEqual([answer.status, answer.body, seen.length], [503, "no", 3]);
    const page = await metricsOf(pair.client);
    assert.equal(sum(page, "outbound_http_route_retry_limit_exceeded_total", { route_name: "retried" }), 1);
  });

  test("outbound 8.2: an attempt that exceeds the per-try timeout is followed by another", async () => {
    const answer = await ask("/slow-first");
    assert.deepEqual([answer.status, answer.body, seen.length], [200, "ok", 2]);
  });

  test("outbound 16.14: a server that hangs is a 504 at the request timeout, on a connection that stays", async () => {
    const startedAt = performance.now();
    const answer = await ask("/hang");
    const tookMs = performance.now() - startedAt;
    assert.ok(tookMs >= REQUEST_TIMEOUT_MS - 2, String(tookMs));
    assert.equal(answer.status, 504);
    assert.match(
      String(answer.headers["l5d-proxy-error"]),
      /^logical service .*: route HTTPRoute\.shop\.timed: .*timed out waiting for response headers: request timeout: 200ms$/,
    );
    assert.notEqual(answer.headers["connection"], "close");
    assert.equal(answer.headers["l5d-proxy-connection"], undefined);
    const next = await ask("/retried");
    assert.equal(next.localPort, answer.localPort);
    const page = await metricsOf(pair.client);
    const labels = { route_name: "timed", error: "REQUEST_TIMEOUT" };
    assert.equal(sum(page, "outbound_http_route_request_statuses_total", labels), 1);
  });

  test("outbound 16.15: a response body that stalls beyond the idle timeout is cut for HTTP/1", async () => {
    const answer = await ask("/stall");
    assert.deepEqual([answer.status, answer.body, answer.complete], [200, "half", false]);
  });

  /** One call over HTTP/2; what came of it. */
  async function call(session: ClientHttp2Session, path: string, port: number, contentType: string) {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      ":authority": authority(port),
      "content-type": contentType,
    });
    stream.on("error", () => {});
    stream.end();
    let head: Http2Headers = {};
    let last: Http2Headers = {};
    let body = "";
    stream.on("response", (fields) => (head = fields));
    stream.on("trailers", (fields) => (last = fields));
    stream.on("data", (chunk: Buffer) => (body += chunk.toString("latin1")));
    await new Promise((resolve) => stream.on("close", resolve));
    return { status: head[":status"], head, trailers: last, body, code: stream.rstCode };
  }

  async function withSession<T>(use: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
    const session = connectHttp2(`http://127.0.0.1:${pair.outboundPort}`);
    session.on("error", () => {});
    try {
      return await use(session);
    } finally {
      session.destroy();
    }
  }

  const rpc = () => {
    grpcAttempts = 0;
    return withSession((session) => call(session, "/svc/method", portOf(grpc), "application/grpc"));
  };

  test("outbound 16.13: unavailable is retried in a response of trailers only", async () => {
    script = (attempt) =>
      attempt === 1
        ? [
            headers(
              [
                [":status", "200"],
                ["content-type", "application/grpc"],
                ["grpc-status", "14"],
              ],
              END,
            ),
          ]
        : OK;
    const answer = await rpc();
    assert.deepEqual([answer.body, answer.trailers["grpc-status"], grpcAttempts], ["good", "0", 2]);
  });

  test("outbound 16.13: unavailable is retried in the trailers of a unary response", async () => {
    script = (attempt) => (attempt === 1 ? [HEAD, message("bad"), trailers(14)] : OK);
    const answer = await rpc();
    assert.deepEqual([answer.body, answer.trailers["grpc-status"], grpcAttempts], ["good", "0", 2]);
    const page = await metricsOf(pair.client);
    assert.equal(sum(page, "outbound_grpc_route_retry_requests_total", { route_name: "rpc" }), 2);
  });

  test("outbound 16.13: unavailable after two messages goes back as it is", async () => {
    script = () => [HEAD, message("one"), message("two"), trailers(14)];
    const answer = await rpc();
    assert.deepEqual([answer.body, answer.trailers["grpc-status"], grpcAttempts], ["onetwo", "14", 1]);
  });

  test("outbound 8.2: a refused stream is retried", async () => {
    script = (attempt) => (attempt === 1 ? [[FrameType.rstStream, 0, Buffer.from([0, 0, 0, 7])]] : OK);
    const answer = await rpc();
    assert.deepEqual([answer.body, grpcAttempts], ["good", 2]);
  });

  test("outbound 9: gRPC is told of a timeout in a head of status 4, and its connection stays", async () => {
    script = () => [];
    await withSession(async (session) => {
      for (let i = 0; i < 2; i++) {
        const answer = await call(session, "/late/method", portOf(grpc), "application/grpc");
        assert.deepEqual([answer.status, answer.head["grpc-status"]], [200, "4"]);
        assert.match(String(answer.head["grpc-message"]), /request timeout: 200ms$/);
        assert.equal(session.closed, false);
      }
    });
  });

  test("outbound 16.15: a gRPC body that stalls beyond the idle timeout ends in trailers of status 13, any other in a reset", async () => {
    script = () => [HEAD, message("half")];
    await withSession(async (session) => {
      const answer = await call(session, "/idle/method", portOf(grpc), "application/grpc");
      assert.deepEqual([answer.body, answer.trailers["grpc-status"]], ["half", "13"]);
      assert.equal(answer.trailers["grpc-message"], "unexpected error");
      const plain = await call(session, "/idle/method", portOf(grpc), "application/json");
      assert.deepEqual([plain.body, plain.code], ["half", H2Code.internalError]);
    });
  });

  test("outbound 16.16: l5d-timeout to a Service without routes is ignored and forwarded", async () => {
    const answer = await ask("/", "", { "l5d-timeout": "0" }, pair.forward("http"));
    assert.equal(answer.status, 200);
    assert.equal(seen[0]?.timeoutHeader, "0");
  });
});

/** A Service of unmeshed endpoints on loopback: ports by name, each under its own number. */
function service(name: string, ports: Readonly<Record<string, number>>): string {
  const entries = Object.entries(ports);
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  ports:
${entries.map(([port, number]) => `    - { name: ${port}, port: ${number} }`).join("\n")}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-slice, namespace: shop, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: ["127.0.0.1"] }]
ports:
${entries.map(([port, number]) => `  - { name: ${port}, port: ${number} }`).join("\n")}
---`;
}

/** A route of a port of the Service `plain`. Matches are paths, or for gRPC the names of services; none takes all. */
function route(
  kind: "HTTPRoute" | "GRPCRoute",
  name: string,
  port: number,
  matches: readonly string[],
  annotations: Readonly<Record<string, string>>,
): string {
  const match = (text: string): string =>
    kind === "HTTPRoute" ? `path: { type: PathPrefix, value: ${text} }` : `method: { service: ${text} }`;
  return `
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata:
  name: ${name}
  namespace: shop
  annotations: ${JSON.stringify(annotations)}
spec:
  parentRefs: [{ name: plain, kind: Service, group: core, port: ${port} }]
  rules:
    - matches: [${matches.map((text) => `{ ${match(text)} }`).join(", ")}]
      backendRefs: [{ name: plain, port: ${port} }]
`;
}
