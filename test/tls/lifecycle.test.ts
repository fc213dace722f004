import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { describe, it } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { errnoOf } from "../../src/errors/from-node.ts";
import { HandshakePacer } from "../../src/tls/handshake-pacer.ts";
import { Terminator } from "../../src/tls/terminate.ts";
import { systemClock } from "../../src/time/clock.ts";
import { readMode, useReadMode } from "../../src/transport/shared-reads.ts";
import { TestCa } from "../support/certs.ts";
import { FakeClock } from "../support/fake-clock.ts";
import {
  certifiedStore,
  certify,
  DB,
  id,
  originatorOf,
  Reader,
  say,
  target,
  TerminatingListener,
  TestListener,
  WEB,
} from "./mesh-peer.ts";

/** The bytes of a real ClientHello for `DB`. */
async function clientHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  await using listener = await TestListener.open((socket) => socket.once("data", resolve).resume());
  const client = connectTls({
    host: "127.0.0.1",
    port: listener.addr.port,
    servername: DB,
    minVersion: "TLSv1.3",
  });
  client.on("error", () => {});
  const hello = await promise;
  client.destroy();
  return hello;
}

async function dial(port: number, first: Buffer): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  socket.write(first);
  await once(socket, "connect");
  return socket;
}

describe("rotation of the certificate", () => {
  it("invariant 4: leaves connections alone and serves the new certificate to new ones", async () => {
    const ca = TestCa.create();
    const db = certifiedStore(ca);
    const web = certifiedStore(ca, WEB);
    await using listener = await TerminatingListener.open(db);
    const originator = originatorOf(web);
    const [client, server] = await Promise.all([
      originator.originate(target(listener.addr)),
      listener.next(),
    ]);
    const atServer = new Reader(server.transport);
    for (let round = 0; round < 5; round++) {
      certify(db, ca.issue({ id: DB }));
      certify(web, ca.issue({ id: WEB }));
      const [fresh, freshServer] = await Promise.all([
        originator.originate(target(listener.addr)),
        listener.next(),
      ]);
      assert.deepEqual(freshServer.clientId, id(WEB));
      fresh.transport.destroy();
      say(client.transport, `round ${round}\n`);
      await atServer.waitFor(`round ${round}`);
    }
    assert.equal(client.transport.destroyed, false);
    client.transport.destroy();

    const leaf = ca.issue({ id: DB });
    certify(db, leaf);
    const probe = connectTls({ host: "127.0.0.1", port: listener.addr.port, servername: DB, ca: ca.certPem });
    probe.on("error", () => {});
    await once(probe, "secureConnect");
    assert.deepEqual(probe.getPeerX509Certificate()?.raw, leaf.leafDer);
    probe.destroy();
  });

  it("keeps the certificate in force when a new one is unusable", async () => {
    const ca = TestCa.create();
    const db = certifiedStore(ca);
    await using listener = await TerminatingListener.open(db);
    const foreign = TestCa.create().issue({ id: DB });
    assert.equal(
      db.setCertificate(foreign.leafDer, [], foreign.key, foreign.notAfterMs, Date.now()).ok,
      false,
    );
    const { transport } = await originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr));
    transport.destroy();
  });
});

describe("a connection", () => {
  for (const mode of ["data", "onread"] as const) {
    it(`loses no byte around the handshake, however late its ends are attached (reads by ${mode})`, async (t) => {
      const former = readMode();
      useReadMode(mode);
      t.after(() => useReadMode(former));
      const ca = TestCa.create();
      await using listener = await TerminatingListener.open(certifiedStore(ca));
      const client = await originatorOf(certifiedStore(ca, WEB)).originate(target(listener.addr));
      // Written at once: it arrives together with the client's last handshake message.
      const text = `${"0123456789abcdef".repeat(20_000)}end`;
      say(client.transport, text);
      const server = await listener.next();
      await new Promise(setImmediate);
      const atServer = new Reader(server.transport);
      say(server.transport, text);
      await atServer.waitFor("end");
      assert.equal(atServer.text, text);
      const atClient = new Reader(client.transport);
      await atClient.waitFor("end");
      assert.equal(atClient.text, text);
      client.transport.end();
      await Promise.all([atServer.closed(), atClient.closed()]);
    });
  }
});

