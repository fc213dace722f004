/**
 * Cuts a stream of bytes into frames, whatever pieces it arrives in.
 *
 * DATA passes through as ranges of the bytes that came; header blocks are joined over CONTINUATION; every other frame is
 * handed on whole. Only a frame that is not DATA and lies across two reads is copied.
 *
 * Source: RFC 9113 sections 4.1, 4.3, 6.1, 6.2 and 6.10.
 */
import { H2_CONTINUATION_FRAMES_MIN, H2_FRAME_BYTES } from "../limits.ts";
import { H2Code } from "./error-code.ts";
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, readUint31 } from "./frame.ts";

/** Receives frames. Ranges are valid during the call. Any call may end in `FrameReader.stop`. */
export interface FrameHandler {
  /** A DATA frame begins. `flowBytes` of it count against the windows, `padBytes` of those are padding. */
  onDataFrame(streamId: number, flowBytes: number, padBytes: number, endStream: boolean): void;
  /** A piece of the content of the DATA frame that began last; `last` comes once per frame, also for an empty one. */
  onDataRange(buffer: Buffer, start: number, end: number, last: boolean): void;
  /** A whole header block. `dependsOnItself` is the one priority that is an error (RFC 7540 section 5.3.1). */
  onHeaderBlock(
    streamId: number,
    endStream: boolean,
    dependsOnItself: boolean,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** Any frame but DATA, HEADERS and CONTINUATION, its payload whole. */
  onFrame(type: number, flags: number, streamId: number, buffer: Buffer, start: number, end: number): void;
  /** The bytes are not HTTP/2: the connection is over. The reader has stopped. */
  onReadError(code: H2Code, problem: string): void;
}

/** CONTINUATION frames that one block may take, for a list of `listBytes`. Source: LIM-14, as the h2 crate counts. */
export function continuationsMax(listBytes: number): number {
  return Math.max(H2_CONTINUATION_FRAMES_MIN, Math.ceil((1.25 * listBytes) / H2_FRAME_BYTES));
}

export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #continuationsMax: number;
  readonly #frameMax: number;
  #stopped = false;

  /** The frame that began last. */
  #length = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;

  /** A frame, or frame header, that lies across reads: its bytes so far. */
  #held: Buffer | undefined;
  #heldBytes = 0;

  /** What is left of a DATA frame: content, then padding; and whether its pad length byte is still to come. */
  #dataLeft = 0;
  #padLeft = 0;
  #padByteDue = false;

  /** A header block under way: its bytes so far, and what its HEADERS frame said. */
  #block: Buffer | undefined;
  #blockBytes = 0;
  #blockStreamId = 0;
  #blockEndStream = false;
  #blockDependsOnItself = false;
  #continuations = 0;

  constructor(handler: FrameHandler, continuationsMax: number, frameMax: number = H2_FRAME_BYTES) {
    this.#handler = handler;
    this.#continuationsMax = continuationsMax;
    this.#frameMax = frameMax;
  }

  /** Nothing more is read, not even of the bytes at hand. */
  stop(): void {
    this.#stopped = true;
    this.#held = undefined;
    this.#block = undefined;
  }

  read(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (!this.#stopped) {
      if (this.#padByteDue || this.#dataLeft > 0 || this.#padLeft > 0) {
        if (at === end) return;
        at = this.#readData(buffer, at, end);
        continue;
      }
      if (this.#held !== undefined) {
        at = this.#fillHeld(buffer, at, end);
        if (at < 0) return;
        continue;
      }
      if (end - at < FRAME_HEADER_BYTES) {
        if (end > at) this.#hold(buffer, at, end, FRAME_HEADER_BYTES);
        return;
      }
      if (!this.#begin(buffer, at)) return;
      if (this.#type === FrameType.data) {
        at += FRAME_HEADER_BYTES;
        this.#beginData();
        continue;
      }
      const next = at + FRAME_HEADER_BYTES + this.#length;
      if (next > end) {
        this.#hold(buffer, at, end, FRAME_HEADER_BYTES + this.#length);
        return;
      }
      this.#whole(buffer, at + FRAME_HEADER_BYTES, next);
      at = next;
    }
  }

  #error(code: H2Code, problem: string): void {
    this.stop();
    this.#handler.onReadError(code, problem);
  }

  /** Reads a frame header and checks what can be checked before the payload is there: nothing is allocated for a liar. */
  #begin(buffer: Buffer, at: number): boolean {
    this.#length = ((buffer[at] ?? 0) << 16) | ((buffer[at + 1] ?? 0) << 8) | (buffer[at + 2] ?? 0);
    this.#type = buffer[at + 3] ?? 0;
    this.#flags = buffer[at + 4] ?? 0;
    this.#streamId = readUint31(buffer, at + 5);
    if (this.#length > this.#frameMax) {
      this.#error(H2Code.frameSizeError, `frame of ${this.#length} bytes`);
      return false;
    }
    if (
      this.#block !== undefined &&
      (this.#type !== FrameType.continuation || this.#streamId !== this.#blockStreamId)
    ) {
      this.#error(H2Code.protocolError, "header block interrupted");
      return false;
    }
    return true;
  }

  // ---- DATA

