/** Length-prefixed messages of gRPC. Source: gRPC over HTTP/2, "Length-Prefixed-Message". */
import { writeUint32 } from "../../src/wire/http2/frame-writer.ts";
import { BODY } from "./connection.ts";

/** A flag that says whether the message is compressed, and its length. */
const PREFIX_BYTES = 5;

/** Bytes of a gRPC message of that many bytes. */
export function grpcBytes(messageBytes: number): number {
  return PREFIX_BYTES + messageBytes;
}

const prefixes = new Map<number, Buffer>();

/** What stands before a message of that many bytes. */
export function grpcPrefix(messageBytes: number): Buffer {
  let prefix = prefixes.get(messageBytes);
  if (prefix === undefined) {
    prefix = Buffer.alloc(PREFIX_BYTES);
    writeUint32(prefix, 1, messageBytes);
    prefixes.set(messageBytes, prefix);
  }
  return prefix;
}

/**
 * Writes bytes of a row of equal messages at `offset`, which has room.
 *
 * @param at where in a message the first byte belongs. @returns where the byte after the last one does.
 */
export function writeMessages(
  buffer: Buffer,
  offset: number,
  bytes: number,
  prefix: Buffer,
  messageBytes: number,
  at: number,
): number {
  const period = grpcBytes(messageBytes);
  let inMessage = at;
  let to = offset;
  const end = offset + bytes;
  while (to < end) {
    if (inMessage < PREFIX_BYTES) {
      buffer[to++] = prefix[inMessage++] ?? 0;
    } else {
      const copied = BODY.copy(buffer, to, 0, Math.min(end - to, period - inMessage));
      to += copied;
      inMessage += copied;
    }
    if (inMessage === period) inMessage = 0;
  }
  return inMessage;
}

/** Finds the messages in the body of a stream, however it is cut into frames. */
export class MessageReader {
  /** What came makes no sense, or is not of the length that was expected. */
  broken = false;
  readonly #expected: number | undefined;
  /** Bytes of the prefix under way that have come. */
  #prefix = 0;
  #length = 0;
  #missing = 0;

  /** @param expectedBytes of each message; undefined: any. */
  constructor(expectedBytes: number | undefined) {
    this.#expected = expectedBytes;
  }

  /** Whether a message has begun and not ended. */
  get within(): boolean {
    return this.#prefix > 0;
  }

  /** @returns how many messages end within these bytes. */
  read(buffer: Buffer, start: number, end: number): number {
    let ended = 0;
    let at = start;
    while (at < end) {
      if (this.#prefix < PREFIX_BYTES) {
        const byte = buffer[at++] ?? 0;
        // The flag: nobody here compresses.
        if (this.#prefix === 0) this.broken ||= byte !== 0;
        else this.#length = this.#length * 256 + byte;
        if (++this.#prefix < PREFIX_BYTES) continue;
        this.broken ||= this.#expected !== undefined && this.#length !== this.#expected;
        this.#missing = this.#length;
      } else {
        const bytes = Math.min(this.#missing, end - at);
        at += bytes;
        this.#missing -= bytes;
      }
      if (this.#missing > 0) continue;
      this.#prefix = 0;
      this.#length = 0;
      ended++;
    }
    return ended;
  }
}
