import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  OUTPUT_BUFFER_BYTES,
  SMALL_OUTPUT_BYTES,
  OutputBuffer,
  pooledOutputBuffers,
  takeOutputBuffer,
  type BufferOwner,
} from "../../src/transport/output-buffer.ts";
import { poisonFreedBuffers } from "../../src/transport/poison.ts";

class Owner implements BufferOwner {
  readonly written: OutputBuffer[] = [];
  onWritten(buffer: OutputBuffer): void {
    this.written.push(buffer);
  }
}

describe("OutputBuffer", () => {
  it("goes from free to filling to in flight and back", () => {
    const owner = new Owner();
    const buffer = new OutputBuffer(16);
    assert.equal(buffer.state, "free");
    buffer.take(owner);
    assert.equal(buffer.state, "filling");
    buffer.writing();
    buffer.depart();
    assert.equal(buffer.state, "in_flight");
    buffer.written();
    assert.deepEqual(owner.written, [buffer]);
    buffer.free();
    assert.equal(buffer.state, "free");
  });

  it("does not end a flight on the callback of an older write", () => {
    const owner = new Owner();
    const buffer = takeOutputBuffer(16, false, owner);
    // The kernel took the first write at once; its callback is still to come when the buffer is given back.
    buffer.writing();
    buffer.free();
    assert.throws(() => buffer.take(owner), /before its last write was reported/);
    const other = takeOutputBuffer(16, false, owner);
    assert.notEqual(other, buffer);
    const pooled = pooledOutputBuffers();
    buffer.written();
    assert.equal(pooledOutputBuffers(), pooled + 1);
    assert.equal(takeOutputBuffer(16, false, owner), buffer);
    assert.deepEqual(owner.written, []);
  });

  it("is not freed while it is in flight", () => {
    const buffer = new OutputBuffer(16);
    buffer.take(new Owner());
    buffer.writing();
    buffer.depart();
    assert.throws(() => buffer.free(), /freed in flight/);
  });

  it("refuses every transition that its state does not allow", () => {
    const owner = new Owner();
    const buffer = new OutputBuffer(16);
    assert.throws(() => buffer.free(), /freed twice/);
    assert.throws(() => buffer.writing(), /is free where it must be filling/);
    assert.throws(() => buffer.depart(), /is free where it must be filling/);
    assert.throws(() => buffer.written(), /too often/);
    buffer.take(owner);
    assert.throws(() => buffer.take(owner), /is filling where it must be free/);
    buffer.writing();
    buffer.depart();
    assert.throws(() => buffer.take(owner), /is in_flight where it must be free/);
    assert.throws(() => buffer.writing(), /is in_flight where it must be filling/);
  });

  it("is poisoned when freed, if that is switched on", () => {
    poisonFreedBuffers(true);
    const buffer = takeOutputBuffer(10, false, new Owner());
    buffer.bytes.write("secret");
    buffer.free();
    poisonFreedBuffers(false);
    assert.ok(buffer.bytes.every((byte) => byte === 0xdb));
  });

  for (const [size, more, bytes] of [
    [10, false, SMALL_OUTPUT_BYTES],
    [SMALL_OUTPUT_BYTES, false, SMALL_OUTPUT_BYTES],
    [SMALL_OUTPUT_BYTES + 1, false, OUTPUT_BUFFER_BYTES],
    [10, true, OUTPUT_BUFFER_BYTES],
    [OUTPUT_BUFFER_BYTES, true, OUTPUT_BUFFER_BYTES],
  ] as const) {
    it(`for ${size} bytes ${more ? "and more " : ""}is one of ${bytes}, and is reused`, () => {
      const owner = new Owner();
      const pooled = takeOutputBuffer(size, more, owner);
      assert.equal(pooled.bytes.length, bytes);
      const before = pooledOutputBuffers();
      pooled.free();
      assert.equal(pooledOutputBuffers(), before + 1);
      assert.equal(takeOutputBuffer(size, more, owner), pooled);
      pooled.free();
    });
  }

  it("is left to the collector if it was made to measure", () => {
    const owner = new Owner();
    const before = pooledOutputBuffers();
    const large = takeOutputBuffer(OUTPUT_BUFFER_BYTES + 1, false, owner);
    assert.equal(large.bytes.length, OUTPUT_BUFFER_BYTES + 1);
    large.free();
    assert.equal(pooledOutputBuffers(), before);
  });
});
