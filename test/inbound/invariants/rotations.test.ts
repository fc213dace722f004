/** Connections of every kind are held while both sidecars renew their certificates again and again. */
import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import {
  connect as connectHttp2,
  createServer as createHttp2Server,
  type ClientHttp2Stream,
} from "node:http2";
import { createServer, connect, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import type { RunningProxy } from "../../../src/proxy.ts";
import { listening, metricsOf, Pair, portOf, sum, until } from "../../socket/pair.ts";

const ROTATIONS = 20;
/** Whatever life a certificate has left, it is renewed after this. */
const EVERY = {
  LINKERD2_PROXY_IDENTITY_MIN_REFRESH: "50ms",
  LINKERD2_PROXY_IDENTITY_MAX_REFRESH: "50ms",
};

/** Keeps what a connection says, and whether it still lives. */
class Held {
  text = "";
  over = false;

  constructor(connection: Socket | ClientHttp2Stream) {
    connection.on("data", (chunk: Buffer) => (this.text += chunk.toString("latin1")));
    connection.on("error", () => (this.over = true));
    connection.on("close", () => (this.over = true));
  }
}

describe("invariant 4: rotation disturbs nothing", { timeout: 30_000 }, () => {
  const echo = createServer((socket) => socket.pipe(socket));
  const http2 = createHttp2Server((request, response) => {
    response.writeHead(200);
    request.pipe(response);
  });
  const web = createHttpServer();
  web.on("upgrade", (_request, socket: Socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  let pair: Pair;

  before(async () => {
    await Promise.all([listening(echo), listening(web), listening(http2)]);
    pair = await Pair.start({
      ports: { tcp: portOf(echo), web: portOf(web), http2: portOf(http2) },
      opaque: ["tcp"],
      client: EVERY,
      server: EVERY,
    });
  });

  after(async () => {
    await pair.close();
    for (const server of [echo, web, http2]) server.close();
  });

  const refreshes = async (proxy: RunningProxy): Promise<number> =>
    sum(await metricsOf(proxy), "control_identity_cert_refreshes_total", { result: "ok" });
  const handshakes = async (): Promise<number> =>
    sum(await metricsOf(pair.server), "outrigger_tls_handshakes_total", { direction: "inbound" });

  test(`invariant 4: an HTTP/2 stream, a TCP tunnel and a WebSocket live through ${ROTATIONS} rotations`, async (t) => {
    const tunnel = connect(pair.forward("tcp"), "127.0.0.1");
    const socket = connect(pair.forward("web"), "127.0.0.1");
    socket.write("GET /ws HTTP/1.1\r\nhost: web\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    const session = connectHttp2(pair.url("http2"));
    const stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: false });
    t.after(() => {
      for (const { connection } of held) connection.destroy();
      session.destroy();
    });
    const held = [tunnel, socket, stream].map((connection) => ({ connection, seen: new Held(connection) }));
    const say = async (word: string): Promise<void> => {
      for (const { connection } of held) connection.write(word);
      await until(`everybody hears ${word}`, () => held.every(({ seen }) => seen.text.endsWith(word)));
    };
    await say("before");
    const [client, server] = [await refreshes(pair.client), await refreshes(pair.server)];
    const dialled = await handshakes();
    for (let word = 1; ; word++) {
      await say(`word ${word};`);
      const done = Math.min((await refreshes(pair.client)) - client, (await refreshes(pair.server)) - server);
      if (done >= ROTATIONS) break;
    }
    assert.deepEqual(
      held.map(({ seen }) => seen.over),
      [false, false, false],
    );
    assert.equal(await handshakes(), dialled, "nothing was connected anew");
  });
});
