import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { before, describe, it } from "node:test";
import { ProxyError } from "../../src/errors/proxy-error.ts";
import { forward, type Forward, type ForwardEnd } from "../../src/transport/forward.ts";
import { OUTPUT_BOUND_BYTES } from "../../src/transport/output.ts";
import { useReadMode } from "../../src/transport/shared-reads.ts";
import type { SocketTransport } from "../../src/transport/socket-transport.ts";
import { loopback } from "./loopback.ts";

const MIB = 1024 * 1024;
const SHARED_READ_BYTES = 64 * 1024;

interface Tunnel {
  /** The far ends: what the client and the server of the tunnel hold. */
  readonly client: Socket;
  readonly server: Socket;
  readonly transports: readonly [SocketTransport, SocketTransport];
  readonly forward: Forward;
  readonly ended: Promise<ForwardEnd>;
}

async function tunnel(prefix = "", tls = false): Promise<Tunnel> {
  const a = await loopback("an accepted TCP socket");
  const b = await loopback(tls ? "the client side of TLS" : "an accepted TCP socket");
  const { promise, resolve } = Promise.withResolvers<ForwardEnd>();
  let ends = 0;
  const running = forward(a.transport, b.transport, Buffer.from(prefix), (end) => {
    assert.equal(++ends, 1);
    resolve(end);
  });
  return {
    client: a.peer,
    server: b.peer,
    transports: [a.transport, b.transport],
    forward: running,
    ended: promise,
  };
}

/** Sends `chunks` MiB of noise and finishes; gives the checksum. */
async function send(socket: Socket, chunks: number): Promise<string> {
  const hash = createHash("sha256");
  const noise = randomBytes(MIB);
  for (let i = 0; i < chunks; i++) {
    noise.writeUInt32LE(i, i * 4096);
    const chunk = Buffer.from(noise);
    hash.update(chunk);
    if (!socket.write(chunk)) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

/** Reads to the end, pausing for a turn after every `everyBytes`. */
async function receive(socket: Socket, everyBytes: number): Promise<string> {
  const hash = createHash("sha256");
  let since = 0;
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    since += chunk.length;
    if (since < everyBytes) return;
    since = 0;
    socket.pause();
    setImmediate(() => socket.resume());
  });
  await once(socket, "end");
  return hash.digest("hex");
}

for (const mode of ["onread", "data"] as const) {
  for (const tls of [false, true]) {
    describe(`forward ${tls ? "into TLS" : "over TCP"}, reading by ${mode}`, () => {
      before(() => useReadMode(mode));

      it("carries 20 MiB each way at once, byte for byte, to slow readers", async () => {
        const { client, server, ended } = await tunnel("", tls);
        const [sentUp, sentDown, up, down] = await Promise.all([
          send(client, 20),
          send(server, 20),
          receive(server, 300_000),
          receive(client, 1_000_000),
        ]);
        assert.equal(up, sentUp);
        assert.equal(down, sentDown);
        assert.deepEqual(await ended, { error: undefined, by: undefined });
      });

      it("sends the prefix before everything else", async () => {
        const { client, server } = await tunnel("first ", tls);
        client.end("second");
        const received: Buffer[] = [];
        server.on("data", (chunk: Buffer) => received.push(chunk));
        await once(server, "end");
        assert.equal(Buffer.concat(received).toString(), "first second");
        server.end();
        client.resume();
      });

      it("keeps the other direction open after one end", async () => {
        const { client, server, ended } = await tunnel("", tls);
        client.end("request");
        server.resume();
        await once(server, "end");
        const [sent, received] = await Promise.all([send(server, 10), receive(client, 500_000)]);
        assert.equal(received, sent);
        assert.deepEqual(await ended, { error: undefined, by: undefined });
      });

      it("stops the sender while the receiver does not read, and loses nothing", async () => {
        const { client, server, transports } = await tunnel("", tls);
        const sending = send(client, 12);
        const [from, to] = transports;
        // Nobody reads at the far end: sooner or later the reading side stands still.
        let before = -1;
        while (from.bytesRead !== before || !to.blocked) {
          before = from.bytesRead;
          for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
        }
        assert.ok(from.bytesRead < 12 * MIB);
        assert.ok(to.waitingBytes <= OUTPUT_BOUND_BYTES + SHARED_READ_BYTES, String(to.waitingBytes));
        assert.equal(await receive(server, MIB), await sending);
        server.end();
        client.resume();
      });
    });
  }
}

describe("forward", () => {
  before(() => useReadMode("onread"));

  for (const side of ["client", "server"] as const) {
    it(`passes a reset by the ${side} on as a reset`, async () => {
      const { client, server, ended } = await tunnel();
      const [breaking, other] = side === "client" ? [client, server] : [server, client];
      other.resume();
      breaking.resetAndDestroy();
      // Node's documentation gives an error event the error.
      const [error] = (await once(other, "error")) as [Error & { code: string }];
      assert.equal(error.code, "ECONNRESET");
      const end = await ended;
      assert.equal(end.by, side);
      assert.equal(end.error?.code, "io");
    });
  }

  it("resets both sides when it is aborted, and says why", async () => {
    const { client, server, forward, ended } = await tunnel();
    client.resume();
    server.resume();
    const errors = [once(client, "error"), once(server, "error")];
    const why = new ProxyError("unauthorized", "the policy has changed");
    forward.abort(why);
    assert.deepEqual(await ended, { error: why, by: "proxy" });
    await Promise.all(errors);
  });

  it("ends when one side is gone before it begins", async () => {
    const a = await loopback("an accepted TCP socket");
    const b = await loopback("an accepted TCP socket");
    b.peer.on("error", () => {});
    a.transport.destroy();
    const end = await new Promise<ForwardEnd>((resolve) => {
      forward(a.transport, b.transport, Buffer.from("lost"), resolve);
    });
    assert.deepEqual(end, { error: undefined, by: "client" });
    assert.equal(b.transport.destroyed, true);
  });
});