describe("a terminated handshake", () => {
  it("is closed at its deadline if the client falls silent", async () => {
    const clock = new FakeClock();
    await using listener = await TerminatingListener.open(certifiedStore(TestCa.create()), "ordinary", clock);
    const socket = await dial(listener.addr.port, await clientHello());
    // The server's answer shows that the handshake is under way.
    await once(socket, "data");
    const closed = once(socket, "close");
    clock.advance(9_999);
    assert.equal(socket.destroyed, false);
    clock.advance(1);
    await assert.rejects(
      listener.next(),
      /TLS handshake with the client failed: not finished within 10000 ms/,
    );
    await closed;
    assert.equal(clock.timers, 0);
  });

  it("ends at once if the client leaves or resets", async () => {
    const clock = new FakeClock();
    await using listener = await TerminatingListener.open(certifiedStore(TestCa.create()), "ordinary", clock);
    const hello = await clientHello();
    for (const leave of [(socket: Socket) => socket.end(), (socket: Socket) => socket.resetAndDestroy()]) {
      const socket = await dial(listener.addr.port, hello);
      await once(socket, "data");
      leave(socket);
      await assert.rejects(listener.next(), ProxyError);
      socket.destroy();
    }
    assert.equal(clock.timers, 0);
  });

  it("fails on bytes that only look like TLS, with OpenSSL's reason in words", async () => {
    await using listener = await TerminatingListener.open(certifiedStore(TestCa.create()));
    const socket = await dial(listener.addr.port, Buffer.from("160301000501000001ff", "hex"));
    await assert.rejects(listener.next(), /TLS handshake with the client failed: length too short$/);
    socket.destroy();
  });

  it("takes a ClientHello that comes byte by byte after the handover", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const hello = await clientHello();
    const socket = connect({ host: "127.0.0.1", port: listener.addr.port, noDelay: true });
    for (const byte of hello.subarray(0, 64)) {
      socket.write(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    socket.write(hello.subarray(64));
    const [answer] = await once(socket, "data");
    assert.ok(Buffer.isBuffer(answer) && answer[0] === 0x16);
    socket.destroy();
    await assert.rejects(listener.next(), ProxyError);
  });

  it("gives way to newer ones when 512 are unfinished", async () => {
    const terminator = new Terminator({
      credentials: certifiedStore(TestCa.create()).credentials,
      pacer: new HandshakePacer(),
      clock: systemClock,
    });
    const hello = await clientHello();
    const ends: Promise<unknown>[] = [];
    await using listener = await TestListener.open((socket) => {
      socket.once("readable", () => {
        ends.push(terminator.terminate(socket, "ordinary", Infinity).catch((error: unknown) => error));
      });
    });
    const sockets: Socket[] = [];
    for (let i = 0; i < 513; i++) {
      const socket = await dial(listener.addr.port, hello);
      await once(socket, "data");
      sockets.push(socket);
    }
    const first = await ends[0];
    assert.ok(first instanceof ProxyError && first.code === "loadshed", String(first));
    assert.equal(await Promise.race([ends[1], Promise.resolve("open")]), "open");
    for (const socket of sockets) socket.destroy();
    await Promise.all(ends);
  });

  it("is one of many that succeed together", async () => {
    const ca = TestCa.create();
    await using listener = await TerminatingListener.open(certifiedStore(ca));
    const originator = originatorOf(certifiedStore(ca, WEB));
    const all = await Promise.all(
      Array.from({ length: 40 }, () => originator.originate(target(listener.addr))),
    );
    for (const { transport } of all) {
      assert.deepEqual((await listener.next()).clientId, id(WEB));
      transport.destroy();
    }
  });
});

describe("an originated handshake", () => {
  it("times out together with the connect", async () => {
    const clock = new FakeClock();
    const { promise: accepted, resolve } = Promise.withResolvers<Socket>();
    await using listener = await TestListener.open(resolve);
    const originated = originatorOf(certifiedStore(TestCa.create(), WEB), 1000, clock).originate(
      target(listener.addr),
    );
    const socket = await accepted;
    await once(socket.resume(), "data");
    const closed = once(socket, "end");
    clock.advance(1000);
    await assert.rejects(originated, (error: unknown) => {
      assert.ok(error instanceof ProxyError);
      assert.deepEqual([error.code, error.message], ["connect_timeout", "connect timed out after 1s"]);
      return true;
    });
    await closed;
    assert.equal(clock.timers, 0);
  });

  it("can be given up", async () => {
    const { promise: accepted, resolve } = Promise.withResolvers<Socket>();
    await using listener = await TestListener.open(resolve);
    const controller = new AbortController();
    const originated = originatorOf(certifiedStore(TestCa.create(), WEB)).originate(
      target(listener.addr),
      controller.signal,
    );
    const socket = await accepted;
    await once(socket.resume(), "data");
    controller.abort();
    await assert.rejects(
      originated,
      (error: unknown) => error instanceof ProxyError && error.code === "canceled",
    );
  });

  it("fails with the errno if nobody listens", async () => {
    const listener = await TestListener.open(() => {});
    await listener[Symbol.asyncDispose]();
    await assert.rejects(
      originatorOf(certifiedStore(TestCa.create(), WEB)).originate(target(listener.addr)),
      (error: unknown) =>
        error instanceof ProxyError && error.code === "io" && errnoOf(error) === "ECONNREFUSED",
    );
  });

  it("invariant 9, ranked 2: never falls back to clear text: a server without TLS sees a ClientHello and nothing else", async () => {
    for (const answer of ["HTTP/1.1 400 Bad Request\r\n\r\n", ""]) {
      const chunks: Buffer[] = [];
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      await using listener = await TestListener.open((socket) => {
        socket.once("data", () => socket.end(answer));
        socket
          .on("data", (chunk: Buffer) => chunks.push(chunk))
          .on("close", () => resolve())
          .resume();
      });
      await assert.rejects(
        originatorOf(certifiedStore(TestCa.create(), WEB)).originate(target(listener.addr)),
        (error: unknown) => error instanceof ProxyError && error.code === "io",
      );
      await ended;
      const received = Buffer.concat(chunks);
      const helloLength = 5 + received.readUInt16BE(3);
      assert.equal(received[0], 0x16);
      // At most an alert follows.
      const rest = received.subarray(helloLength);
      assert.ok(rest.length === 0 || rest[0] === 0x15, rest.toString("hex"));
    }
  });
});

describe("the pacer", () => {
  it("lets two handshakes begin in each turn of the event loop, in order", async () => {
    const pacer = new HandshakePacer();
    const begun: number[] = [];
    const turns = Array.from({ length: 5 }, (_, i) => pacer.turn().then(() => begun.push(i)));
    const seen: number[] = [];
    for (let turn = 0; turn < 3; turn++) {
      await new Promise(setImmediate);
      seen.push(begun.length);
    }
    await Promise.all(turns);
    assert.deepEqual(begun, [0, 1, 2, 3, 4]);
    assert.ok(
      seen.every((count, turn) => count <= 2 * (turn + 1)),
      String(seen),
    );
  });

  it("sheds load once 1024 wait", async () => {
    const pacer = new HandshakePacer();
    const waiting = Array.from({ length: 1024 }, () => pacer.turn());
    await assert.rejects(
      pacer.turn(),
      (error: unknown) => error instanceof ProxyError && error.code === "loadshed",
    );
    await Promise.all(waiting);
    await pacer.turn();
  });
});
