import type { HeaderField } from "../header-field.ts";
import {
  H1_CHUNK_EXTENSION_BYTES,
  H1_CHUNK_SIZE_DIGITS,
  H1_TRAILER_BYTES,
  H1_TRAILER_LINES,
} from "../limits.ts";
import { BAD_IN_VALUE, FIELD_BYTES } from "../field-bytes.ts";
import { knownFieldLine, parseFieldLine } from "./field-line.ts";
import { hashLine } from "./line-table.ts";
import { isTrailerField } from "./trailer-fields.ts";

/** What `next` found. Numbers, because a body is many of them. */
export const ChunkStep = {
  /** All bytes were taken, the body goes on. */
  more: 0,
  /** `dataStart` to `dataEnd` are body bytes. */
  data: 1,
  /** The body is complete; its fields are in `trailers`. */
  end: 2,
  /** The body is malformed; see `problem`. */
  malformed: 3,
} as const;
export type ChunkStep = (typeof ChunkStep)[keyof typeof ChunkStep];

const State = {
  size: 0,
  blankAfterSize: 1,
  extension: 2,
  sizeLf: 3,
  data: 4,
  dataCr: 5,
  dataLf: 6,
  trailer: 7,
} as const;
type State = (typeof State)[keyof typeof State];

const LF = 0x0a;
const CR = 0x0d;
const SEMICOLON = 0x3b;

/**
 * Reads a chunked body without copying it: ranges of the given buffers are its data. Line ends are CRLF and nothing else,
 * because programs that disagree about them disagree about where the next request begins. Extensions are dropped, counted
 * over the whole body.
 *
 * Source: RFC 9112 section 7.1, erratum 7633.
 */
export class ChunkedDecoder {
  /** Offset behind the last byte taken. */
  position = 0;
  dataStart = 0;
  dataEnd = 0;
  /** Trailer fields, those that may not stand there left out. The caller's once the body is complete. */
  trailers: HeaderField[] = [];
  problem = "";

  #state: State = State.size;
  #size = 0;
  #digits = 0;
  #extensionBytes = 0;
  #line: number[] = [];
  #trailerBytes = 0;
  #trailerLines = 0;

  reset(): void {
    this.trailers = [];
    this.#state = State.size;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionBytes = 0;
    this.#line.length = 0;
    this.#trailerBytes = 0;
    this.#trailerLines = 0;
  }

  /** The next thing in the range from `start`; call again from `position` until it says `more`, `end` or `malformed`. */
  next(buffer: Buffer, start: number, end: number): ChunkStep {
    let at = start;
    while (at < end) {
      if (this.#state === State.data) return this.#data(at, end);
      const step = this.#byte(buffer[at] ?? 0);
      at++;
      if (step !== ChunkStep.more) {
        this.position = at;
        return step;
      }
    }
    this.position = at;
    return ChunkStep.more;
  }

  #data(at: number, end: number): ChunkStep {
    const length = Math.min(this.#size, end - at);
    this.#size -= length;
    if (this.#size === 0) this.#state = State.dataCr;
    this.dataStart = at;
    this.dataEnd = at + length;
    this.position = at + length;
    return ChunkStep.data;
  }

  #byte(byte: number): ChunkStep {
    switch (this.#state) {
      case State.size: {
        const digit = hexDigit(byte);
        if (digit < 0) return this.#digits === 0 ? this.#bad("a chunk has no size") : this.#afterSize(byte);
        this.#size = this.#size * 16 + digit;
        if (++this.#digits > H1_CHUNK_SIZE_DIGITS || this.#size > Number.MAX_SAFE_INTEGER) {
          return this.#bad("a chunk size is too large");
        }
        return ChunkStep.more;
      }
      case State.blankAfterSize:
        return this.#afterSize(byte);
      case State.extension:
        if (byte === CR) this.#state = State.sizeLf;
        else if (((FIELD_BYTES[byte] ?? BAD_IN_VALUE) & BAD_IN_VALUE) !== 0) {
          return this.#bad("a chunk extension has a control character");
        } else return this.#countExtension();
        return ChunkStep.more;
      case State.sizeLf:
        if (byte !== LF) return this.#bad("a chunk size does not end in CRLF");
        this.#digits = 0;
        this.#state = this.#size === 0 ? State.trailer : State.data;
        return ChunkStep.more;
      case State.dataCr:
        if (byte !== CR) return this.#bad("a chunk is longer than its size");
        this.#state = State.dataLf;
        return ChunkStep.more;
      case State.dataLf:
        if (byte !== LF) return this.#bad("a chunk does not end in CRLF");
        this.#state = State.size;
        return ChunkStep.more;
      default:
        return this.#trailerByte(byte);
    }
  }

  #afterSize(byte: number): ChunkStep {
    if (byte === CR) {
      this.#state = State.sizeLf;
      return ChunkStep.more;
    }
    if (byte === SEMICOLON) this.#state = State.extension;
    else if (byte === 0x20 || byte === 0x09) this.#state = State.blankAfterSize;
    else return this.#bad("a chunk size is not a hexadecimal number");
    return this.#countExtension();
  }

  #countExtension(): ChunkStep {
    return ++this.#extensionBytes > H1_CHUNK_EXTENSION_BYTES
      ? this.#bad("chunk extensions are too long")
      : ChunkStep.more;
  }

  #trailerByte(byte: number): ChunkStep {
    const line = this.#line;
    if (++this.#trailerBytes > H1_TRAILER_BYTES) return this.#bad("trailers are too large");
    if (byte !== LF) {
      line.push(byte);
      return ChunkStep.more;
    }
    if (line.pop() !== CR) return this.#bad("a trailer line does not end in CRLF");
    if (line.length === 0) return ChunkStep.end;
    if (++this.#trailerLines > H1_TRAILER_LINES) return this.#bad("too many trailer lines");
    const bytes = Buffer.from(line);
    line.length = 0;
    const hash = hashLine(bytes, 0, bytes.length);
    const field =
      knownFieldLine(bytes, 0, bytes.length, hash)?.value ?? parseFieldLine(bytes, 0, bytes.length, hash);
    if (field === undefined) return this.#bad("a trailer line is malformed");
    if (isTrailerField(field)) this.trailers.push(field);
    return ChunkStep.more;
  }

  #bad(problem: string): ChunkStep {
    this.problem = problem;
    return ChunkStep.malformed;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
