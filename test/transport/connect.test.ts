import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { connect as tlsConnect, createServer as createTlsServer } from "node:tls";
import { parseSocketAddr, type SocketAddr } from "../../src/addr/socket-addr.ts";
import { errnoOf } from "../../src/errors/from-node.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { connectTcp, dialSocket, timedOut } from "../../src/transport/connect.ts";
import { descriptorOf, loadLibc } from "../../src/transport/libc.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { clientTls, roundTrip, serve, serverTls, track } from "./loopback.ts";
import { Recorder } from "./recorder.ts";

function loopbackAddr(port: number): SocketAddr {
  const result = parseSocketAddr(`127.0.0.1:${port}`);
  assert.ok(result.ok);
  return result.value;
}

const liveness = { keepAliveMs: undefined, userTimeoutMs: undefined };

describe("connectTcp", () => {
  it("gives a transport that loses no byte of a server that speaks first", async () => {
    const port = await serve(createServer((socket) => track(socket).end("220 ready")));
    const clock = new FakeClock();
    const transport = await connectTcp(loopbackAddr(port), { clock, timeoutMs: 1000, ...liveness });
    track(transport.socket);
    assert.equal(clock.timers, 0);
    assert.equal(transport.peerAddr.port, port);
    // The banner is there before anybody asks for it.
    await roundTrip();
    const recorder = new Recorder();
    transport.attach(recorder);
    await recorder.until(() => recorder.has("end"));
    assert.equal(recorder.text, "220 ready");
  });

  it("fails with address and errno when the port is closed", async () => {
    const server = createServer();
    const port = await serve(server);
    await new Promise((resolve) => server.close(resolve));
    const clock = new FakeClock();
    await assert.rejects(connectTcp(loopbackAddr(port), { clock, timeoutMs: 1000, ...liveness }), (error) => {
      assert.ok(error instanceof ProxyError);
      assert.equal(error.code, "io");
      assert.match(error.message, new RegExp(`^cannot connect to 127\\.0\\.0\\.1:${port}: `));
      assert.equal(errnoOf(error), "ECONNREFUSED");
      assert.equal(error.detail.side, "upstream");
      return true;
    });
    assert.equal(clock.timers, 0);
  });

  it("gives up after its timeout", async () => {
    const port = await serve(createServer((socket) => track(socket)));
    const clock = new FakeClock();
    const attempt = connectTcp(loopbackAddr(port), { clock, timeoutMs: 1000, ...liveness });
    clock.advance(1000);
    await assert.rejects(attempt, { code: "connect_timeout", message: "connect timed out after 1s" });
  });

  it("writes timeouts below a second in milliseconds", () => {
    assert.equal(timedOut(300).message, "connect timed out after 300ms");
    assert.equal(timedOut(1500).message, "connect timed out after 1.5s");
  });

  it("gives up when its signal aborts, before or during the attempt", async () => {
    const port = await serve(createServer((socket) => track(socket)));
    const clock = new FakeClock();
    const controller = new AbortController();
    const options = { clock, timeoutMs: 1000, signal: controller.signal, ...liveness };
    const attempt = connectTcp(loopbackAddr(port), options);
    controller.abort(new Error("not needed"));
    await assert.rejects(attempt, { code: "canceled" });
    await assert.rejects(connectTcp(loopbackAddr(port), options), { code: "canceled" });
    assert.equal(clock.timers, 0);
  });

  it("dials raw sockets on which TLS can be spoken", async () => {
    const tlsServer = createTlsServer(serverTls, (socket) => track(socket).pipe(socket));
    const port = await serve(tlsServer);
    const raw = await dialSocket(loopbackAddr(port), {
      clock: new FakeClock(),
      timeoutMs: 1000,
      ...liveness,
    });
    const secure = track(tlsConnect({ ...clientTls, socket: track(raw) }));
    await once(secure, "secureConnect");
    const transport = transportOf(secure);
    const recorder = new Recorder();
    transport.attach(recorder);
    transport.writeLatin1("over TLS");
    await recorder.until(() => recorder.text === "over TLS");
    assert.equal(transport.peerAddr.port, port);
    transport.destroy();
  });

  it("sets keep-alive and user timeout on what it dials", async (t) => {
    const state = loadLibc();
    if (state.kind === "missing") return t.skip(state.reason);
    const port = await serve(createServer((socket) => track(socket)));
    const socket = track(
      await dialSocket(loopbackAddr(port), {
        clock: new FakeClock(),
        timeoutMs: 1000,
        keepAliveMs: 20_000,
        userTimeoutMs: 5000,
      }),
    );
    const value = Buffer.alloc(4);
    const fd = descriptorOf(socket) ?? -1;
    assert.equal(state.libc.getsockopt(fd, 6, 4, value), 0);
    assert.equal(value.readInt32LE(), 20);
    assert.equal(state.libc.getsockopt(fd, 6, 18, value), 0);
    assert.equal(value.readInt32LE(), 5000);
  });
});
