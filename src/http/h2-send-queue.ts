/**
 * Body bytes that wait for a window or for the socket.
 *
 * Bytes are copied in, since their source is valid only during a call, and small pieces share a block: a peer that sends
 * single bytes costs us the bytes, not an object each (LIM-18).
 */

/** Blocks are at least this large. */
const BLOCK_BYTES = 4096;

class Block {
  readonly bytes: Buffer;
  filled = 0;
  next: Block | undefined = undefined;

  constructor(size: number) {
    // Not from the pool: a block may wait for long, and would keep its neighbours alive.
    this.bytes = Buffer.allocUnsafeSlow(size);
  }
}

export class SendQueue {
  /** Bytes waiting. */
  length = 0;
  #first: Block | undefined;
  #last: Block | undefined;
  /** What of the first block has left. */
  #sent = 0;

  push(buffer: Buffer, start: number, end: number): void {
    let from = start;
    let last = this.#last;
    if (last !== undefined) {
      const copied = buffer.copy(last.bytes, last.filled, from, end);
      last.filled += copied;
      from += copied;
    }
    if (from < end) {
      const block = new Block(Math.max(BLOCK_BYTES, end - from));
      block.filled = buffer.copy(block.bytes, 0, from, end);
      if (last === undefined) this.#first = block;
      else last.next = block;
      last = block;
      this.#last = last;
    }
    this.length += end - start;
  }

  /** Moves up to `limit` bytes to `target` at `offset`, where there is room for them; returns how many. */
  take(target: Buffer, offset: number, limit: number): number {
    let taken = 0;
    while (taken < limit) {
      const block = this.#first;
      if (block === undefined) break;
      const copied = block.bytes.copy(
        target,
        offset + taken,
        this.#sent,
        Math.min(block.filled, this.#sent + limit - taken),
      );
      taken += copied;
      this.#sent += copied;
      if (this.#sent < block.filled) break;
      this.#first = block.next;
      if (block.next === undefined) this.#last = undefined;
      this.#sent = 0;
    }
    this.length -= taken;
    return taken;
  }
}
