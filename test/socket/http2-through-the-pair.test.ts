import assert from "node:assert/strict";
import { once } from "node:events";
import {
  connect,
  constants,
  createServer,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { after, before, describe, test } from "node:test";
import {
  identityOf,
  listening,
  metricsOf,
  Pair,
  portOf,
  serverManifest,
  sum,
  until,
  untilAllClosed,
} from "./pair.ts";

describe("HTTP/2 through two sidecars", { timeout: 30_000 }, () => {
  let app: Http2Server;
  let pair: Pair;
  let session: ClientHttp2Session;
  const appSessions = new Set<ServerHttp2Session>();
  const resets: number[] = [];

  before(async () => {
    app = createServer();
    app.on("session", (one) => {
      appSessions.add(one);
      one.on("close", () => appSessions.delete(one));
    });
    app.on("stream", (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on("error", () => {});
      stream.on("close", () => resets.push(stream.rstCode));
      const path = String(headers[":path"]);
      if (path.startsWith("/rst/")) return stream.close(Number(path.slice(5)));
      if (path === "/late-rst") {
        stream.respond({ ":status": 200 });
        stream.write("some");
        setImmediate(() => stream.destroy(new Error("broken")));
        return;
      }
      if (path === "/hang") return;
      if (path === "/early") {
        stream.respond({ ":status": 413 }, { endStream: true });
        return;
      }
      if (path === "/goaway") {
        stream.session?.goaway(constants.NGHTTP2_NO_ERROR);
      }
      const body: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => body.push(chunk));
      stream.on("end", () => {
        const seen = JSON.stringify(headers);
        stream.respond({ ":status": 200, seen }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": String(Buffer.concat(body).length) }));
        stream.end(Buffer.concat(body));
      });
    });
    await listening(app);
    const port = portOf(app);
    pair = await Pair.start({
      ports: { http2: port, closed: port === 65_535 ? 65_534 : port + 1 },
      manifests: { "closed.yaml": serverManifest("closed", "closed", "HTTP/2") },
    });
    session = connect(pair.url("http2"));
    session.on("error", () => {});
  });

  after(async () => {
    session.destroy();
    for (const one of appSessions) one.destroy();
    app.close();
    await pair.close();
  });

  const closing = (stream: ClientHttp2Stream): Promise<void> =>
    new Promise((resolve) => (stream.destroyed ? resolve() : stream.once("close", () => resolve())));

  const ask = async (
    headers: OutgoingHttpHeaders,
    body = "",
    on = session,
  ): Promise<{ headers: IncomingHttpHeaders; trailers: IncomingHttpHeaders; body: string }> => {
    const stream = on.request(headers, { endStream: body === "" });
    if (body !== "") stream.end(body);
    let trailers: IncomingHttpHeaders = {};
    stream.on("trailers", (got: IncomingHttpHeaders) => (trailers = got));
    const response = once(stream, "response") as Promise<[IncomingHttpHeaders]>;
    let text = "";
    stream.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    const [got] = await response;
    await closing(stream);
    return { headers: got, trailers, body: text };
  };

  const rstOf = async (stream: ClientHttp2Stream): Promise<number> => {
    stream.on("error", () => {});
    stream.resume();
    await closing(stream);
    return stream.rstCode;
  };

  test("a request and its response keep pseudo-headers, body and trailers", async () => {
    const got = await ask(
      { ":method": "POST", ":path": "/x?y", ":authority": "web.shop", "l5d-client-id": "root" },
      "hello",
    );
    assert.equal(got.headers[":status"], 200);
    assert.equal(got.body, "hello");
    assert.equal(got.trailers["x-sum"], "5");
    const seen = JSON.parse(String(got.headers["seen"])) as Record<string, string>;
    assert.equal(seen[":authority"], "web.shop");
    assert.equal(seen[":path"], "/x?y");
    assert.equal(seen["l5d-client-id"], identityOf("client"));
    assert.equal(seen["l5d-orig-proto"], undefined);
  });

  test("a hundred requests at once share the connections", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => ask({ ":method": "POST", ":path": "/" }, `body ${i}`)),
    );
    for (const [i, answer] of answers.entries()) assert.equal(answer.body, `body ${i}`);
  });

  test("a reset of the application arrives with its own code, before and after the head", async () => {
    for (const code of [
      constants.NGHTTP2_REFUSED_STREAM,
      constants.NGHTTP2_INTERNAL_ERROR,
      constants.NGHTTP2_CANCEL,
    ]) {
      assert.equal(await rstOf(session.request({ ":path": `/rst/${code}` })), code);
    }
    assert.equal(await rstOf(session.request({ ":path": "/late-rst" })), constants.NGHTTP2_INTERNAL_ERROR);
    assert.equal((await ask({ ":path": "/" })).headers[":status"], 200);
  });

  test("a reset of the client arrives at the application as CANCEL", async () => {
    resets.length = 0;
    const stream = session.request({ ":path": "/hang", ":method": "POST" }, { endStream: false });
    stream.on("error", () => {});
    const reached = once(app, "stream");
    stream.write("x");
    await reached;
    stream.close(constants.NGHTTP2_CANCEL);
    await until("the application hears of it", () => resets.length === 1);
    assert.deepEqual(resets, [constants.NGHTTP2_CANCEL]);
  });

  test("an answer before the end of a large upload arrives, and the session goes on", async () => {
    const stream = session.request({ ":path": "/early", ":method": "POST" }, { endStream: false });
    stream.on("error", () => {});
    const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
    assert.equal(headers[":status"], 413);
    stream.resume();
    stream.end(Buffer.alloc(500_000));
    await closing(stream);
    assert.equal((await ask({ ":path": "/" })).headers[":status"], 200);
  });

  test("a denied request is a 403 on a connection that stays", async () => {
    const closed = connect(pair.url("closed"));
    closed.on("error", () => {});
    for (let i = 0; i < 2; i++) {
      const got = await ask({ ":method": "POST", ":path": "/" }, "x".repeat(200_000), closed);
      assert.equal(got.headers[":status"], 403);
      assert.equal(got.headers["content-length"], "0");
      // The reason is told to the peer proxy, which keeps it.
      assert.equal(got.headers["l5d-proxy-error"], undefined);
    }
    assert.equal(closed.closed, false);
    closed.destroy();
  });

  test("an application that says GOAWAY finishes what it has, and gets a new connection", async () => {
    const before = [...appSessions];
    assert.equal((await ask({ ":path": "/goaway" })).headers[":status"], 200);
    assert.equal((await ask({ ":path": "/" })).headers[":status"], 200);
    assert.ok([...appSessions].some((one) => !before.includes(one)));
  });

  test("a malformed request fails its stream only", async () => {
    const stream = session.request(
      { ":path": "/", ":method": "POST", "content-length": 3 },
      { endStream: false },
    );
    stream.end("abcdef");
    assert.equal(await rstOf(stream), constants.NGHTTP2_PROTOCOL_ERROR);
    assert.equal((await ask({ ":path": "/" })).headers[":status"], 200);
  });

  test("when all have left, every connection is closed and counted", async () => {
    const page = await metricsOf(pair.client);
    assert.ok(sum(page, "response_total", { direction: "outbound", error: "h2(REFUSED_STREAM)" }) === 1);
    session.close();
    for (const one of appSessions) one.close();
    await untilAllClosed(pair.client, "outbound");
    await untilAllClosed(pair.server, "inbound");
  });
});
