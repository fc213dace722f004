import assert from "node:assert/strict";
import { once } from "node:events";
import {
  connect as connectHttp2,
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { fixed } from "../../src/transport/orig-dst/fixed.ts";
import { socketAddr, startInbound } from "../conformance/inbound-listener.ts";
import { TestCa } from "../support/certs.ts";
import { listening, Pair, portOf, until } from "./pair.ts";

/** An origin that keeps what it receives and answers each complete request. */
class RawOrigin {
  readonly server: Server;
  received = "";
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.server = server;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      let own = "";
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        own += bytes.toString("latin1");
        this.received += bytes.toString("latin1");
        if (!isComplete(own)) return;
        const chunked = /transfer-encoding: chunked/.test(own);
        own = "";
        socket.write(chunked ? CHUNKED : COUNTED);
      });
    });
  }

  static async start(): Promise<RawOrigin> {
    return new RawOrigin(await listening(createServer()));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.server.close();
  }
}

const COUNTED = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED =
  "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 9\r\n\r\n";

function isComplete(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /content-length: (\d+)/.exec(text);
  if (length !== null) return text.length - end - 4 >= Number(length[1]);
  return !/transfer-encoding: chunked/.test(text) || /\r\n0\r\n(?:[^\r]+\r\n)*\r\n$/.test(text);
}

/** Sends exact bytes and collects what comes back until `done` or the end of the connection. */
async function raw(
  port: number,
  text: string,
  done: (got: string) => boolean,
): Promise<{ got: string; ended: boolean }> {
  const socket = connect(port, "127.0.0.1");
  let got = "";
  let ended = false;
  socket.on("error", () => {});
  socket.on("end", () => (ended = true));
  const closed = once(socket, "close");
  const finished = new Promise<void>((resolve) => {
    socket.on("data", (bytes) => {
      got += bytes.toString("latin1");
      if (done(got)) resolve();
    });
  });
  socket.write(text, "latin1");
  await Promise.race([finished, closed]);
  socket.destroy();
  return { got, ended };
}

