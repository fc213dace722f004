import assert from "node:assert/strict";
import { connect as connectHttp2, createServer as createHttp2, type Http2Server } from "node:http2";
import { connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { createServer as createHttp, type Server } from "node:http";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { socketAddr, startInbound, type InboundListener } from "../conformance/inbound-listener.ts";
import { listening, portOf, until } from "../socket/pair.ts";
import { TestCa } from "../support/certs.ts";
import { DB, WEB } from "../tls/mesh-peer.ts";

type Line = Readonly<Record<string, string | number>>;

describe("the access log of the inbound side", { timeout: 30_000 }, () => {
  const ca = TestCa.create();
  const lines: string[] = [];
  const output = { format: "json", write: (line: string) => void lines.push(line) } as const;
  let app: Server;
  let resetting: Http2Server;
  let http1: InboundListener;
  let http2: InboundListener;
  let down: InboundListener;

  before(async () => {
    const server = createHttp({ requireHostHeader: false }, (request, response) => {
      if (request.url === "/hold") return;
      if (request.url === "/slow") {
        setTimeout(() => response.end("late"), 30);
        return;
      }
      response.writeHead(201, request.url === "/long" ? {} : { "content-length": 2 });
      if (request.url === "/long") response.write("more to come");
      else response.end("ok");
    });
    app = await listening(server);
    resetting = await listening(createHttp2());
    resetting.on("stream", (stream) => stream.on("error", () => {}).close(11));
    const start = (port: number): Promise<InboundListener> =>
      startInbound(fixed(socketAddr(`127.0.0.1:${port}`)), ca, WEB, { accessLog: output });
    http1 = await start(portOf(app));
    http2 = await start(portOf(resetting));
    down = await start(1);
  });

  after(() => {
    for (const listener of [http1, http2, down]) listener.close();
    app.closeAllConnections();
    app.close();
    resetting.close();
  });

  /** The line that the request which `send` makes leaves behind. */
  async function lineOf(send: () => void): Promise<Line> {
    lines.length = 0;
    send();
    await until("there is a line", () => lines.length > 0);
    assert.equal(lines.length, 1);
    return JSON.parse(lines[0] ?? "") as Line;
  }

  async function withSocket<T>(port: number, use: (socket: Socket) => Promise<T>): Promise<T> {
    const socket = connect(port, "127.0.0.1").on("error", () => {});
    socket.resume();
    try {
      return await use(socket);
    } finally {
      socket.destroy();
    }
  }
  const send = (to: InboundListener, text: string): Promise<Line> =>
    withSocket(to.addr.port, (socket) => lineOf(() => socket.write(text)));

  test("inbound 8: an HTTP/1 request is told as it came", async () => {
    const before = Date.now();
    const line = await send(
      http1,
      "POST /a?b=c HTTP/1.1\r\nHost: books.test\r\nUser-Agent: curl\r\nX-Request-Id: r-1\r\nContent-Length: 2\r\n\r\nhi",
    );
    const { timestamp, total_ns, processing_ns, "client.addr": client, ...rest } = line;
    assert.deepEqual(rest, {
      "client.id": "-",
      host: "books.test",
      method: "POST",
      request_bytes: "2",
      response_bytes: "2",
      status: 201,
      trace_id: "r-1",
      uri: "/a?b=c",
      user_agent: "curl",
      version: "HTTP/1.1",
    });
    assert.match(String(client), /^127\.0\.0\.1:\d+$/);
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z$/);
    assert.ok(Math.abs(Date.parse(String(timestamp)) - before) < 1_000);
    assert.ok(Number(total_ns) >= Number(processing_ns) && Number(processing_ns) > 0);
  });

  test("inbound 8: the first of three headers names the trace, whatever their order", async () => {
    for (const [fields, trace] of [
      ["X-Amzn-Trace-Id: c\r\nX-Request-Id: b\r\nX-B3-TraceId: a", "a"],
      ["X-Amzn-Trace-Id: c\r\nX-Request-Id: b", "b"],
      ["X-Amzn-Trace-Id: c", "c"],
      ["Traceparent: 00-1-2-01", ""],
    ] as const) {
      const line = await send(http1, `GET / HTTP/1.1\r\nHost: h\r\n${fields}\r\n\r\n`);
      assert.deepEqual([line["trace_id"], line["user_agent"], line["request_bytes"]], [trace, "", ""]);
    }
  });

  test("inbound 8: the URI is absolute where the request line was, and the version that of the request", async () => {
    for (const [request, uri, version] of [
      ["GET http://a.test/x HTTP/1.1\r\nHost: a.test", "http://a.test/x", "HTTP/1.1"],
      ["GET /x HTTP/1.0", "/x", "HTTP/1.0"],
      ["OPTIONS * HTTP/1.1\r\nHost: a.test", "*", "HTTP/1.1"],
      ["CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80", "a.test:80", "HTTP/1.1"],
    ] as const) {
      const line = await send(http1, `${request}\r\n\r\n`);
      assert.deepEqual([line["uri"], line["version"]], [uri, version]);
    }
  });

  test("inbound 8: a line is written when the response head is there, not when the body ends", async () => {
    const line = await send(http1, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
    assert.deepEqual([line["status"], line["response_bytes"]], [201, undefined]);
    const late = await send(http1, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    assert.ok(Number(late["total_ns"]) > 20e6, "it waited for the application");
    assert.ok(Number(late["processing_ns"]) < Number(late["total_ns"]), "waiting is not processing");
  });

  test("inbound 8: what the proxy answers itself is told too", async () => {
    const line = await send(down, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert.deepEqual([line["status"], line["response_bytes"]], [502, "0"]);
  });

  test("inbound 8: a request that its client gives up has a line without status, bytes and times", async () => {
    lines.length = 0;
    await withSocket(http1.addr.port, async (socket) => {
      socket.write("GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(lines, []);
    });
    await until("there is a line", () => lines.length > 0);
    assertWithoutResponse(JSON.parse(lines[0] ?? "") as Line);
  });

  test("inbound 8: a stream that fails has a line without status, bytes and times", async () => {
    const session = connectHttp2(`http://127.0.0.1:${http2.addr.port}`);
    const line = await lineOf(() =>
      session.request({ ":path": "/x", ":authority": "a.test" }).on("error", () => {}),
    );
    session.destroy();
    assertWithoutResponse(line);
    assert.deepEqual([line["uri"], line["version"], line["host"]], ["http://a.test/x", "HTTP/2.0", ""]);
  });

  test("inbound 8: a meshed client is named, and its HTTP/1 request told as it travelled", async () => {
    const leaf = ca.issue({ id: DB });
    const socket = connectTls({
      port: http1.addr.port,
      host: "127.0.0.1",
      servername: WEB,
      ca: ca.certPem,
      cert: leaf.chainPem,
      key: leaf.keyPem,
    });
    const session = connectHttp2(`http://${WEB}`, { createConnection: () => socket });
    const headers = {
      ":path": "/x",
      ":authority": "a.test",
      "l5d-orig-proto": "HTTP/1.1",
      "user-agent": "peer",
    };
    const line = await lineOf(() => session.request(headers).on("error", () => {}));
    session.destroy();
    assert.deepEqual(
      [line["client.id"], line["uri"], line["version"], line["status"], line["user_agent"]],
      [DB, "http://a.test/x", "HTTP/2.0", 201, "peer"],
    );
  });
});

function assertWithoutResponse(line: Line): void {
  for (const name of ["status", "response_bytes", "total_ns", "processing_ns"])
    assert.ok(!(name in line), name);
  assert.equal(line["method"], "GET");
}
