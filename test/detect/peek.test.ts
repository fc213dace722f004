import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, it } from "node:test";
import { readPrefix, type PrefixRead } from "../../src/detect/peek.ts";
import { replay } from "../../src/transport/replay.ts";
import { useReadMode } from "../../src/transport/shared-reads.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { loopback, roundTrip, type Loopback } from "../transport/loopback.ts";
import { Recorder } from "../transport/recorder.ts";

/** Decides with the first line, without its end. */
function firstLine(bytes: Buffer): string | undefined {
  const end = bytes.indexOf("\n");
  return end < 0 ? undefined : bytes.toString("latin1", 0, end);
}

/** Sends pieces so that each is read alone: the decider tells when one has arrived. */
async function peekInPieces(
  pieces: readonly string[],
): Promise<{ read: PrefixRead<string>; loop: Loopback }> {
  const loop = await loopback("an accepted TCP socket");
  let seen = 0;
  const next = (): void => {
    const piece = pieces[seen++];
    if (piece !== undefined) loop.peer.write(piece, "latin1");
  };
  const reading = readPrefix(loop.transport, new FakeClock(), 1000, (bytes) => {
    const value = firstLine(bytes);
    if (value === undefined) next();
    return value;
  });
  next();
  return { read: await reading, loop };
}

for (const mode of ["onread", "data"] as const) {
  describe(`readPrefix, reading by ${mode}`, () => {
    before(() => useReadMode(mode));

    it("gathers pieces until they decide and leaves the transport paused", async () => {
      const { read, loop } = await peekInPieces("one by one\nand more".split(""));
      assert.ok(read.kind === "decided");
      assert.equal(read.value, "one by one");
      assert.equal(read.prefix.toString(), "one by one\n");
      const later = new Recorder();
      loop.transport.attach(later);
      await new Promise<void>((resolve) => loop.peer.write("later", () => resolve()));
      await roundTrip();
      assert.equal(later.length, 0);
      replay(loop.transport, later, read.prefix);
      await later.until(() => later.text.endsWith("later"));
      assert.equal(later.text, "one by one\nlater");
    });

    it("hands over what came with the deciding bytes", async () => {
      const { read, loop } = await peekInPieces(["hel", "lo\nbody"]);
      assert.equal(read.prefix.toString(), "hello\nbody");
      const next = new Recorder();
      replay(loop.transport, next, read.prefix);
      loop.peer.end(" tail");
      await next.until(() => next.has("end"));
      assert.equal(next.text, "hello\nbody tail");
    });

    it("keeps a handler paused that pauses on the prefix", async () => {
      const { read, loop } = await peekInPieces(["x\n"]);
      const next = new Recorder();
      next.onChunk = () => loop.transport.pause();
      replay(loop.transport, next, read.prefix);
      await new Promise<void>((resolve) => loop.peer.write("more", () => resolve()));
      await roundTrip();
      assert.equal(next.text, "x\n");
      loop.transport.resume();
      await next.until(() => next.text === "x\nmore");
    });

    it("gives up after its time with what it has", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const clock = new FakeClock();
      let looked = (): void => {};
      const arrived = new Promise<void>((resolve) => (looked = resolve));
      const reading = readPrefix(transport, clock, 10_000, (bytes) => {
        looked();
        return firstLine(bytes);
      });
      peer.write("half a li");
      await arrived;
      clock.advance(9999);
      clock.advance(1);
      const read = await reading;
      assert.equal(read.kind, "timeout");
      assert.equal(read.prefix.toString(), "half a li");
      const next = new Recorder();
      replay(transport, next, read.prefix);
      peer.end("ne");
      await next.until(() => next.has("end"));
      assert.equal(next.text, "half a line");
    });

    it("tells an early end apart, and the next handler hears of it too", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const clock = new FakeClock();
      const reading = readPrefix(transport, clock, 1000, firstLine);
      peer.end("short");
      const read = await reading;
      assert.equal(read.kind, "ended");
      assert.equal(clock.timers, 0);
      const next = new Recorder();
      replay(transport, next, read.prefix);
      await next.until(() => next.has("end"));
      assert.equal(next.text, "short");
      const reply: Buffer[] = [];
      peer.on("data", (chunk: Buffer) => reply.push(chunk));
      transport.writeLatin1("still answered");
      transport.end();
      await once(peer, "end");
      assert.equal(Buffer.concat(reply).toString(), "still answered");
    });

    it("reports a connection that breaks, with the error", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const clock = new FakeClock();
      const reading = readPrefix(transport, clock, 1000, firstLine);
      peer.resetAndDestroy();
      const read = await reading;
      assert.ok(read.kind === "closed");
      assert.equal(read.error?.code, "io");
      assert.equal(clock.timers, 0);
    });

    it("stops when its signal says so, before or while it looks", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const controller = new AbortController();
      const { signal } = controller;
      const reading = readPrefix(transport, new FakeClock(), 1000, firstLine, { signal });
      controller.abort();
      assert.equal((await reading).kind, "stopped");
      const again = await readPrefix(transport, new FakeClock(), 1000, firstLine, {
        signal,
        initial: Buffer.from("kept"),
      });
      assert.equal(again.kind, "stopped");
      const next = new Recorder();
      replay(transport, next, again.prefix);
      peer.end("!");
      await next.until(() => next.has("end"));
      assert.equal(next.text, "kept!");
    });

    it("judges bytes from an earlier look first, and without reading if they decide", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const initial = Buffer.from("known\n");
      const first = await readPrefix(transport, new FakeClock(), 1000, firstLine, { initial });
      assert.ok(first.kind === "decided" && first.value === "known");
      const second = readPrefix(transport, new FakeClock(), 1000, firstLine, {
        initial: Buffer.from("half "),
      });
      peer.write("line\n");
      const read = await second;
      assert.ok(read.kind === "decided");
      assert.equal(read.value, "half line");
      assert.equal(read.prefix.toString(), "half line\n");
    });

    it("ends a connection for which a decider never stops asking", async () => {
      const { transport, peer } = await loopback("an accepted TCP socket");
      const reading = readPrefix(transport, new FakeClock(), 1000, () => undefined);
      peer.on("error", () => {});
      peer.write(Buffer.alloc(300 * 1024));
      const read = await reading;
      assert.ok(read.kind === "closed");
      assert.equal(read.error?.code, "unexpected");
    });
  });
}
