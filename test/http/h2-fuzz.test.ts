import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { answer, arbitraryScript, arbitrarySizes, framesOf, serve } from "../support/h2-scripts.ts";

test("a server survives any frames, ends each exchange once, and does not mind how the bytes are cut", () => {
  fc.assert(
    fc.property(arbitraryScript, arbitrarySizes, (steps, sizes) => {
      const frames = framesOf(steps, true);
      // Cut into reads as large as the whole: what the peer hears and the service sees is the same.
      assert.deepEqual(serve(frames, sizes), serve(frames, [1 << 20]));
    }),
    { numRuns: 300 },
  );
});

test("a client survives any frames, and ends each exchange once", () => {
  fc.assert(
    fc.property(arbitraryScript, arbitrarySizes, fc.integer({ min: 0, max: 4 }), (steps, sizes, canceled) => {
      answer(framesOf(steps, false), sizes, canceled);
    }),
    { numRuns: 300 },
  );
});

test("a server survives any bytes after the preface", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), arbitrarySizes, (bytes, sizes) => {
      serve([Buffer.from(bytes)], sizes);
    }),
    { numRuns: 300 },
  );
});
