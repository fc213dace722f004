import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { continuationsMax, FrameReader, type FrameHandler } from "../../../src/wire/http2/frame-reader.ts";
import { frameHeaderBlock, continuationRoom } from "../../../src/wire/http2/frame-writer.ts";
import { frameBytes } from "../../support/h2-raw-peer.ts";

/** Notes every event in words; neighbouring ranges of one frame are joined, as their cut is the reader's choice. */
class Notes implements FrameHandler {
  readonly events: string[] = [];
  #data = "";

  onDataFrame(id: number, flow: number, pad: number, end: boolean): void {
    this.events.push(`data ${id} ${flow} ${pad} ${end}`);
  }

  onDataRange(buffer: Buffer, start: number, end: number, last: boolean): void {
    this.#data += buffer.toString("hex", start, end);
    if (!last) return;
    this.events.push(`content ${this.#data}`);
    this.#data = "";
  }

  onHeaderBlock(id: number, end: boolean, self: boolean, buffer: Buffer, start: number, to: number): void {
    this.events.push(`headers ${id} ${end} ${self} ${buffer.toString("hex", start, to)}`);
  }

  onFrame(type: number, flags: number, id: number, buffer: Buffer, start: number, end: number): void {
    this.events.push(`frame ${type} ${flags} ${id} ${buffer.toString("hex", start, end)}`);
  }

  onReadError(code: number, problem: string): void {
    this.events.push(`error ${code} ${problem}`);
  }
}

/** Reads the bytes cut at the given sizes in turn, from a buffer that is overwritten after each read. */
function read(bytes: Buffer, sizes: readonly number[]): string[] {
  const notes = new Notes();
  const reader = new FrameReader(notes, continuationsMax(65_536));
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.min(bytes.length - at, sizes[i % sizes.length] ?? bytes.length);
    const piece = Buffer.concat([Buffer.alloc(3), bytes.subarray(at, at + size)]);
    reader.read(piece, 3, piece.length);
    piece.fill(0xdb);
    at += size;
  }
  return notes.events;
}

const frame = fc
  .tuple(
    fc.oneof(fc.constantFrom(0, 0, 1, 9), fc.integer({ min: 0, max: 12 })),
    fc.oneof(fc.constantFrom(0, 1, 4, 5, 8, 9, 0xc, 0x2d), fc.integer({ min: 0, max: 255 })),
    fc.integer({ min: 0, max: 3 }),
    fc.uint8Array({ maxLength: 60 }),
  )
  .map(([type, flags, id, payload]) => frameBytes(type, flags, id, Buffer.from(payload)));

test("gives the same events however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 }),
      (frames, sizes) => {
        const bytes = Buffer.concat(frames);
        const whole = read(bytes, [bytes.length]);
        assert.deepEqual(read(bytes, sizes), whole);
        assert.deepEqual(read(bytes, [1]), whole);
      },
    ),
    { numRuns: 1000 },
  );
});

test("takes any bytes without throwing, and stops at the first error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const events = read(Buffer.from(bytes), [7]);
      const error = events.findIndex((event) => event.startsWith("error"));
      assert.ok(error === -1 || error === events.length - 1);
    }),
  );
});

test("joins a header block over CONTINUATION", () => {
  const bytes = Buffer.concat([
    frameBytes(1, 1, 5, Buffer.from("aa", "hex")),
    frameBytes(9, 0, 5, Buffer.from("bb", "hex")),
    frameBytes(9, 4, 5, Buffer.from("cc", "hex")),
  ]);
  assert.deepEqual(read(bytes, [1000]), ["headers 5 true false aabbcc"]);
});

test("takes five CONTINUATION frames and not six, for the default list", () => {
  const start = frameBytes(1, 0, 1, Buffer.of(1));
  const more = Array.from({ length: 4 }, () => frameBytes(9, 0, 1, Buffer.of(2)));
  const last = frameBytes(9, 4, 1, Buffer.of(3));
  assert.deepEqual(read(Buffer.concat([start, ...more, last]), [1000]), [
    "headers 1 false false 010202020203",
  ]);
  assert.deepEqual(read(Buffer.concat([start, ...more, frameBytes(9, 0, 1, Buffer.of(2)), last]), [1000]), [
    "error 11 too_many_continuations",
  ]);
  assert.equal(continuationsMax(65_536), 5);
  assert.equal(continuationsMax(1 << 20), 80);
});

test("refuses a frame that is too long before its payload comes", () => {
  assert.deepEqual(read(Buffer.from("004001000000000001", "hex"), [9]), ["error 6 frame of 16385 bytes"]);
});

test("a block that was cut into frames is read as it was", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 1, max: 6 }), (length, frames) => {
      const frameMax = Math.max(1, Math.ceil(length / frames));
      if (frameMax > 16_384) return;
      const content = Buffer.alloc(length, "0123456789");
      const buffer = Buffer.alloc(4 + length + continuationRoom(length, frameMax), 0xdb);
      content.copy(buffer, 4 + 9);
      const end = frameHeaderBlock(buffer, 4, 4 + 9 + length, 7, true, frameMax);
      assert.ok(end <= buffer.length);
      assert.deepEqual(read(buffer.subarray(4, end), [5000]), [
        `headers 7 true false ${content.toString("hex")}`,
      ]);
    }),
    { numRuns: 50 },
  );
});
