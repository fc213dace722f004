import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { parseSocketAddr, formatSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import type { ProxyError } from "../../src/errors/proxy-error.ts";
import { loadLibc } from "../../src/transport/libc.ts";
import { HELD_CONNECTIONS, listen, type AcceptedSocket, type Listener } from "../../src/transport/listen.ts";
import { track } from "./loopback.ts";
import { Recorder } from "./recorder.ts";

function addr(text: string): SocketAddr {
  const result = parseSocketAddr(text);
  assert.ok(result.ok);
  return result.value;
}

class Accepted {
  readonly sockets: AcceptedSocket[] = [];
  readonly errors: ProxyError[] = [];
  #waiting: (() => void)[] = [];

  readonly options = {
    backlog: undefined,
    keepAliveMs: undefined,
    userTimeoutMs: undefined,
    onConnection: (socket: AcceptedSocket): void => {
      track(socket.socket);
      this.sockets.push(socket);
      this.#wake();
    },
    onError: (error: ProxyError): void => {
      this.errors.push(error);
      this.#wake();
    },
  };

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

async function open(t: TestContext, accepted: Accepted, texts: string[], more = {}): Promise<Listener> {
  const listener = await listen(texts.map(addr), { ...accepted.options, ...more });
  t.after(() => listener.close());
  return listener;
}

async function dial(port: number, host = "127.0.0.1"): Promise<Socket> {
  const socket = track(connect({ port, host }));
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

describe("listen", () => {
  it("tells the port it was given in place of 0, and both ends of each connection", async (t) => {
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["127.0.0.1:0"], { acceptNow: true });
    const [bound] = listener.addrs;
    assert.ok(bound !== undefined && bound.port > 0);
    const client = await dial(bound.port);
    await accepted.until(() => accepted.sockets.length === 1);
    const socket = accepted.sockets[0];
    assert.ok(socket !== undefined);
    assert.equal(formatSocketAddr(socket.localAddr), formatSocketAddr(bound));
    assert.equal(socket.peerAddr.port, client.localPort);
    assert.equal(socket.transport(), socket.transport());
  });

  it("holds connections unread until it accepts, then hands them out with their bytes", async (t) => {
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["127.0.0.1:0"]);
    const client = await dial(listener.addrs[0]?.port ?? 0);
    await new Promise<void>((resolve) => client.write("early", () => resolve()));
    assert.equal(accepted.sockets.length, 0);
    listener.accept();
    await accepted.until(() => accepted.sockets.length === 1);
    const recorder = new Recorder();
    accepted.sockets[0]?.transport().attach(recorder);
    await recorder.until(() => recorder.length === 5);
    assert.equal(recorder.text, "early");
  });

  it("resets connections beyond those it may hold", async (t) => {
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["127.0.0.1:0"]);
    const port = listener.addrs[0]?.port ?? 0;
    for (let i = 0; i < HELD_CONNECTIONS; i += 64) {
      await Promise.all(Array.from({ length: 64 }, () => dial(port)));
    }
    const extra = await dial(port);
    await accepted.until(() => accepted.errors.length > 0);
    assert.match(accepted.errors[0]?.message ?? "", /more than 1024 connections wait/);
    if (!extra.closed) await new Promise<void>((resolve) => extra.once("close", () => resolve()));
  });

  it("takes IPv4 and IPv6 on a wildcard and shows IPv4 peers as IPv4", async (t) => {
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["[::]:0"], { acceptNow: true });
    const port = listener.addrs[0]?.port ?? 0;
    await dial(port);
    await accepted.until(() => accepted.sockets.length === 1);
    assert.equal(accepted.sockets[0]?.peerAddr.ip.text, "127.0.0.1");
    assert.equal(accepted.sockets[0]?.localAddr.ip.text, "127.0.0.1");
    await dial(port, "::1");
    await accepted.until(() => accepted.sockets.length === 2);
    assert.equal(accepted.sockets[1]?.peerAddr.ip.text, "::1");
  });

  it("feeds one stream from two addresses with the same port", async (t) => {
    const accepted = new Accepted();
    const first = await open(t, new Accepted(), ["127.0.0.1:0"]);
    const port = first.addrs[0]?.port ?? 0;
    first.close();
    const listener = await open(t, accepted, [`0.0.0.0:${port}`, `[::]:${port}`], { acceptNow: true });
    assert.deepEqual(listener.addrs.map(formatSocketAddr), [`0.0.0.0:${port}`, `[::]:${port}`]);
    await dial(port);
    await dial(port, "::1");
    await accepted.until(() => accepted.sockets.length === 2);
  });

  it("fails with the address when it is taken", async (t) => {
    const listener = await open(t, new Accepted(), ["127.0.0.1:0"]);
    const port = listener.addrs[0]?.port ?? 0;
    await assert.rejects(open(t, new Accepted(), [`127.0.0.1:${port}`]), {
      code: "io",
      message: new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`),
    });
  });

  it("hands keep-alive and user timeout down to accepted sockets", async (t) => {
    const state = loadLibc();
    if (state.kind === "missing") return t.skip(state.reason);
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["127.0.0.1:0"], {
      acceptNow: true,
      keepAliveMs: 10_000,
      userTimeoutMs: 30_000,
    });
    await dial(listener.addrs[0]?.port ?? 0);
    await accepted.until(() => accepted.sockets.length === 1);
    const fd = accepted.sockets[0]?.fd ?? -1;
    const value = Buffer.alloc(4);
    const option = (level: number, name: number): number => {
      assert.equal(state.libc.getsockopt(fd, level, name, value), 0);
      return value.readInt32LE();
    };
    assert.equal(option(1, 9), 1, "SO_KEEPALIVE");
    assert.equal(option(6, 4), 10, "TCP_KEEPIDLE");
    assert.equal(option(6, 18), 30_000, "TCP_USER_TIMEOUT");
    assert.equal(option(6, 1), 1, "TCP_NODELAY");
  });

  it("refuses connections once closed and keeps the accepted ones", async (t) => {
    const accepted = new Accepted();
    const listener = await open(t, accepted, ["127.0.0.1:0"], { acceptNow: true });
    const port = listener.addrs[0]?.port ?? 0;
    const client = await dial(port);
    await accepted.until(() => accepted.sockets.length === 1);
    listener.close();
    await assert.rejects(dial(port), { code: "ECONNREFUSED" });
    const recorder = new Recorder();
    accepted.sockets[0]?.transport().attach(recorder);
    client.write("still here");
    await recorder.until(() => recorder.text === "still here");
  });
});
