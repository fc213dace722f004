/** Frames as bytes: each function writes at `offset`, which has room, and returns the offset behind. Source: RFC 9113 section 6. */
import { FRAME_HEADER_BYTES, FrameFlag, FrameType } from "./frame.ts";
import { SETTING_BYTES } from "./settings.ts";

/** Bytes of the frames whose size is fixed. */
export const RST_STREAM_BYTES = FRAME_HEADER_BYTES + 4;
export const WINDOW_UPDATE_BYTES = FRAME_HEADER_BYTES + 4;
export const PING_BYTES = FRAME_HEADER_BYTES + 8;
export const SETTINGS_ACK_BYTES = FRAME_HEADER_BYTES;

export function writeFrameHeader(
  buffer: Buffer,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  buffer[offset] = length >>> 16;
  buffer[offset + 1] = length >>> 8;
  buffer[offset + 2] = length;
  buffer[offset + 3] = type;
  buffer[offset + 4] = flags;
  return writeUint32(buffer, offset + 5, streamId);
}

export function writeRstStream(buffer: Buffer, offset: number, streamId: number, code: number): number {
  return writeUint32(buffer, writeFrameHeader(buffer, offset, 4, FrameType.rstStream, 0, streamId), code);
}

export function writeWindowUpdate(
  buffer: Buffer,
  offset: number,
  streamId: number,
  increment: number,
): number {
  return writeUint32(
    buffer,
    writeFrameHeader(buffer, offset, 4, FrameType.windowUpdate, 0, streamId),
    increment,
  );
}

/** Writes a PING whose content is the eight bytes at `source[from]`. */
export function writePing(
  buffer: Buffer,
  offset: number,
  ack: boolean,
  source: Buffer,
  from: number,
): number {
  const at = writeFrameHeader(buffer, offset, 8, FrameType.ping, ack ? FrameFlag.ack : 0, 0);
  for (let i = 0; i < 8; i++) buffer[at + i] = source[from + i] ?? 0;
  return at + 8;
}

export function writeSettingsAck(buffer: Buffer, offset: number): number {
  return writeFrameHeader(buffer, offset, 0, FrameType.settings, FrameFlag.ack, 0);
}

/** Bytes of a SETTINGS frame of `count` settings. */
export function settingsBytes(count: number): number {
  return FRAME_HEADER_BYTES + SETTING_BYTES * count;
}

/** Writes a SETTINGS frame; `settings` are identifiers and values in turn. */
export function writeSettings(buffer: Buffer, offset: number, settings: readonly number[]): number {
  const length = (settings.length / 2) * SETTING_BYTES;
  let at = writeFrameHeader(buffer, offset, length, FrameType.settings, 0, 0);
  for (let i = 0; i < settings.length; i += 2) {
    const id = settings[i] ?? 0;
    buffer[at] = id >>> 8;
    buffer[at + 1] = id;
    at = writeUint32(buffer, at + 2, settings[i + 1] ?? 0);
  }
  return at;
}

/** Bytes of a GOAWAY frame with that explanation. */
export function goawayBytes(explanation: string): number {
  return FRAME_HEADER_BYTES + 8 + explanation.length;
}

/** Writes a GOAWAY; `explanation` (latin1) is for whoever debugs the peer. */
export function writeGoaway(
  buffer: Buffer,
  offset: number,
  lastId: number,
  code: number,
  explanation: string,
): number {
  const at = writeFrameHeader(buffer, offset, 8 + explanation.length, FrameType.goaway, 0, 0);
  writeUint32(buffer, at, lastId);
  writeUint32(buffer, at + 4, code);
  return at + 8 + buffer.write(explanation, at + 8, "latin1");
}

/**
 * Turns a header block at `buffer[offset + 9, end)` into a HEADERS frame and as many CONTINUATION frames as `frameMax`
 * asks for, moving bytes up in place. There must be room for 9 more bytes per CONTINUATION (`continuationRoom`).
 */
export function frameHeaderBlock(
  buffer: Buffer,
  offset: number,
  end: number,
  streamId: number,
  endStream: boolean,
  frameMax: number,
): number {
  const start = offset + FRAME_HEADER_BYTES;
  const length = end - start;
  const flags = endStream ? FrameFlag.endStream : 0;
  if (length <= frameMax) {
    writeFrameHeader(buffer, offset, length, FrameType.headers, flags | FrameFlag.endHeaders, streamId);
    return end;
  }
  const frames = Math.ceil(length / frameMax);
  // From the last to the first, because each piece moves over the place of the next.
  for (let i = frames - 1; i > 0; i--) {
    const from = start + i * frameMax;
    const size = Math.min(frameMax, end - from);
    const to = from + i * FRAME_HEADER_BYTES;
    buffer.copyWithin(to, from, from + size);
    const last = i === frames - 1 ? FrameFlag.endHeaders : 0;
    writeFrameHeader(buffer, to - FRAME_HEADER_BYTES, size, FrameType.continuation, last, streamId);
  }
  writeFrameHeader(buffer, offset, frameMax, FrameType.headers, flags, streamId);
  return end + (frames - 1) * FRAME_HEADER_BYTES;
}

/** The most bytes that `frameHeaderBlock` adds to a block of at most `blockBytes`, its first frame header included. */
export function continuationRoom(blockBytes: number, frameMax: number): number {
  return (1 + Math.floor(blockBytes / frameMax)) * FRAME_HEADER_BYTES;
}

export function writeUint32(buffer: Buffer, offset: number, value: number): number {
  buffer[offset] = value >>> 24;
  buffer[offset + 1] = value >>> 16;
  buffer[offset + 2] = value >>> 8;
  buffer[offset + 3] = value;
  return offset + 4;
}
