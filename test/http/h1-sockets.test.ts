import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import * as http from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { after, test } from "node:test";
import { connectTcp } from "../../src/transport/connect.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import { parseIp } from "../../src/addr/ip.ts";
import { systemClock } from "../../src/time/clock.ts";
import { H1Pool } from "../../src/http/pool.ts";
import { H1Server } from "../../src/http/server/h1.ts";

/** Node's own client and server at both ends of server and pool, over real sockets. */
const BULK_BYTES = 5 * 1024 * 1024;

const DIAL = { clock: systemClock, timeoutMs: 5_000, keepAliveMs: undefined, userTimeoutMs: undefined };
const sockets = new Set<Socket>();
const servers: Server[] = [];

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A listening TCP server has such an address.
  return (server.address() as AddressInfo).port;
}

/** Starts a proxy in front of `port` and returns its own port and pool. */
async function proxy(port: number): Promise<{ port: number; pool: H1Pool }> {
  const ip = parseIp("127.0.0.1");
  if (!ip.ok) throw new Error(ip.problem);
  const addr = { ip: ip.value, port };
  const pool = new H1Pool({ connect: () => connectTcp(addr, { ...DIAL }) });
  pools.push(pool);
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.push(new H1Server(transportOf(socket), pool));
  });
  return { port: await listen(server), pool };
}
const pools: H1Pool[] = [];
const connections: H1Server[] = [];

after(async () => {
  for (const pool of pools) pool.close();
  agent.destroy();
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
});

const agent = new http.Agent({ keepAlive: true });

interface Got {
  readonly status: number;
  readonly reason: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: Buffer;
}

function request(
  port: number,
  options: http.RequestOptions,
  body?: Buffer | ((r: http.ClientRequest) => void),
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const outgoing = http.request({ port, host: "127.0.0.1", agent, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? "",
          headers: response.headers,
          rawHeaders: response.rawHeaders,
          trailers: response.trailers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    outgoing.on("error", reject);
    if (typeof body === "function") body(outgoing);
    else outgoing.end(body);
  });
}

/** Answers with what it was asked, as JSON, or what the path says. */
function origin(): http.Server {
  return http.createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const url = incoming.url ?? "";
      if (url === "/204") response.writeHead(204).end();
      else if (url === "/304") response.writeHead(304, { etag: "x" }).end();
      else if (url === "/trailers") {
        response.writeHead(200, { trailer: "x-sum" });
        response.write("body");
        response.addTrailers({ "x-sum": "7" });
        response.end();
      } else if (url === "/cookies")
        response.writeHead(200, "Fine", { "set-cookie": ["a", "b"], "content-length": 2 }).end("ok");
      else {
        const { method, rawHeaders, trailers } = incoming;
        response.end(
          JSON.stringify({
            method,
            url,
            rawHeaders,
            trailers,
            body: Buffer.concat(chunks).toString("latin1"),
          }),
        );
      }
    });
  });
}

test("says to node:http what node:http would say without it", async () => {
  const originPort = await listen(origin());
  const { port, pool } = await proxy(originPort);
  const asks: readonly (readonly [http.RequestOptions, string | undefined])[] = [
    [{ path: "/a?b=1", headers: { "x-a": ["1", "2"], "x-empty": "" } }, undefined],
    [{ path: "/post", method: "POST", headers: { "content-length": "5" } }, "hello"],
    [{ path: "/put", method: "PUT", headers: { "transfer-encoding": "chunked" } }, "hello"],
    [{ path: "/delete", method: "DELETE" }, undefined],
    [{ path: "/204" }, undefined],
    [{ path: "/304" }, undefined],
    [{ path: "/x", method: "HEAD" }, undefined],
    [{ path: "/cookies" }, undefined],
    [{ path: "/trailers", headers: { te: "trailers" } }, undefined],
  ];
  for (const [options, body] of asks) {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const headers = { host: "h.test", ...(options.headers as http.OutgoingHttpHeaders | undefined) };
    const direct = await request(originPort, { ...options, headers }, bytes);
    const through = await request(port, { ...options, headers }, bytes);
    const what = `${options.method ?? "GET"} ${options.path}`;
    assert.equal(through.status, direct.status, what);
    assert.equal(through.reason, direct.reason, what);
    assert.deepEqual(through.trailers, direct.trailers, what);
    assert.deepEqual(endToEnd(through.rawHeaders), endToEnd(direct.rawHeaders), what);
    assert.deepEqual(asked(through.body), asked(direct.body), what);
  }
  assert.equal(pool.opened, 1, "all requests share one connection");
});

/** What does not belong to one hop, and is not the time. Node puts length and coding where it likes. */
function endToEnd(raw: string[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]?.toLowerCase() ?? "";
    if (!["connection", "keep-alive", "date", "transfer-encoding", "content-length"].includes(name))
      lines.push(`${name}: ${raw[i + 1]}`);
  }
  return lines.sort();
}

function asked(body: Buffer): unknown {
  if (body[0] !== 0x7b) return body.toString("latin1");
  const seen = JSON.parse(body.toString("latin1")) as { rawHeaders: string[] };
  return { ...seen, rawHeaders: endToEnd(seen.rawHeaders) };
}

