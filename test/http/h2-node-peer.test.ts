import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net, { type AddressInfo, type Socket } from "node:net";
import { after, test } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { H2Client } from "../../src/http/client/h2.ts";
import { H2Server } from "../../src/http/server/h2.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import {
  bodyOf,
  BodySource,
  field,
  RecordingSink,
  requestHead,
  responseHead,
  ScriptedService,
  sha256,
} from "../support/h2-exchange.ts";

const sockets = new Set<Socket>();
const servers: net.Server[] = [];
const connections = new Set<H2Server>();

after(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

async function listen(server: net.Server): Promise<number> {
  servers.push(server);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has such an address.
  return (server.address() as AddressInfo).port;
}

/** Our server over real sockets; gives its port. */
function serveOurs(service: ScriptedService): Promise<number> {
  return listen(
    net.createServer((socket) => {
      socket.setNoDelay(true);
      connections.add(new H2Server(transportOf(socket), service));
    }),
  );
}

/** Our client, connected. */
async function connectOurs(port: number): Promise<H2Client> {
  const socket = net.connect(port, "127.0.0.1");
  sockets.add(socket);
  await once(socket, "connect");
  socket.setNoDelay(true);
  return new H2Client(transportOf(socket));
}

/** A call of our client whose end can be awaited. */
async function ended(sink: RecordingSink): Promise<void> {
  if (sink.ended || sink.error !== undefined) return;
  await new Promise<void>((resolve) => {
    const inner = sink.onEvent;
    sink.onEvent = (event) => {
      inner?.(event);
      if (event === "last" || event === "trailers" || event.startsWith("reset")) resolve();
    };
  });
}

test("serves node:http2 as client: heads, bodies, trailers", async () => {
  const port = await serveOurs(
    new ScriptedService(({ head, request, response }) => {
      request.onEvent = (event) => {
        if (event !== "last" && event !== "trailers") return;
        response.head(responseHead(200, field("x-path", head.path?.value ?? "")), false);
        response.data(Buffer.from(request.text, "latin1"), 0, request.bytes, false);
        response.trailers([field("x-trailer", request.trailerFields?.[0]?.value ?? "none")]);
      };
    }),
  );
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const results = await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      const stream = session.request(
        { ":method": "POST", ":path": `/p${i}`, "x-common": "same", "x-own": `v${i}` },
        { endStream: false, ...(i % 2 ? { waitForTrailers: true } : {}) },
      );
      if (i % 2) stream.on("wantTrailers", () => stream.sendTrailers({ "x-up": `t${i}` }));
      stream.end(`body ${i}`);
      let path: unknown;
      let trailer: unknown;
      stream.on("response", (headers) => (path = headers["x-path"]));
      stream.on("trailers", (headers) => (trailer = headers["x-trailer"]));
      let text = "";
      stream.setEncoding("latin1");
      for await (const chunk of stream) text += String(chunk);
      return [path, text, trailer];
    }),
  );
  results.forEach((result, i) => assert.deepEqual(result, [`/p${i}`, `body ${i}`, i % 2 ? `t${i}` : "none"]));
  session.close();
  await once(session, "close");
});

test("is a client of node:http2: heads, bodies, trailers, hundreds of streams", async () => {
  const server = http2.createServer();
  server.on("stream", (stream: http2.ServerHttp2Stream, headers) => {
    stream.respond(
      { ":status": 201, "x-path": headers[":path"], "x-same": "value" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-t": "1" }));
    stream.pipe(stream);
  });
  const client = await connectOurs(await listen(server));
  const sinks = Array.from({ length: 300 }, (_, i) => {
    const sink = new RecordingSink();
    const request = client.call(requestHead("POST", `/${i}`, field("x-n", String(i % 3))), false, sink);
    sink.source = request;
    const body = Buffer.from(`body of ${i}`);
    request.data(body, 0, body.length, true);
    return sink;
  });
  await Promise.all(sinks.map(ended));
  sinks.forEach((sink, i) => {
    assert.deepEqual(sink.events, ["head 201", "data", "trailers"]);
    assert.equal(sink.text, `body of ${i}`);
    assert.equal(sink.response?.fields.find((f) => f.name.text === "x-path")?.value, `/${i}`);
  });
  client.close();
});

test("echoes 5 MiB through node:http2 with a slow reader and small windows", async () => {
  const server = http2.createServer({ settings: { initialWindowSize: 3000 } });
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  const client = await connectOurs(await listen(server));
  const body = bodyOf(5 * 1024 * 1024);
  const source = new BodySource(body, 65_535, 16_000);
  const sink = new RecordingSink();
  sink.collect = false;
  sink.holding = true;
  sink.onEvent = (event) => {
    if (event === "credit") {
      source.credit(sink.credited);
      sink.credited = 0;
    }
    // Slow: what came is given back in a later turn only.
    if (event === "data") setImmediate(() => sink.release());
  };
  const request = client.call(requestHead("POST", "/"), false, sink);
  sink.source = request;
  source.start(request);
  await ended(sink);
  assert.equal(sink.digest(), sha256(body));
  client.close();
});

test("takes 5 MiB from node:http2 and sends 5 MiB to it while it reads slowly", async () => {
  const down = bodyOf(5 * 1024 * 1024);
  const service = new ScriptedService(({ request, response }) => {
    const source = new BodySource(down, 65_535, 16_000);
    request.collect = false;
    request.onEvent = (event) => {
      if (event !== "credit") return;
      source.credit(request.credited);
      request.credited = 0;
    };
    response.head(responseHead(200), false);
    source.start(response);
  });
  const session = http2.connect(`http://127.0.0.1:${await serveOurs(service)}`);
  const stream = session.request({ ":method": "POST", ":path": "/" });
  stream.end(down);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    if (chunks.length % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(sha256(Buffer.concat(chunks)), sha256(down));
  const { request } = service.at(0);
  await ended(request);
  assert.equal(request.digest(), sha256(down));
  session.close();
});

test("tells node:http2 the code of a reset, and hears its code", async () => {
  const service = new ScriptedService(({ head, response }) => {
    if (head.path?.value === "/refuse") response.reset(new ProxyError("h2_reset", "refused", { h2Code: 7 }));
  });
  const session = http2.connect(`http://127.0.0.1:${await serveOurs(service)}`);
  const refused = session.request({ ":path": "/refuse" });
  const [error] = (await once(refused, "error")) as [Error];
  assert.match(error.message, /REFUSED_STREAM/);
  const canceled = session.request({ ":method": "POST", ":path": "/cancel" });
  canceled.on("error", () => {});
  canceled.write("x");
  const seen = new Promise<void>((resolve) => {
    service.answer = ({ request }) => {
      request.onEvent = (event) => {
        if (event === "data") canceled.close(http2.constants.NGHTTP2_CANCEL);
        if (event === "reset canceled") resolve();
      };
    };
  });
  await seen;
  assert.equal(service.at(1).request.error?.code, "canceled");
  session.close();
});

test("finishes what node:http2 accepted before its GOAWAY, and takes nothing more", async () => {
  const server = http2.createServer();
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.session?.close();
    setImmediate(() => {
      stream.respond({ ":status": 200 });
      stream.end("late");
    });
  });
  const client = await connectOurs(await listen(server));
  const sink = new RecordingSink();
  client.call(requestHead("GET", "/"), true, sink);
  await ended(sink);
  assert.equal(sink.text, "late");
  assert.equal(client.retired, true);
  const refused = new RecordingSink();
  client.call(requestHead("GET", "/"), true, refused);
  assert.equal(refused.error?.code, "h2_goaway");
});
