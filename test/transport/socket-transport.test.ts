import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect as tlsConnect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { errnoOf } from "../../src/errors/from-node.ts";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { systemClock } from "../../src/time/clock.ts";
import { loadLibc } from "../../src/transport/libc.ts";
import { poisonFreedBuffers } from "../../src/transport/poison.ts";
import { OUTPUT_BOUND_BYTES } from "../../src/transport/output.ts";
import { probeReadMode, readMode, useReadMode } from "../../src/transport/shared-reads.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import { clientTls, KINDS, loopback, roundTrip, serverTls, socketPair, track } from "./loopback.ts";
import { Recorder } from "./recorder.ts";

const MIB = 1024 * 1024;
const SHARED_READ_BYTES = 64 * 1024;

before(() => poisonFreedBuffers(true));
after(() => poisonFreedBuffers(false));

describe("probeReadMode", () => {
  it("finds that this runtime reads into the shared buffer", async () => {
    assert.deepEqual(await probeReadMode(), { mode: "onread", reason: undefined });
    assert.equal(readMode(), "onread");
  });
});

for (const mode of ["onread", "data"] as const) {
  for (const kind of KINDS) {
    describe(`SocketTransport on ${kind}, reading by ${mode}`, () => {
      before(() => useReadMode(mode));

      it("echoes 20 MiB unchanged to a reader that stops now and then", async () => {
        const { transport, peer } = await loopback(kind);
        const echo = new Recorder({ keep: false });
        echo.onChunk = (buffer, start, end) => {
          transport.write(buffer, start, end);
          if (transport.blocked) transport.pause();
        };
        echo.onDrainHook = () => transport.resume();
        echo.onEndHook = () => transport.end();
        transport.attach(echo);

        const sent = createHash("sha256");
        const received = createHash("sha256");
        let length = 0;
        peer.on("data", (chunk: Buffer) => {
          received.update(chunk);
          length += chunk.length;
          if (length % 5 === 0) {
            peer.pause();
            setImmediate(() => peer.resume());
          }
        });
        const ended = once(peer, "end");
        const noise = randomBytes(MIB);
        for (let i = 0; i < 20; i++) {
          noise.writeUInt32LE(i, i * 1000);
          const chunk = Buffer.from(noise);
          sent.update(chunk);
          if (!peer.write(chunk)) await once(peer, "drain");
        }
        peer.end();
        await ended;
        await echo.until(() => echo.has("close"));
        assert.equal(length, 20 * MIB);
        assert.equal(received.digest("hex"), sent.digest("hex"));
        assert.equal(transport.bytesRead, 20 * MIB);
        assert.equal(transport.bytesWritten, 20 * MIB);
        assert.equal(echo.error, undefined);
      });

      it("keeps our direction open after the peer's end, and closes once after ours", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        transport.attach(recorder);
        const reply: Buffer[] = [];
        peer.on("data", (chunk: Buffer) => reply.push(chunk));
        peer.end("question");
        await recorder.until(() => recorder.has("end"));
        assert.equal(recorder.text, "question");
        assert.equal(transport.destroyed, false);
        transport.writeLatin1("answer");
        transport.end();
        await once(peer, "end");
        await recorder.until(() => recorder.has("close"));
        assert.equal(Buffer.concat(reply).toString(), "answer");
        assert.deepEqual(recorder.events, ["bytes", "end", "close"]);
        assert.equal(recorder.error, undefined);
      });

      it("delivers nothing between pause and resume, and everything after", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        let paused = false;
        recorder.onChunk = () => {
          assert.equal(paused, false);
          transport.pause();
          paused = true;
          setImmediate(() => {
            paused = false;
            transport.resume();
          });
        };
        transport.attach(recorder);
        const sent = randomBytes(3 * MIB);
        peer.end(sent);
        await recorder.until(() => recorder.has("end"));
        assert.equal(Buffer.compare(Buffer.concat(recorder.chunks), sent), 0);
        assert.equal(recorder.events.at(-1), "end");
      });

      it("reads no more than one read's worth while it is paused", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        recorder.onChunk = () => transport.pause();
        transport.attach(recorder);
        peer.on("error", () => {});
        peer.write(Buffer.alloc(20 * MIB));
        await recorder.until(() => recorder.length > 0);
        for (let i = 0; i < 5; i++) await roundTrip();
        assert.ok(transport.bytesRead <= 2 * SHARED_READ_BYTES, String(transport.bytesRead));
        assert.ok(peer.writableLength > 0);
        transport.destroy();
      });

      it("sends later bytes to the handler attached from inside onBytes", async () => {
        const { transport, peer } = await loopback(kind);
        const first = new Recorder();
        const second = new Recorder();
        first.onChunk = () => transport.attach(second);
        transport.attach(first);
        peer.write("one");
        await first.until(() => first.length === 3);
        peer.write("two");
        await second.until(() => second.length === 3);
        assert.equal(first.text, "one");
        assert.equal(second.text, "two");
        transport.destroy();
        await second.until(() => second.has("close"));
        assert.equal(first.has("close"), false);
      });

      it("tells a handler attached late of the end and of the close", async () => {
        const { transport, peer } = await loopback(kind);
        const first = new Recorder();
        transport.attach(first);
        peer.end();
        await first.until(() => first.has("end"));
        const second = new Recorder();
        transport.attach(second);
        await second.until(() => second.has("end"));
        peer.resume();
        transport.end();
        await second.until(() => second.has("close"));
        const third = new Recorder();
        transport.attach(third);
        await third.until(() => third.has("close"));
      });

      it("is blocked by a peer that does not read, and drains when it does", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        transport.attach(recorder);
        const chunk = Buffer.alloc(16 * 1024, 7);
        let written = 0;
        while (transport.waitingBytes <= OUTPUT_BOUND_BYTES || !transport.blocked) {
          while (!transport.blocked) {
            transport.write(chunk, 0, chunk.length);
            written += chunk.length;
          }
          // The kernel may still take some: the block must hold on its own.
          await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(transport.waitingBytes <= OUTPUT_BOUND_BYTES + chunk.length);
        let received = 0;
        peer.on("data", (data: Buffer) => (received += data.length));
        recorder.events.length = 0;
        await recorder.until(() => recorder.has("drain"));
        assert.equal(transport.blocked, false);
        transport.end();
        await once(peer, "end");
        assert.equal(received, written);
        peer.end();
      });

      it("sends everything gathered before its end", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        transport.attach(recorder);
        const sent = randomBytes(2 * MIB);
        transport.write(sent, 0, sent.length);
        transport.end();
        const received: Buffer[] = [];
        peer.on("data", (data: Buffer) => received.push(data));
        await once(peer, "end");
        assert.equal(Buffer.compare(Buffer.concat(received), sent), 0);
        peer.end();
        await recorder.until(() => recorder.has("close"));
        assert.equal(recorder.error, undefined);
      });

      it("drops output and closes once with the reason after destroy", async () => {
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        transport.attach(recorder);
        peer.on("error", () => {});
        peer.on("end", () => peer.end());
        peer.resume();
        const reason = new ProxyError("canceled", "no longer wanted");
        transport.writeLatin1("never seen");
        transport.destroy(reason);
        transport.destroy(new ProxyError("io", "too late"));
        assert.deepEqual(recorder.events, []);
        assert.equal(transport.destroyed, true);
        await recorder.until(() => recorder.has("close"));
        assert.equal(recorder.error, reason);
        // Late writers are harmless.
        transport.writeLatin1("into nothing");
        transport.flush();
        transport.end();
        assert.equal(transport.bytesWritten, 0);
        if (!peer.closed) await once(peer, "close");
        assert.deepEqual(recorder.events, ["close"]);
      });

      it("ends a connection whose handler throws, and only that", async () => {
        const { transport, peer } = await loopback(kind);
        peer.on("error", () => {});
        const recorder = new Recorder();
        recorder.onChunk = () => {
          throw new Error("a bug");
        };
        transport.attach(recorder);
        peer.write("x");
        await recorder.until(() => recorder.has("close"));
        assert.equal(recorder.error?.code, "unexpected");
        assert.match(recorder.error?.message ?? "", /^connection with 127\.0\.0\.1:\d+: a bug$/);
        // Time, which stands still during a read, goes on.
        const at = systemClock.nowMs();
        await pause(2);
        assert.ok(systemClock.nowMs() > at);
      });

      it("gathers what one turn writes into one write", async () => {
        const { transport, peer } = await loopback(kind);
        transport.attach(new Recorder());
        let writes = 0;
        const write = transport.socket.write.bind(transport.socket);
        transport.socket.write = (...args: unknown[]) => {
          writes++;
          // Passes on exactly what it was called with.
          return write(...(args as Parameters<typeof write>));
        };
        for (let i = 0; i < 100; i++) {
          const at = transport.reserve(16);
          transport.buffer.fill(i, at, at + 10);
          transport.commit(at + 10);
        }
        assert.equal(writes, 0);
        peer.once("data", (data: Buffer) => assert.equal(data.length, 1000));
        await once(peer, "data");
        assert.equal(writes, 1);
        transport.destroy();
      });

      it("reserves more than a pooled buffer holds", async () => {
        const { transport, peer } = await loopback(kind);
        transport.attach(new Recorder());
        transport.writeLatin1("head");
        const at = transport.reserve(100_000);
        transport.buffer.fill("b", at, at + 90_000);
        transport.commit(at + 90_000);
        transport.writeLatin1("tail".repeat(20_000));
        transport.end();
        const received: Buffer[] = [];
        peer.on("data", (data: Buffer) => received.push(data));
        await once(peer, "end");
        const text = Buffer.concat(received).toString("latin1");
        assert.equal(text, `head${"b".repeat(90_000)}${"tail".repeat(20_000)}`);
        peer.end();
      });
    });
  }

  describe(`SocketTransport on TCP, reading by ${mode}`, () => {
    before(() => useReadMode(mode));

    it("reports the peer's reset with its errno", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const recorder = new Recorder();
      transport.attach(recorder);
      peer.resetAndDestroy();
      await recorder.until(() => recorder.has("close"));
      assert.equal(recorder.error?.code, "io");
      assert.equal(errnoOf(recorder.error), "ECONNRESET");
    });

    for (const kind of KINDS) {
      it(`resets so that the peer sees it, on ${kind}`, async (t) => {
        const libc = loadLibc();
        if (kind !== "an accepted TCP socket" && libc.kind === "missing") return t.skip(libc.reason);
        const { transport, peer } = await loopback(kind);
        const recorder = new Recorder();
        transport.attach(recorder);
        // The server's session tickets are through: a write that fails would hide the reset from the reader.
        peer.write("hello");
        await recorder.until(() => recorder.length > 0);
        peer.resume();
        transport.writeLatin1("never sent");
        transport.reset();
        // Node's documentation gives an error event the error.
        const [error] = (await once(peer, "error")) as [Error];
        assert.equal(errnoOf(error), "ECONNRESET");
        await recorder.until(() => recorder.has("close"));
        assert.equal(recorder.error, undefined);
      });
    }

    it("hands a socket with the bytes already read to a TLS server", async () => {
      const { accepted, dialled } = await socketPair();
      const transport = transportOf(accepted);
      const tlsServer = createTlsServer({ ...serverTls, allowHalfOpen: true });
      const secured = once(tlsServer, "secureConnection");
      const client = track(tlsConnect({ ...clientTls, socket: dialled }));
      const peek = new Recorder();
      peek.onChunk = () => transport.pause();
      transport.attach(peek);
      await peek.until(() => peek.length > 0);
      tlsServer.emit("connection", transport.releaseSocket(Buffer.concat(peek.chunks)));
      await once(client, "secureConnect");
      // The listener's argument, by Node's documentation.
      const [server] = (await secured) as [TLSSocket];
      track(server).pause();
      const above = transportOf(server);
      const recorder = new Recorder();
      above.attach(recorder);
      const sent = randomBytes(3 * MIB);
      client.end(sent);
      await recorder.until(() => recorder.has("end"));
      assert.equal(Buffer.compare(Buffer.concat(recorder.chunks), sent), 0);
      above.end();
      client.resume();
      await recorder.until(() => recorder.has("close"));
      assert.deepEqual(peek.events, ["bytes"]);
      assert.equal(above.peerAddr.port, transport.peerAddr.port);
    });

    it("refuses to hand over a socket whose peer has finished", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const recorder = new Recorder();
      transport.attach(recorder);
      peer.end();
      peer.resume();
      await recorder.until(() => recorder.has("end"));
      assert.throws(() => transport.releaseSocket(Buffer.alloc(0)), {
        code: "io",
        message: /closed by the peer/,
      });
      await once(peer, "close");
    });
  });
}