test("sends request trailers on", async () => {
  const { port } = await proxy(await listen(origin()));
  const got = await request(
    port,
    { path: "/", method: "POST", headers: { host: "h", trailer: "x-sum" } },
    (outgoing) => {
      outgoing.write("abc");
      outgoing.addTrailers({ "x-sum": "3" });
      outgoing.end();
    },
  );
  assert.deepEqual(JSON.parse(got.body.toString()).trailers, { "x-sum": "3" });
});

test("carries 5 MiB each way byte for byte, past slow readers on both sides", async () => {
  const upload = randomBytes(BULK_BYTES);
  const download = randomBytes(BULK_BYTES);
  let uploaded = "";
  const slowOrigin = http.createServer((incoming, response) => {
    const hash = createHash("sha256");
    incoming.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      incoming.pause();
      setImmediate(() => incoming.resume());
    });
    incoming.on("end", () => {
      uploaded = hash.digest("hex");
      if (incoming.url === "/counted") response.writeHead(200, { "content-length": BULK_BYTES });
      response.end(download);
    });
  });
  const { port } = await proxy(await listen(slowOrigin));
  for (const path of ["/counted", "/chunked"]) {
    uploaded = "";
    const hash = createHash("sha256");
    await new Promise<void>((resolve, reject) => {
      const headers = path === "/counted" ? { host: "h", "content-length": BULK_BYTES } : { host: "h" };
      const outgoing = http.request(
        { port, host: "127.0.0.1", agent, path, method: "POST", headers },
        (response) => {
          response.on("data", (chunk: Buffer) => {
            hash.update(chunk);
            response.pause();
            setImmediate(() => response.resume());
          });
          response.on("end", resolve);
          response.on("error", reject);
        },
      );
      outgoing.on("error", reject);
      outgoing.end(upload);
    });
    assert.equal(uploaded, createHash("sha256").update(upload).digest("hex"), path);
    assert.equal(hash.digest("hex"), createHash("sha256").update(download).digest("hex"), path);
  }
});

test("an origin is not read further than its client reads", async () => {
  const origin = { written: 0 };
  const endless = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      const piece = Buffer.alloc(65_536);
      const more = (): void => {
        while (!socket.destroyed && socket.write(piece)) origin.written += piece.length;
        origin.written += piece.length;
      };
      socket.on("drain", more);
      more();
    });
  });
  const { port, pool } = await proxy(await listen(endless));
  const client = connect(port, "127.0.0.1");
  client.on("error", () => {});
  client.pause();
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  let before = -1;
  // At rest once nothing was written between two looks.
  while (before !== origin.written || before === 0) {
    before = origin.written;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(origin.written < 64 * 1024 * 1024, `${origin.written} bytes left the origin`);
  client.destroy();
  while (pool.activeConnections > 0) await new Promise((resolve) => setImmediate(resolve));
});

test("a WebSocket-like upgrade echoes, with half-close at the end", async () => {
  const echo = http.createServer();
  echo.on("upgrade", (_request, socket: Socket, head: Buffer) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.write(head);
    socket.pipe(socket);
  });
  const { port } = await proxy(await listen(echo));
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  const payload = randomBytes(300_000);
  client.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  client.end(payload);
  const chunks: Buffer[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(client, "end");
  const got = Buffer.concat(chunks);
  const body = got.subarray(got.indexOf("\r\n\r\n") + 4);
  assert.match(got.toString("latin1", 0, 60), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  assert.ok(body.equals(payload));
});

test("a CONNECT tunnel carries another connection", async () => {
  const target = createServer((socket) => socket.end("banner"));
  const targetPort = await listen(target);
  const gate = http.createServer();
  gate.on("connect", (_request, socket: Socket) => {
    const onward = connect(targetPort, "127.0.0.1");
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    onward.pipe(socket);
    socket.pipe(onward);
  });
  const { port } = await proxy(await listen(gate));
  const outgoing = http.request({
    port,
    host: "127.0.0.1",
    method: "CONNECT",
    path: "target.test:1",
    agent: false,
  });
  outgoing.end();
  const [response, socket, head] = (await once(outgoing, "connect")) as [
    http.IncomingMessage,
    Socket,
    Buffer,
  ];
  assert.equal(response.statusCode, 200);
  let text = head.toString();
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  if (text !== "banner") await once(socket, "end");
  assert.equal(text, "banner");
});

test("many keep-alive clients at once get their own answers over a bounded set of connections", async () => {
  const { port, pool } = await proxy(await listen(origin()));
  const clients = 20;
  const limited = new http.Agent({ keepAlive: true, maxSockets: clients });
  const gets = Array.from({ length: 400 }, async (_, i) => {
    const got = await request(port, { path: `/item/${i}`, headers: { host: "h" }, agent: limited });
    assert.equal(JSON.parse(got.body.toString()).url, `/item/${i}`);
  });
  await Promise.all(gets);
  limited.destroy();
  assert.ok(pool.opened <= clients, String(pool.opened));
});
