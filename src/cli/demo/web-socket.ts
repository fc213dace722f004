import { createHash } from "node:crypto";

/** RFC 6455 section 1.3: what a server appends to the client's key, so that only one that understands can answer. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The value of `Sec-WebSocket-Accept` for a client's key (RFC 6455 section 4.2.2). */
export function acceptKey(clientKey: string): string {
  return createHash("sha1")
    .update(clientKey + KEY_SUFFIX)
    .digest("base64");
}

const FIN = 0x80;
const MASKED = 0x80;

/** Opcodes (RFC 6455 section 5.2). */
export const TEXT_FRAME = 1;
export const CLOSE_FRAME = 8;

/** Payloads up to here have a length of one byte; the demo's frames are never longer. */
const SHORT_MAX = 125;

/**
 * One whole frame with a short payload.
 *
 * @param mask four bytes: clients must mask what they send (RFC 6455 section 5.3), servers must not.
 * @throws RangeError above 125 bytes.
 */
export function encodeFrame(opcode: number, payload: Buffer, mask?: Buffer): Buffer {
  if (payload.length > SHORT_MAX) throw new RangeError(`${payload.length} bytes do not fit a short frame`);
  const head = [FIN | opcode, (mask === undefined ? 0 : MASKED) | payload.length];
  if (mask === undefined) return Buffer.concat([Buffer.from(head), payload]);
  return Buffer.concat([Buffer.from(head), mask, masked(payload, mask)]);
}

export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

/** Cuts frames out of a stream of bytes. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * Takes the next bytes. @returns the frames that are whole by now.
   * @throws RangeError for a frame in parts, or longer than the demo's ever are.
   */
  push(bytes: Buffer): readonly Frame[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    while (this.#rest.length >= 2) {
      const [first = 0, second = 0] = this.#rest;
      const length = second & ~MASKED;
      if ((first & FIN) === 0 || length > SHORT_MAX) throw new RangeError("not a short, whole frame");
      const maskBytes = (second & MASKED) === 0 ? 0 : 4;
      const end = 2 + maskBytes + length;
      if (this.#rest.length < end) break;
      const body = this.#rest.subarray(2 + maskBytes, end);
      const payload = maskBytes === 0 ? Buffer.from(body) : masked(body, this.#rest.subarray(2, 6));
      frames.push({ opcode: first & 0x0f, payload });
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}

function masked(payload: Buffer, mask: Buffer): Buffer {
  return Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)));
}
