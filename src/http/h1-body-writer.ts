import type { Transport } from "../transport/transport.ts";
import type { HeaderField } from "../wire/header-field.ts";
import { BodyKind } from "../wire/http1/framing.ts";
import { isTrailerField } from "../wire/http1/trailer-fields.ts";
import {
  CHUNK_END,
  CHUNK_SIZE_BYTES,
  CHUNKED_END,
  fieldLine,
  LAST_CHUNK,
  writeChunkSize,
} from "../wire/http1/writer.ts";
import { copyRange } from "./copy-range.ts";

/** Whoever sends a message: told how its body fares. */
export interface BodyOwner {
  /** `bytes` of the body are written, or dropped because the message has no body. */
  bodyPassed(bytes: number): void;
  /** The whole body is written. */
  bodyEnded(): void;
  /** The sender broke its own content-length: the message must not look complete. */
  bodyBroken(problem: string): void;
}

/** Chunks up to this size are written in one piece with their frame. */
const SMALL_CHUNK_BYTES = 4_096;

/**
 * Writes the bodies of one direction of a connection, one after the other.
 *
 * While the output is blocked bytes are copied and wait; nothing of them counts as passed, so that the sender's window
 * bounds them.
 */
export class BodyWriter {
  readonly #transport: Transport;
  readonly #owner: BodyOwner;
  #kind: BodyKind = BodyKind.none;
  #remaining = 0;
  #wantsTrailers = false;
  #waiting: Buffer[] | undefined = undefined;
  /** Written while that filled the output: passed once it drains. */
  #owed = 0;
  #ended = true;
  #endWaits = false;
  #trailers: HeaderField[] | undefined = undefined;

  constructor(transport: Transport, owner: BodyOwner) {
    this.#transport = transport;
    this.#owner = owner;
  }

  /** Whether a body has begun and its end is not written. */
  get active(): boolean {
    return !this.#ended;
  }

  get kind(): BodyKind {
    return this.#kind;
  }

  /** Whether the body already has all the bytes that its length promises. */
  get lengthReached(): boolean {
    return this.#kind === BodyKind.none || (this.#kind === BodyKind.length && this.#remaining === 0);
  }

  /**
   * @param length of a body of kind `length`.
   * @param wantsTrailers whether the receiver is to get trailers after a chunked body.
   */
  begin(kind: BodyKind, length: number, wantsTrailers: boolean): void {
    this.#kind = kind;
    this.#remaining = length;
    this.#wantsTrailers = wantsTrailers;
    this.#waiting = undefined;
    this.#owed = 0;
    this.#ended = false;
    this.#endWaits = false;
    this.#trailers = undefined;
  }

  /** Gives the body up; its end will not be written. */
  abandon(): void {
    this.#ended = true;
    this.#waiting = undefined;
    this.#owed = 0;
  }

  data(buffer: Buffer, start: number, end: number, last: boolean): void {
    if (this.#ended || this.#endWaits) return;
    const length = end - start;
    if (this.#waiting !== undefined || (length > 0 && this.#transport.blocked)) {
      if (length > 0) (this.#waiting ??= []).push(copyRange(buffer, start, end));
      if (last) this.#endWaits = true;
      return;
    }
    if (length > 0) {
      if (!this.#write(buffer, start, end)) return;
      if (last || !this.#transport.blocked) this.#owner.bodyPassed(length);
      else this.#owed += length;
    }
    // Last of all: the owner may begin the next body.
    if (last) this.#end();
  }

  trailers(fields: HeaderField[]): void {
    if (this.#ended || this.#endWaits) return;
    this.#trailers = fields;
    if (this.#waiting === undefined) this.#end();
    else this.#endWaits = true;
  }

  /** The output takes bytes again. */
  drained(): void {
    if (this.#ended) return;
    const transport = this.#transport;
    while (this.#waiting !== undefined && !transport.blocked) {
      const bytes = this.#waiting.shift();
      if (bytes === undefined) {
        this.#waiting = undefined;
      } else {
        if (!this.#write(bytes, 0, bytes.length)) return;
        this.#owed += bytes.length;
      }
    }
    const ends = this.#endWaits && this.#waiting === undefined;
    if (this.#owed > 0 && (ends || !transport.blocked)) {
      const owed = this.#owed;
      this.#owed = 0;
      this.#owner.bodyPassed(owed);
    }
    if (ends) this.#end();
  }

  /** Writes body bytes with their frame. False if the body is broken. */
  #write(buffer: Buffer, start: number, end: number): boolean {
    const transport = this.#transport;
    const length = end - start;
    switch (this.#kind) {
      case BodyKind.none:
        return true;
      case BodyKind.length:
        if (length > this.#remaining) return this.#break("the body is longer than its content-length");
        this.#remaining -= length;
        transport.write(buffer, start, end);
        return true;
      case BodyKind.untilClose:
        transport.write(buffer, start, end);
        return true;
      default:
        this.#writeChunk(buffer, start, end);
        return true;
    }
  }

  #writeChunk(buffer: Buffer, start: number, end: number): void {
    const transport = this.#transport;
    const length = end - start;
    if (length > SMALL_CHUNK_BYTES) {
      const at = transport.reserve(CHUNK_SIZE_BYTES);
      transport.commit(writeChunkSize(transport.buffer, at, length));
      transport.write(buffer, start, end);
      transport.writeLatin1(CHUNK_END);
      return;
    }
    const from = transport.reserve(length + CHUNK_SIZE_BYTES + CHUNK_END.length);
    const out = transport.buffer;
    let at = writeChunkSize(out, from, length);
    buffer.copy(out, at, start, end);
    at += length;
    out[at] = 0x0d;
    out[at + 1] = 0x0a;
    transport.commit(at + 2);
  }

  #end(): void {
    if (this.#kind === BodyKind.length && this.#remaining > 0) {
      this.#break("the body is shorter than its content-length");
      return;
    }
    if (this.#kind === BodyKind.chunked) this.#writeChunkedEnd();
    this.#ended = true;
    this.#endWaits = false;
    this.#owner.bodyEnded();
  }

  #writeChunkedEnd(): void {
    const trailers = this.#trailers;
    let text = "";
    if (trailers !== undefined && this.#wantsTrailers) {
      for (let i = 0; i < trailers.length; i++) {
        const field = trailers[i];
        if (field !== undefined && isTrailerField(field)) text += fieldLine(field);
      }
    }
    this.#transport.writeLatin1(text === "" ? CHUNKED_END : `${LAST_CHUNK}${text}\r\n`);
  }

  #break(problem: string): false {
    this.abandon();
    this.#owner.bodyBroken(problem);
    return false;
  }
}
