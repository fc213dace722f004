import assert from "node:assert/strict";
import { FrameFlag, FrameType } from "../../../src/wire/http2/frame.ts";
import { continuationsMax, FrameReader, type FrameHandler } from "../../../src/wire/http2/frame-reader.ts";
import { writeFrameHeader, writePing, writeWindowUpdate } from "../../../src/wire/http2/frame-writer.ts";
import { H2_FRAME_BYTES, H2_HEADER_LIST_BYTES } from "../../../src/wire/limits.ts";
import { operation, type Operation } from "../operation.ts";

const BLOCK_BYTES = 48;
const SMALL_PAIRS = 8;

const HEADERS = frame(FrameType.headers, FrameFlag.endHeaders, BLOCK_BYTES);
const DATA_1_KIB = frame(FrameType.data, FrameFlag.endStream, 1_024);

export function http2Read(): readonly Operation[] {
  return [
    read("HTTP/2 read: HEADERS and DATA of 1 KiB", [Buffer.concat([HEADERS, DATA_1_KIB])], {
      blockBytes: BLOCK_BYTES,
      dataBytes: 1_024,
      otherFrames: 0,
    }),
    read("HTTP/2 read: DATA of 16 KiB", [frame(FrameType.data, 0, H2_FRAME_BYTES)], {
      blockBytes: 0,
      dataBytes: H2_FRAME_BYTES,
      otherFrames: 0,
    }),
    read(
      "HTTP/2 read: PING or WINDOW_UPDATE",
      [smallFrames()],
      { blockBytes: 0, dataBytes: 0, otherFrames: 2 * SMALL_PAIRS },
      2 * SMALL_PAIRS,
    ),
    read("HTTP/2 read: HEADERS across two reads", [HEADERS.subarray(0, 20), HEADERS.subarray(20)], {
      blockBytes: BLOCK_BYTES,
      dataBytes: 0,
      otherFrames: 0,
    }),
  ];
}

function frame(type: number, flags: number, length: number): Buffer {
  const buffer = Buffer.alloc(9 + length, "x");
  writeFrameHeader(buffer, 0, length, type, flags, 1);
  return buffer;
}

function smallFrames(): Buffer {
  const buffer = Buffer.alloc(1_024);
  let at = 0;
  for (let i = 0; i < SMALL_PAIRS; i++) {
    at = writePing(buffer, at, false, Buffer.from("12345678"), 0);
    at = writeWindowUpdate(buffer, at, i, 16_384);
  }
  return buffer.subarray(0, at);
}

interface Seen {
  blockBytes: number;
  dataBytes: number;
  otherFrames: number;
}

/** @param pieces as the reads bring them. */
function read(name: string, pieces: readonly Buffer[], seen: Seen, count = 1): Operation {
  const tally = new Tally();
  const reader = new FrameReader(tally, continuationsMax(H2_HEADER_LIST_BYTES));
  return operation(
    name,
    () => {
      tally.clear();
      for (let i = 0; i < pieces.length; i++) {
        const piece = pieces[i];
        if (piece !== undefined) reader.read(piece, 0, piece.length);
      }
      return tally;
    },
    ({ blockBytes, dataBytes, otherFrames }) =>
      assert.deepEqual({ blockBytes, dataBytes, otherFrames }, seen),
    count,
  );
}

class Tally implements FrameHandler, Seen {
  blockBytes = 0;
  dataBytes = 0;
  otherFrames = 0;

  clear(): void {
    this.blockBytes = 0;
    this.dataBytes = 0;
    this.otherFrames = 0;
  }

  onDataFrame(): void {}

  onDataRange(_buffer: Buffer, start: number, end: number): void {
    this.dataBytes += end - start;
  }

  onHeaderBlock(
    _streamId: number,
    _endStream: boolean,
    _dependsOnItself: boolean,
    _buffer: Buffer,
    start: number,
    end: number,
  ): void {
    this.blockBytes += end - start;
  }

  onFrame(): void {
    this.otherFrames++;
  }

  onReadError(_code: number, problem: string): void {
    assert.fail(problem);
  }
}
