import assert from "node:assert/strict";
import {
  requestHeadBytes,
  responseHeadBytes,
  writeRequestHead,
  writeResponseHead,
} from "../../../src/http/h2-head-writer.ts";
import type { RequestHead, ResponseHead } from "../../../src/http/message.ts";
import type { HeaderField } from "../../../src/wire/header-field.ts";
import { BlockResult, HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from "../../../src/wire/http2/frame.ts";
import { continuationRoom, frameHeaderBlock } from "../../../src/wire/http2/frame-writer.ts";
import { H2_FRAME_BYTES, HPACK_TABLE_BYTES } from "../../../src/wire/limits.ts";
import { LIMITS, lines } from "./sample-fields.ts";

/** Heads as frames at the start of a buffer, in the steps in which a connection writes them. */
export class HeadOutput {
  readonly buffer = Buffer.alloc(64 * 1_024);
  readonly #encoder = new HpackEncoder(HPACK_TABLE_BYTES);
  /** Follows the encoder's table from the first head on, as only first heads insert fields. */
  readonly #decoder = new HpackDecoder(HPACK_TABLE_BYTES);

  /** @returns the end of the frame. */
  request(head: RequestHead, streamId: number): number {
    this.#reserve(requestHeadBytes(head));
    const from = this.#encoder.begin(this.buffer, FRAME_HEADER_BYTES);
    return this.#frame(writeRequestHead(this.#encoder, this.buffer, from, head), streamId);
  }

  response(head: ResponseHead, streamId: number): number {
    this.#reserve(responseHeadBytes(head));
    const from = this.#encoder.begin(this.buffer, FRAME_HEADER_BYTES);
    return this.#frame(writeResponseHead(this.#encoder, this.buffer, from, head), streamId);
  }

  #reserve(fieldBytes: number): void {
    const worst = this.#encoder.worstCase(fieldBytes);
    assert.ok(worst + continuationRoom(worst, H2_FRAME_BYTES) <= this.buffer.length);
  }

  #frame(end: number, streamId: number): number {
    return frameHeaderBlock(this.buffer, 0, end, streamId, false, H2_FRAME_BYTES);
  }

  /**
   * That the buffer holds, up to `end`, one HEADERS frame of these fields. To be called for the first head
   * too.
   */
  assertFrame(end: number, fields: readonly HeaderField[]): void {
    assert.equal(this.buffer.readUIntBE(0, 3), end - FRAME_HEADER_BYTES);
    assert.deepEqual([...this.buffer.subarray(3, 5)], [FrameType.headers, FrameFlag.endHeaders]);
    const list: HeaderField[] = [];
    assert.equal(this.#decoder.decode(this.buffer, FRAME_HEADER_BYTES, end, list, LIMITS), BlockResult.ok);
    assert.deepEqual(lines(list), lines(fields));
  }
}
