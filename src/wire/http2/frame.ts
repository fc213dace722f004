/** Frame layout of HTTP/2. Source: RFC 9113 sections 3.4, 4.1 and 6. */

/** What a client sends first. */
export const CLIENT_PREFACE: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME_HEADER_BYTES = 9;
/** Largest number of a stream, and largest flow-control window. */
export const STREAM_ID_MAX = 0x7fff_ffff;

export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

/** Flag bits. `endStream` and `ack` share a bit; which one it is depends on the frame type. */
export const FrameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

/** A 31-bit number at `offset`; the reserved bit above it is ignored. */
export function readUint31(buffer: Buffer, offset: number): number {
  return (
    (((buffer[offset] ?? 0) & 0x7f) << 24) |
    ((buffer[offset + 1] ?? 0) << 16) |
    ((buffer[offset + 2] ?? 0) << 8) |
    (buffer[offset + 3] ?? 0)
  );
}

/** An unsigned 32-bit number at `offset`. */
export function readUint32(buffer: Buffer, offset: number): number {
  return readUint31(buffer, offset) + ((buffer[offset] ?? 0) >= 0x80 ? 0x8000_0000 : 0);
}
