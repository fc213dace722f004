import assert from "node:assert/strict";
import { Agent, request as httpRequest } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { listening, metricsOf, Pair, portOf, sum, until, untilAllClosed } from "./pair.ts";

/** What an application's connection saw. */
interface Seen {
  readonly socket: Socket;
  text: string;
  ended: boolean;
  error: string;
  closed: boolean;
}

function watch(socket: Socket): Seen {
  const seen: Seen = { socket, text: "", ended: false, error: "", closed: false };
  socket.on("data", (chunk) => (seen.text += chunk.toString("latin1")));
  socket.on("end", () => (seen.ended = true));
  socket.on("error", (error: NodeJS.ErrnoException) => (seen.error = error.code ?? "?"));
  socket.on("close", () => (seen.closed = true));
  return seen;
}

describe("bytes through two sidecars", { timeout: 30_000 }, () => {
  const accepted: Seen[] = [];
  const servers: Server[] = [];
  let pair: Pair;

  /** A server that keeps its connections half-open; `greet` speaks first. */
  const serve = async (greet: string): Promise<number> => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      accepted.push(watch(socket));
      if (greet !== "") socket.write(greet);
    });
    servers.push(await listening(server));
    return portOf(server);
  };

  before(async () => {
    pair = await Pair.start({
      ports: {
        silent: await serve(""),
        banner: await serve("220 hello\r\n"),
        upgrade: await serve(""),
        detect: await serve(""),
      },
      opaque: ["silent", "banner"],
    });
  });

  after(async () => {
    for (const { socket } of accepted) socket.destroy();
    for (const server of servers) server.close();
    await pair.close();
  });

  const dial = (port: number): Seen => watch(connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
  const next = async (since: number): Promise<Seen> => {
    await until("the application is reached", () => accepted.length > since);
    const seen = accepted[since];
    if (seen === undefined) throw new Error("nobody came");
    return seen;
  };

  /** Both ways of a tunnel that stands: bytes, then a half-close from each side, the given one first. */
  const exchange = async (client: Seen, server: Seen, first: "client" | "server"): Promise<void> => {
    const [one, two] = first === "client" ? [client, server] : [server, client];
    const [sentByOne, sentByTwo] = [two.text.length, one.text.length];
    one.socket.end("last words");
    await until("the end is passed on", () => two.ended);
    assert.equal(two.text.slice(sentByOne), "last words");
    // The other direction stays open, and carries more than any buffer on the way.
    const more = "x".repeat(1_000_000);
    two.socket.end(more);
    await until("the other end is passed on", () => one.ended);
    assert.ok(one.text.slice(sentByTwo) === more);
    await until("both are closed", () => client.closed && server.closed);
    assert.deepEqual([client.error, server.error], ["", ""]);
  };

  for (const first of ["client", "server"] as const) {
    test(`an opaque connection passes a half-close by the ${first} and the rest of the other direction`, async () => {
      const since = accepted.length;
      const client = dial(pair.forward("silent"));
      client.socket.write("hello");
      const server = await next(since);
      await until("the application got it", () => server.text === "hello");
      await exchange(client, server, first);
    });

    test(`a CONNECT tunnel passes a half-close by the ${first} and the rest of the other direction`, async () => {
      const since = accepted.length;
      const client = dial(pair.outboundPort);
      client.socket.write(`CONNECT ${authority("silent")} HTTP/1.1\r\nhost: x\r\n\r\nearly`);
      const server = await next(since);
      await until("the tunnel stands", () => client.text.includes("\r\n\r\n"));
      assert.match(client.text, /^HTTP\/1\.1 200 /);
      assert.doesNotMatch(client.text, /content-length|transfer-encoding/i);
      await until("early bytes arrive", () => server.text === "early");
      await exchange(client, server, first);
    });

    test(`an upgraded connection passes a half-close by the ${first} and the rest of the other direction`, async () => {
      const since = accepted.length;
      const client = dial(pair.forward("upgrade"));
      client.socket.write(
        "GET /ws HTTP/1.1\r\nhost: web\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\nearly",
      );
      const server = await next(since);
      await until("the request arrives", () => server.text.includes("\r\n\r\n"));
      assert.match(server.text, /\r\nconnection: Upgrade\r\n/i);
      assert.match(server.text, /\r\nupgrade: websocket\r\n/i);
      assert.doesNotMatch(server.text, /l5d-orig-proto|early/);
      server.text = "";
      server.socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nat once",
      );
      await until("the client is told", () => client.text.endsWith("at once"));
      assert.match(client.text, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
      await until("early bytes arrive", () => server.text === "early");
      await exchange(client, server, first);
    });
  }

  const authority = (name: string): string => {
    const service = name === "silent" || name === "banner" ? name : "web";
    const port = portOf(servers[["silent", "banner", "upgrade", "detect"].indexOf(name)] as Server);
    return `${service}.shop.svc.cluster.local:${port}`;
  };

  test("a server that speaks first is heard at once on an opaque port and through CONNECT", async () => {
    const plain = dial(pair.forward("banner"));
    await until("the banner comes", () => plain.text === "220 hello\r\n");
    plain.socket.destroy();
    const tunnel = dial(pair.outboundPort);
    tunnel.socket.write(`CONNECT ${authority("banner")} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await until("the banner comes", () => tunnel.text.endsWith("\r\n\r\n220 hello\r\n"));
    tunnel.socket.destroy();
  });

  test("bytes that are not HTTP pass on a port that nobody declared", async () => {
    const since = accepted.length;
    const client = dial(pair.forward("detect"));
    client.socket.write("\x16\x03 not HTTP\r\n");
    const server = await next(since);
    await until("the application got it", () => server.text === "\x16\x03 not HTTP\r\n");
    server.socket.end("reply");
    await until("the reply comes", () => client.text === "reply" && client.ended);
    client.socket.end();
    await until("both are closed", () => client.closed && server.closed);
  });

  for (const [name, open] of [
    ["an opaque connection", (): Seen => dial(pair.forward("silent"))],
    [
      "a CONNECT tunnel",
      (): Seen => {
        const client = dial(pair.outboundPort);
        client.socket.write(`CONNECT ${authority("silent")} HTTP/1.1\r\nhost: x\r\n\r\n`);
        return client;
      },
    ],
  ] as const) {
    test(`a reset by the client ends ${name} at the application, and never looks like an orderly end`, async () => {
      const since = accepted.length;
      const client = open();
      client.socket.write("hello");
      const server = await next(since);
      await until("it stands", () => server.text === "hello");
      client.socket.resetAndDestroy();
      await until("the application is told", () => server.closed);
      assert.equal(server.error, "ECONNRESET");
    });

    test(`a reset by the application ends ${name} at the client, and never looks like an orderly end`, async () => {
      const since = accepted.length;
      const client = open();
      client.socket.write("hello");
      const server = await next(since);
      await until("it stands", () => server.text === "hello");
      server.socket.resetAndDestroy();
      await until("the client is told", () => client.closed);
      assert.equal(client.error, "ECONNRESET");
    });
  }

  test("an upgrade that the application declines is an ordinary response", async () => {
    const since = accepted.length;
    const answer = new Promise<{ status: number; body: string }>((resolve, reject) => {
      const request = httpRequest({
        host: "127.0.0.1",
        port: pair.forward("upgrade"),
        agent: new Agent({ keepAlive: false }),
        headers: { connection: "Upgrade", upgrade: "websocket" },
      });
      request.on("error", reject);
      request.on("upgrade", () => reject(new Error("it was upgraded")));
      request.on("response", (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, body });
        });
      });
      request.end();
    });
    const server = await next(since);
    await until("the request arrives", () => server.text.includes("\r\n\r\n"));
    server.socket.write(
      "HTTP/1.1 426 Upgrade Required\r\nupgrade: other\r\nconnection: upgrade\r\ncontent-length: 2\r\n\r\nno",
    );
    assert.deepEqual(await answer, { status: 426, body: "no" });
  });

  test("a CONNECT to what cannot be reached is refused with the reason", async () => {
    const client = dial(pair.outboundPort);
    client.socket.write("CONNECT nobody.example.com:1 HTTP/1.1\r\nhost: x\r\n\r\n");
    await until("it is refused", () => client.text.includes("\r\n\r\n"));
    assert.match(client.text, /^HTTP\/1\.1 502 /);
    assert.match(client.text, /l5d-proxy-error: nobody\.example\.com:1: /);
    client.socket.destroy();
    const bad = dial(pair.outboundPort);
    bad.socket.write("CONNECT nowhere HTTP/1.1\r\nhost: x\r\n\r\n");
    await until("it is refused", () => bad.text.includes("\r\n\r\n"));
    assert.match(bad.text, /^HTTP\/1\.1 400 /);
    bad.socket.destroy();
  });

  test("when all have left, every connection is closed and counted", async () => {
    for (const { socket } of accepted) socket.destroy();
    await untilAllClosed(pair.client, "outbound");
    await untilAllClosed(pair.server, "inbound");
    const page = await metricsOf(pair.server);
    assert.ok(sum(page, "inbound_tcp_authz_allow_total") > 0);
  });
});
