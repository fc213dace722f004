import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, it } from "node:test";
import { connect as tlsConnect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { detectTls } from "../../src/detect/detect-tls.ts";
import { useReadMode } from "../../src/transport/shared-reads.ts";
import { transportOf } from "../../src/transport/socket-transport.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { clientTls, loopback, serverTls, socketPair, track } from "../transport/loopback.ts";
import { Recorder } from "../transport/recorder.ts";

for (const mode of ["onread", "data"] as const) {
  describe(`detectTls, reading by ${mode}`, () => {
    before(() => useReadMode(mode));

    it("names what the client asks for, and the handshake goes on from there", async () => {
      const { accepted, dialled } = await socketPair();
      const transport = transportOf(accepted);
      const client = track(tlsConnect({ ...clientTls, ALPNProtocols: ["h2"], socket: dialled }));
      const detected = await detectTls(transport, new FakeClock(), 1000);
      assert.ok(detected.kind === "sni");
      assert.equal(detected.name, "test.example.com");
      assert.deepEqual(detected.alpn, ["h2"]);

      const tlsServer = createTlsServer({ ...serverTls, ALPNProtocols: ["h2"], allowHalfOpen: true });
      const secured = once(tlsServer, "secureConnection");
      tlsServer.emit("connection", transport.releaseSocket(detected.prefix));
      await once(client, "secureConnect");
      assert.equal(client.alpnProtocol, "h2");
      // The listener's argument, by Node's documentation.
      const [server] = (await secured) as [TLSSocket];
      const recorder = new Recorder();
      transportOf(track(server)).attach(recorder);
      client.write("through");
      await recorder.until(() => recorder.text === "through");
    });

    it("passes on plain text and everything else that is no ClientHello", async () => {
      for (const text of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01 but then something else", "\x00"]) {
        const { transport, peer } = await loopback("an accepted TCP socket");
        peer.write(text, "latin1");
        const detected = await detectTls(transport, new FakeClock(), 1000);
        assert.ok(detected.kind === "none");
        assert.equal(detected.prefix.toString("latin1"), text);
      }
    });

    it("takes a client that ends before it has said enough for one without TLS", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      peer.end("\x16\x03", "latin1");
      const detected = await detectTls(transport, new FakeClock(), 1000);
      assert.ok(detected.kind === "none");
      assert.deepEqual([...detected.prefix], [0x16, 3]);
    });

    it("runs out of time over silence", async () => {
      const { transport } = await loopback("an accepted TCP socket");
      const clock = new FakeClock();
      const detecting = detectTls(transport, clock, 10_000);
      clock.advance(10_000);
      assert.deepEqual(await detecting, { kind: "timeout", prefix: Buffer.alloc(0) });
    });

    it("reports a connection that breaks", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      peer.resetAndDestroy();
      const detected = await detectTls(transport, new FakeClock(), 1000);
      assert.ok(detected.kind === "closed");
      assert.equal(detected.error?.code, "io");
    });
  });
}
