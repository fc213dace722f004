/**
 * Body bytes that wait for a window or for the socket.
 *
 * Bytes are copied in, since their source is valid only during a call, and small pieces share a block: a peer that sends
 * single bytes costs us the bytes, not an object each (LIM-18).
 */

const BLOCK_BYTES = 4096;

export class SendQueue {
  /** Bytes waiting. */
  length = 0;
  readonly #blocks: Buffer[] = [];
  /** Index of the first block still in use, and what of it has left. */
  #first = 0;
  #sent = 0;
  /** What of the last block is filled. */
  #filled = 0;

  push(buffer: Buffer, start: number, end: number): void {
    let from = start;
    const last = this.#blocks[this.#blocks.length - 1];
    if (last !== undefined && this.#filled < last.length) {
      const copied = buffer.copy(last, this.#filled, from, end);
      this.#filled += copied;
      from += copied;
    }
    if (from < end) {
      const block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, end - from));
      this.#filled = buffer.copy(block, 0, from, end);
      this.#blocks.push(block);
    }
    this.length += end - start;
  }

  /** Moves up to `limit` bytes to `target` at `offset`; returns how many. */
  take(target: Buffer, offset: number, limit: number): number {
    let taken = 0;
    while (taken < limit && this.length > 0) {
      const block = this.#blocks[this.#first];
      if (block === undefined) break;
      const end = this.#first === this.#blocks.length - 1 ? this.#filled : block.length;
      const to = Math.min(end, this.#sent + limit - taken);
      const copied = block.copy(target, offset + taken, this.#sent, to);
      taken += copied;
      this.length -= copied;
      this.#sent = to;
      if (to === end) this.#dropFirst();
    }
    return taken;
  }

  #dropFirst(): void {
    this.#blocks.splice(0, ++this.#first >= BLOCKS_KEPT || this.length === 0 ? this.#first : 0);
    if (this.#blocks.length === 0 || this.#first >= BLOCKS_KEPT) this.#first = 0;
    this.#sent = 0;
  }
}

/** Spent blocks are cut off this many at a time, because moving the array for each would cost. */
const BLOCKS_KEPT = 16;
