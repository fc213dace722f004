import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { acceptKey, encodeFrame, FrameReader, TEXT_FRAME } from "../../../src/cli/demo/web-socket.ts";

test("the accepting key is the one of RFC 6455 section 1.3", () => {
  assert.equal(acceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
});

test("frames are the ones of RFC 6455 section 5.7", () => {
  const hello = Buffer.from("Hello");
  const mask = Buffer.from("37fa213d", "hex");
  assert.equal(encodeFrame(TEXT_FRAME, hello).toString("hex"), "810548656c6c6f");
  assert.equal(encodeFrame(TEXT_FRAME, hello, mask).toString("hex"), "818537fa213d7f9f4d5158");
});

test("frames are read whole however their bytes are split", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 125 }), { maxLength: 5 }),
      fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 })),
      fc.integer({ min: 1, max: 40 }),
      (payloads, mask, step) => {
        const frames = payloads.map((payload) =>
          encodeFrame(TEXT_FRAME, Buffer.from(payload), mask === null ? undefined : Buffer.from(mask)),
        );
        const bytes = Buffer.concat(frames);
        const reader = new FrameReader();
        const read: Buffer[] = [];
        for (let at = 0; at < bytes.length; at += step) {
          read.push(...reader.push(bytes.subarray(at, at + step)).map(({ payload }) => payload));
        }
        assert.deepEqual(
          read,
          payloads.map((payload) => Buffer.from(payload)),
        );
      },
    ),
  );
});

test("a frame in parts or a long one is refused", () => {
  assert.throws(() => new FrameReader().push(Buffer.from("010548656c6c6f", "hex")), RangeError);
  assert.throws(() => new FrameReader().push(Buffer.from("817e0100", "hex")), RangeError);
  assert.throws(() => encodeFrame(TEXT_FRAME, Buffer.alloc(126)), RangeError);
});