  #beginData(): void {
    if (this.#streamId === 0) return this.#error(H2Code.protocolError, "DATA on stream 0");
    if ((this.#flags & FrameFlag.padded) !== 0) {
      if (this.#length === 0) return this.#error(H2Code.frameSizeError, "padded DATA without pad length");
      this.#padByteDue = true;
      return;
    }
    this.#dataLeft = this.#length;
    this.#announceData(0);
  }

  #announceData(padBytes: number): void {
    const handler = this.#handler;
    handler.onDataFrame(this.#streamId, this.#length, padBytes, (this.#flags & FrameFlag.endStream) !== 0);
    // Without content there is no range to come that would end the frame.
    if (this.#dataLeft === 0 && !this.#stopped) handler.onDataRange(EMPTY, 0, 0, true);
  }

  #readData(buffer: Buffer, at: number, end: number): number {
    if (this.#padByteDue) {
      const pad = buffer[at] ?? 0;
      this.#padByteDue = false;
      if (pad >= this.#length) {
        this.#error(H2Code.protocolError, "DATA padding exceeds its frame");
        return at;
      }
      this.#dataLeft = this.#length - 1 - pad;
      this.#padLeft = pad;
      this.#announceData(pad + 1);
      return at + 1;
    }
    if (this.#dataLeft > 0) {
      const to = Math.min(end, at + this.#dataLeft);
      this.#dataLeft -= to - at;
      this.#handler.onDataRange(buffer, at, to, this.#dataLeft === 0);
      return to;
    }
    const to = Math.min(end, at + this.#padLeft);
    this.#padLeft -= to - at;
    return to;
  }

  // ---- frames that lie across reads

  #hold(buffer: Buffer, start: number, end: number, size: number): void {
    // Not from the pool: a slice there would keep 8 KiB alive for a few bytes of an idle connection.
    const held = Buffer.allocUnsafeSlow(size);
    buffer.copy(held, 0, start, end);
    this.#held = held;
    this.#heldBytes = end - start;
  }

  /** Adds to the held frame. Returns where reading goes on, or -1 if the bytes are used up. */
  #fillHeld(buffer: Buffer, start: number, end: number): number {
    const held = this.#held;
    if (held === undefined) return start;
    const to = Math.min(end, start + held.length - this.#heldBytes);
    buffer.copy(held, this.#heldBytes, start, to);
    this.#heldBytes += to - start;
    if (this.#heldBytes < held.length) return -1;
    this.#held = undefined;
    if (held.length > FRAME_HEADER_BYTES) {
      this.#whole(held, FRAME_HEADER_BYTES, held.length);
      return to;
    }
    if (!this.#begin(held, 0)) return to;
    if (this.#type === FrameType.data) this.#beginData();
    else if (this.#length === 0) this.#whole(held, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES);
    else if (end - to >= this.#length) {
      this.#whole(buffer, to, to + this.#length);
      return to + this.#length;
    } else this.#hold(held, 0, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + this.#length);
    return to;
  }

  // ---- whole frames

  #whole(buffer: Buffer, start: number, end: number): void {
    if (this.#type === FrameType.headers) this.#headers(buffer, start, end);
    else if (this.#type === FrameType.continuation) this.#continuation(buffer, start, end);
    else this.#handler.onFrame(this.#type, this.#flags, this.#streamId, buffer, start, end);
  }

  #headers(buffer: Buffer, start: number, end: number): void {
    const flags = this.#flags;
    const streamId = this.#streamId;
    if (streamId === 0) return this.#error(H2Code.protocolError, "HEADERS on stream 0");
    let from = start;
    let to = end;
    let dependsOnItself = false;
    if ((flags & FrameFlag.padded) !== 0) {
      to -= buffer[from] ?? 0;
      from++;
    }
    if ((flags & FrameFlag.priority) !== 0) {
      dependsOnItself = from + 5 <= end && readUint31(buffer, from) === streamId;
      from += 5;
    }
    if (from > end) return this.#error(H2Code.frameSizeError, "HEADERS too short for its flags");
    if (from > to) return this.#error(H2Code.protocolError, "HEADERS padding exceeds its frame");
    const endStream = (flags & FrameFlag.endStream) !== 0;
    if ((flags & FrameFlag.endHeaders) !== 0) {
      this.#handler.onHeaderBlock(streamId, endStream, dependsOnItself, buffer, from, to);
      return;
    }
    this.#block = Buffer.allocUnsafeSlow(Math.max(2 * (to - from), H2_FRAME_BYTES / 4));
    this.#blockBytes = buffer.copy(this.#block, 0, from, to);
    this.#blockStreamId = streamId;
    this.#blockEndStream = endStream;
    this.#blockDependsOnItself = dependsOnItself;
    this.#continuations = 0;
  }

  #continuation(buffer: Buffer, start: number, end: number): void {
    let block = this.#block;
    if (block === undefined) return this.#error(H2Code.protocolError, "CONTINUATION without HEADERS");
    if (++this.#continuations > this.#continuationsMax) {
      return this.#error(H2Code.enhanceYourCalm, "too_many_continuations");
    }
    const size = this.#blockBytes + end - start;
    if (size > block.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(size, block.length * 2));
      block.copy(larger, 0, 0, this.#blockBytes);
      block = larger;
      this.#block = larger;
    }
    buffer.copy(block, this.#blockBytes, start, end);
    this.#blockBytes = size;
    if ((this.#flags & FrameFlag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#handler.onHeaderBlock(
      this.#blockStreamId,
      this.#blockEndStream,
      this.#blockDependsOnItself,
      block,
      0,
      size,
    );
  }
}

const EMPTY = Buffer.alloc(0);
