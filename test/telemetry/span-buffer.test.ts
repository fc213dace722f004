import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BATCH_BYTES, BATCH_SPANS, SpanBuffer, WAITING_SPANS } from "../../src/telemetry/span-buffer.ts";

const span = (bytes = 10): Uint8Array => new Uint8Array(bytes);

/** How many spans of that size there is room for. */
function fill(buffer: SpanBuffer, bytes = 10): number {
  let taken = 0;
  for (; !buffer.isFull; taken++) buffer.add(span(bytes));
  return taken;
}

describe("the spans that wait for the collector", () => {
  it("inbound 10: are a batch of a thousand, and a hundred more", () => {
    const buffer = new SpanBuffer();
    assert.ok(buffer.isEmpty && !buffer.hasFullBatch);
    for (let i = 0; i < BATCH_SPANS; i++) buffer.add(span());
    assert.ok(buffer.hasFullBatch && !buffer.isFull);
    assert.equal(fill(buffer), WAITING_SPANS);
    assert.equal(buffer.take().length, BATCH_SPANS);
    assert.ok(!buffer.isEmpty && !buffer.hasFullBatch);
    assert.equal(buffer.take().length, WAITING_SPANS);
    assert.ok(buffer.isEmpty);
    assert.deepEqual(buffer.take(), []);
  });

  it("are fewer where they are large, so that collectors take the message", () => {
    const buffer = new SpanBuffer();
    const large = 100_000;
    const held = fill(buffer, large);
    const first = buffer.take();
    assert.equal(first.length, Math.floor(BATCH_BYTES / large));
    const sizes = [first, buffer.take(), buffer.take(), buffer.take(), buffer.take()];
    assert.equal(sizes.flat().length, held);
    for (const batch of sizes) assert.ok(batch.length * large <= BATCH_BYTES);
  });

  it("keep their order, also where a small one would fit beside a large one", () => {
    const buffer = new SpanBuffer();
    const [big, bigger, small] = [span(BATCH_BYTES - 10), span(20), span(1)];
    for (const one of [big, bigger, small]) buffer.add(one);
    assert.deepEqual(buffer.take(), [big]);
    assert.deepEqual(buffer.take(), [bigger, small]);
  });

  it("take one that is larger than a batch alone", () => {
    const buffer = new SpanBuffer();
    const huge = span(BATCH_BYTES + 1);
    buffer.add(huge);
    buffer.add(span());
    assert.deepEqual(buffer.take(), [huge]);
  });
});
