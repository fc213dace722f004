/**
 * Body bytes that wait for a window or for the socket.
 *
 * Bytes are copied in, since their source is valid only during a call, and small pieces share a block: a peer that sends
 * single bytes costs us the bytes, not an object each (LIM-18).
 */
import { poisonFreed } from "../transport/poison.ts";

/** Blocks for small pieces: many streams may each have a few bytes waiting. */
const SMALL_BLOCK_BYTES = 4 * 1024;

/** Blocks for bulk. A stream that sends faster than its window opens passes all its bytes through them. */
const LARGE_BLOCK_BYTES = 16 * 1024;

/**
 * Large blocks kept for reuse by all streams together: 2 MiB. Without them a bulk upload leaves its whole length to the
 * garbage collector, which lets 64 MiB pile up before it looks (bench: npm run scenario -- bulk).
 */
const POOLED_BLOCKS = 128;

const pool: Block[] = [];

class Block {
  readonly bytes: Buffer;
  filled = 0;
  next: Block | undefined = undefined;

  constructor(size: number) {
    // Not from the pool: a block may wait for long, and would keep its neighbours alive.
    this.bytes = Buffer.allocUnsafeSlow(size);
  }
}

function takeBlock(bytes: number): Block {
  if (bytes <= SMALL_BLOCK_BYTES) return new Block(SMALL_BLOCK_BYTES);
  return pool.pop() ?? new Block(LARGE_BLOCK_BYTES);
}

/** Nothing of the block is needed any more. Those of a queue that is dropped are left to the garbage collector. */
function recycle(block: Block): void {
  poisonFreed(block.bytes);
  if (block.bytes.length !== LARGE_BLOCK_BYTES || pool.length >= POOLED_BLOCKS) return;
  block.filled = 0;
  block.next = undefined;
  pool.push(block);
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
    while (from < end) {
      const block = takeBlock(end - from);
      block.filled = buffer.copy(block.bytes, 0, from, end);
      from += block.filled;
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
      recycle(block);
    }
    this.length -= taken;
    return taken;
  }
}
