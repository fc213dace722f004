/** Longer lines are parsed each time: they are rare, and would make the table's memory hard to bound. */
const LINE_BYTES_MAX = 256;
/** Two neighbouring slots per hash, so that two busy lines that collide do not push each other out. */
const WAYS = 2;

/**
 * What lines of bytes mean, remembered across connections: a line that was seen before is recognised by comparing bytes,
 * without cutting, lower-casing or validating it again, and always gives the same object.
 *
 * A line is admitted when its hash comes a second time, so that lines seen once (request ids, dates) leave no garbage
 * behind. The size is fixed: a newcomer takes the place of an older line. Hash collisions cost time, never correctness.
 *
 * Asked for by the HTTP/1 scenario of `npm run bench`: heads of keep-alive clients repeat almost all their lines.
 */
export class LineTable<T> {
  readonly #mask: number;
  readonly #seen: Int32Array;
  readonly #hashes: Int32Array;
  readonly #lines: (KnownLine<T> | undefined)[];

  /** @param slots a power of two. */
  constructor(slots: number) {
    this.#mask = slots - WAYS;
    this.#seen = new Int32Array(slots);
    this.#hashes = new Int32Array(slots);
    this.#lines = Array.from({ length: slots }, () => undefined);
  }

  find(buffer: Buffer, start: number, end: number, hash: number): KnownLine<T> | undefined {
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    return this.#inSlot(slot, buffer, start, end, hash) ?? this.#inSlot(slot + 1, buffer, start, end, hash);
  }

  /** Whether a line that was not found should now be kept; asking counts as having seen it. */
  admits(length: number, hash: number): boolean {
    if (length > LINE_BYTES_MAX) return false;
    const slot = (hash ^ (hash >>> 15)) & (this.#mask + 1);
    if (this.#seen[slot] === hash) return true;
    this.#seen[slot] = hash;
    return false;
  }

  /** Keeps a copy of the line; the bytes may be reused afterwards. */
  keep(buffer: Buffer, start: number, end: number, hash: number, value: T): void {
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    this.#hashes[slot + 1] = this.#hashes[slot] ?? 0;
    this.#lines[slot + 1] = this.#lines[slot];
    this.#hashes[slot] = hash;
    this.#lines[slot] = new KnownLine(buffer, start, end, value);
  }

  #inSlot(slot: number, buffer: Buffer, start: number, end: number, hash: number): KnownLine<T> | undefined {
    if (this.#hashes[slot] !== hash) return undefined;
    const line = this.#lines[slot];
    return line !== undefined && line.length === end - start && line.isAt(viewOf(buffer), start)
      ? line
      : undefined;
  }
}

/** The bytes of a line, four at a time, and what they mean. */
export class KnownLine<T> {
  readonly value: T;
  readonly length: number;
  readonly #words: Int32Array;
  /** The last bytes, which fill no word. */
  readonly #rest: number;

  constructor(buffer: Buffer, start: number, end: number, value: T) {
    const view = viewOf(buffer);
    this.value = value;
    this.length = end - start;
    this.#words = new Int32Array(Math.floor(this.length / WORD_BYTES));
    for (let i = 0; i < this.#words.length; i++) this.#words[i] = view.getInt32(start + i * WORD_BYTES, true);
    this.#rest = restOf(view, start + this.#words.length * WORD_BYTES, end);
  }

  /** Whether the line's bytes stand at `start`; the caller knows that there are enough. */
  isAt(view: DataView, start: number): boolean {
    const words = this.#words;
    let at = start;
    for (let i = 0; i < words.length; i++, at += WORD_BYTES) {
      if (words[i] !== view.getInt32(at, true)) return false;
    }
    return restOf(view, at, start + this.length) === this.#rest;
  }
}

/** Fewer than four bytes as a number. */
function restOf(view: DataView, start: number, end: number): number {
  let rest = 0;
  for (let at = start; at < end; at++) rest = (rest << 8) | view.getUint8(at);
  return rest;
}

/** The hash of a line as the table wants it: of its words from its start on, then of the bytes that are left. */
export function hashLine(buffer: Buffer, start: number, end: number): number {
  const view = viewOf(buffer);
  let hash = 0;
  let at = start;
  for (; at + WORD_BYTES <= end; at += WORD_BYTES) hash = mixHash(hash, view.getInt32(at, true));
  for (; at < end; at++) hash = mixHash(hash, view.getUint8(at));
  return hash;
}

export interface LineScan {
  /** Where the line feed is; `end` if there is none. */
  at: number;
  /** `hashLine` of what is before it. */
  hash: number;
}

/** Looks for the end of a line, and computes the hash of the line on the way. */
export function scanLine(view: DataView, start: number, end: number, into: LineScan): void {
  let hash = 0;
  let at = start;
  for (; at + WORD_BYTES <= end; at += WORD_BYTES) {
    const word = view.getInt32(at, true);
    // Not 0 if and only if a byte is a line feed (Hacker's Delight, section 6-1).
    const zeroes = word ^ LINE_FEEDS;
    if (((zeroes - 0x0101_0101) & ~zeroes & 0x8080_8080) !== 0) break;
    hash = mixHash(hash, word);
  }
  for (; at < end; at++) {
    const byte = view.getUint8(at);
    if (byte === LF) break;
    hash = mixHash(hash, byte);
  }
  into.at = at;
  into.hash = hash;
}

function mixHash(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e37_79b1);
  return mixed ^ (mixed >>> 15);
}

const LF = 0x0a;
const LINE_FEEDS = 0x0a0a_0a0a;
const WORD_BYTES = 4;

let lastBuffer: Buffer = Buffer.alloc(0);
let lastView = new DataView(lastBuffer.buffer, lastBuffer.byteOffset, 0);

/** The bytes of a buffer as words. Almost all that is parsed comes in one shared buffer, so that its view is made once. */
export function viewOf(buffer: Buffer): DataView {
  if (buffer !== lastBuffer) {
    lastBuffer = buffer;
    lastView = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }
  return lastView;
}
