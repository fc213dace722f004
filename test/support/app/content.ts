/** Content that never repeats, for transfers that are compared byte for byte with what was sent. */

/** Content is made in blocks, which both sides make anew: nothing of a transfer is kept. A multiple of 4. */
const BLOCK_BYTES = 64 * 1024;

/** How much is shown of what is wrong: enough to recognise poison, zeros, or text. */
const SHOWN_BYTES = 8;

/**
 * Block `index` of the content: each 4 bytes are the number of their place, mixed one to one (MurmurHash3, fmix32).
 * Places are counted from `start`, so that contents with different starts differ everywhere.
 */
function writeBlock(words: Uint32Array, start: number, index: number): void {
  const first = start + index * (BLOCK_BYTES / 4);
  for (let i = 0; i < words.length; i++) {
    let word = (first + i) | 0;
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35);
    words[i] = word ^ (word >>> 16);
  }
}

/** The first `bytes` bytes of the content that begins at `start`, in blocks that the caller may keep. */
export function* content(bytes: number, start = 0): Generator<Buffer> {
  for (let at = 0; at < bytes; at += BLOCK_BYTES) {
    const words = new Uint32Array(BLOCK_BYTES / 4);
    writeBlock(words, start, at / BLOCK_BYTES);
    yield Buffer.from(words.buffer, 0, Math.min(BLOCK_BYTES, bytes - at));
  }
}

/** Compares what arrives, in pieces of any size, with the content. */
export class ContentCheck {
  /** Bytes that have arrived and were right. */
  bytes = 0;
  readonly #words = new Uint32Array(BLOCK_BYTES / 4);
  readonly #block = Buffer.from(this.#words.buffer);
  readonly #start: number;
  #blockIndex = -1;

  /** @param start where the content begins, as its writer was told. */
  constructor(start = 0) {
    this.#start = start;
  }

  /** @throws Error naming the place of the first byte that is not as it was sent. */
  accept(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) {
      const index = Math.floor(this.bytes / BLOCK_BYTES);
      if (index !== this.#blockIndex) {
        writeBlock(this.#words, this.#start, index);
        this.#blockIndex = index;
      }
      const from = this.bytes % BLOCK_BYTES;
      const count = Math.min(BLOCK_BYTES - from, piece.length - at);
      if (this.#block.compare(piece, at, at + count, from, from + count) !== 0) this.#fail(piece, at, from);
      this.bytes += count;
      at += count;
    }
  }

  #fail(piece: Buffer, at: number, from: number): never {
    let i = 0;
    while (piece[at + i] === this.#block[from + i]) i++;
    const found = piece.toString("hex", at + i, at + i + SHOWN_BYTES);
    const sent = this.#block.toString("hex", from + i, from + i + SHOWN_BYTES);
    throw new Error(`byte ${this.bytes + i}: found ${found}, sent was ${sent}`);
  }
}
