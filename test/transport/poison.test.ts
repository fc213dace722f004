import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { poisonFreed, poisonFreedBuffers } from "../../src/transport/poison.ts";
import { probeReadMode } from "../../src/transport/shared-reads.ts";
import { loopback } from "./loopback.ts";
import { Recorder } from "./recorder.ts";

afterEach(() => poisonFreedBuffers(false));

/** What is left after its read is over of the bytes that a connection read. */
async function leftAfterRead(): Promise<Buffer> {
  await probeReadMode();
  const { transport, peer } = await loopback("an accepted TCP socket");
  const recorder = new Recorder({ keep: false });
  let kept: Buffer = Buffer.alloc(0);
  recorder.onChunk = (buffer, start, end) => {
    kept = buffer.subarray(start, end);
    assert.equal(kept.toString(), "secret");
  };
  transport.attach(recorder);
  peer.end("secret");
  await recorder.until(() => recorder.has("end"));
  transport.destroy();
  return kept;
}

describe("poison", () => {
  it("leaves freed bytes alone until it is switched on", () => {
    const bytes = Buffer.from("secret");
    poisonFreed(bytes);
    assert.equal(bytes.toString(), "secret");
  });

  it("overwrites freed bytes, or as many of them as were used", () => {
    const bytes = Buffer.from("secret");
    poisonFreedBuffers(true);
    poisonFreed(bytes, 2);
    assert.equal(bytes.toString("latin1"), "\xdb\xdbcret");
    poisonFreed(bytes);
    assert.ok(bytes.every((byte) => byte === 0xdb));
  });

  it("overwrites what was read as soon as its reader returns", async () => {
    assert.equal((await leftAfterRead()).toString(), "secret");
    poisonFreedBuffers(true);
    assert.equal((await leftAfterRead()).toString("latin1"), "\xdb".repeat(6));
  });
});