describe("HTTP/1 over HTTP/2 between two proxies", { timeout: 30_000 }, () => {
  let origin: RawOrigin;
  let app: Http2Server;
  let pair: Pair;
  const sessions = new Set<ServerHttp2Session>();

  before(async () => {
    origin = await RawOrigin.start();
    app = await listening(createHttp2());
    app.on("session", (session) => {
      sessions.add(session);
      session.on("close", () => sessions.delete(session));
    });
    app.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {});
      stream.close(Number(String(headers[":path"]).slice(1)));
    });
    pair = await Pair.start({ ports: { raw: portOf(origin.server), http2: portOf(app) } });
  });

  after(async () => {
    for (const session of sessions) session.destroy();
    app.close();
    origin.close();
    await pair.close();
  });

  test("H2-X03 a chunked request is framed anew at either end, with trailers both ways", async () => {
    origin.received = "";
    const request =
      "POST /a HTTP/1.1\r\nHost: h.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Up: 7\r\n\r\n";
    const { got } = await raw(
      pair.forward("raw"),
      request,
      (text) => text.endsWith("\r\n\r\n") && text.includes("x-sum"),
    );
    const [head = "", ...rest] = origin.received.split("\r\n\r\n");
    assert.match(head, /^POST \/a HTTP\/1\.1\r\n/);
    assert.equal(head.match(/transfer-encoding: chunked/g)?.length, 1);
    assert.doesNotMatch(head, /content-length|l5d-orig-proto/);
    const body = rest.join("\r\n\r\n");
    assert.equal(body.replace(/[0-9a-f]+\r\n([a-g]+)\r\n/g, "$1"), "abcdefg0\r\nx-up: 7\r\n\r\n");
    assert.match(got, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(got.match(/transfer-encoding: chunked/g)?.length, 1);
    assert.match(got, /\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 9\r\n\r\n$/);
  });

  test("H2-X04 a content-length is kept and is that of the bytes", async () => {
    origin.received = "";
    const body = "b".repeat(100_000);
    const request = `POST /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const { got } = await raw(pair.forward("raw"), request, (text) => text.endsWith("hello"));
    const [head = "", arrived = ""] = origin.received.split("\r\n\r\n");
    assert.match(head, /\r\ncontent-length: 100000(?:\r\n|$)/);
    assert.doesNotMatch(head, /transfer-encoding/);
    assert.equal(arrived, body);
    assert.match(got, /\r\ncontent-length: 5\r\n/);
    assert.doesNotMatch(got, /transfer-encoding/);
  });

  test("H1-X03 values pass byte for byte over HTTP/2 as well", async () => {
    origin.received = "";
    const high = Buffer.from(Array.from({ length: 128 }, (_, i) => 0x80 + i)).toString("latin1");
    const fields = [`x-high: ${high}`, "x-empty: ", `x-long: ${"v".repeat(8_192)}`, "x-tabs: a\tb\t\tc"];
    const request = `GET /a HTTP/1.1\r\nHost: h.test\r\n${fields.join("\r\n")}\r\n\r\n`;
    await raw(pair.forward("raw"), request, (text) => text.endsWith("hello"));
    for (const field of fields) assert.ok(origin.received.includes(`\r\n${field}\r\n`), field.slice(0, 20));
  });

  test("H2-X06 the code of a reset of a native HTTP/2 request reaches the client", async () => {
    const session = connectHttp2(pair.url("http2"));
    for (const code of [1, 2, 5, 7, 8, 11]) {
      const stream = session.request({ ":path": `/${code}` });
      stream.on("error", () => {});
      stream.resume();
      await new Promise<void>((resolve) => stream.once("close", resolve));
      assert.equal(stream.rstCode, code);
    }
    assert.equal(session.closed, false);
    session.destroy();
  });

  // A head of up to 400 KB is legal to an HTTP/1 server of ours (LIM-1), but between proxies it is an HTTP/2 header list,
  // for which LIM-9 (65,536) and LIM-14 (six frames) stand. We keep to those limits: lists that any peer may send on a
  // connection that many clients share bound that connection's memory. The client is told, on a connection that works.
  for (const [bytes, expected] of [
    [17_000, 200],
    [60_000, 200],
    [70_000, 431],
    [90_000, 431],
    [120_000, 502],
    [400_000, 502],
  ] as const) {
    test(`H2-X07 a head of ${bytes} bytes between two proxies is answered with ${expected}`, async () => {
      const request = `GET /a HTTP/1.1\r\nHost: h.test\r\nX-Long: ${"v".repeat(bytes)}\r\n\r\n`;
      const { got } = await raw(pair.forward("raw"), request, (text) => text.includes("\r\n\r\n"));
      assert.match(got, new RegExp(`^HTTP/1\\.1 ${expected} `));
      // The connection between the proxies goes on.
      const next = await raw(pair.forward("raw"), "GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n", (text) =>
        text.endsWith("hello"),
      );
      assert.match(next.got, /^HTTP\/1\.1 200 /);
    });
  }
});

describe("a request from outside of the mesh", { timeout: 30_000 }, () => {
  test("H1-X06 cannot pass for somebody, nor speak as a proxy: such headers are removed, over either protocol", async () => {
    const origin = await RawOrigin.start();
    const app = await listening(createHttp2());
    const seen: string[] = [];
    app.on("stream", (stream: ServerHttp2Stream, headers) => {
      seen.push(JSON.stringify(headers));
      stream.respond({ ":status": 200 }, { endStream: true });
    });
    const ca = TestCa.create();
    const http1 = await startInbound(fixed(socketAddr(`127.0.0.1:${portOf(origin.server)}`)), ca, NAME);
    const http2 = await startInbound(fixed(socketAddr(`127.0.0.1:${portOf(app)}`)), ca, NAME);
    try {
      const names = ["client-id", "orig-proto", "proxy-error", "proxy-connection", "remote-ip"];
      const forged = names.flatMap((name) => [`l5d-${name}: HTTP/1.1`, `L5D-${name}: root`]).join("\r\n");
      await raw(http1.addr.port, `GET /a HTTP/1.1\r\nHost: h.test\r\n${forged}\r\n\r\n`, (text) =>
        text.endsWith("hello"),
      );
      assert.doesNotMatch(origin.received, /l5d-/i);
      const session = connectHttp2(`http://127.0.0.1:${http2.addr.port}`);
      const headers = Object.fromEntries(names.map((name) => [`l5d-${name}`, "HTTP/1.1"]));
      const stream = session.request({ ":path": "/a", ...headers });
      await once(stream, "response");
      assert.equal(seen.length, 1);
      // It came as HTTP/2 and went on as HTTP/2: nobody but a meshed peer carries HTTP/1 in it.
      assert.doesNotMatch(seen[0] ?? "", /l5d-/);
      session.destroy();
      await until("the session is gone", () => session.destroyed);
    } finally {
      http1.close();
      http2.close();
      origin.close();
      app.close();
    }
  });
});

const NAME = "web.shop.serviceaccount.identity.linkerd.cluster.local";
