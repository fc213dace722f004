import { copyRange } from "../copy-range.ts";

/** The body of one request is kept up to this size: a frame as senders make them. */
export const SENT_BODY_BYTES = 16 * 1024;

/** All of the process together; a power of two. */
const SENT_BODIES_BYTES = 1024 * 1024;

/** The place of a body that is not kept. */
export const NOT_KEPT = -1;

/** Below this length a loop copies faster than a call into the runtime. */
const SHORT_COPY_BYTES = 32;

/**
 * The bodies of the requests that were sent last, for those that a server says it has not looked at.
 *
 * A ring that everybody writes to and nobody gives back: keeping a body costs a copy of its bytes and no object, and what
 * was kept is simply overtaken. A server refuses within moments or not at all.
 */
export class SentBodies {
  readonly #bytes: number;
  #ring: Buffer | undefined = undefined;
  /** Bytes written so far, padding included: a place in the ring is the remainder. */
  #written = 0;

  /** @param bytes a power of two, at least `SENT_BODY_BYTES`. */
  constructor(bytes = SENT_BODIES_BYTES) {
    this.#bytes = bytes;
  }

  /**
   * Keeps one more piece of a body.
   *
   * @param at place of the `length` bytes that there are so far.
   * @returns the place of all of it from now on, or `NOT_KEPT`.
   */
  append(at: number, length: number, buffer: Buffer, start: number, end: number): number {
    const more = end - start;
    const total = length + more;
    if (at === NOT_KEPT || total > SENT_BODY_BYTES) return NOT_KEPT;
    const ring = (this.#ring ??= Buffer.allocUnsafeSlow(this.#bytes));
    const mask = this.#bytes - 1;
    let place = at;
    const isNext = length > 0 && at + length === this.#written;
    if (!isNext || (at & mask) + total > this.#bytes) {
      if (length > 0 && !this.#has(at)) return NOT_KEPT;
      const offset = this.#written & mask;
      // A body lies in one piece.
      place = this.#written + (offset + total > this.#bytes ? this.#bytes - offset : 0);
      if (length > 0) ring.copyWithin(place & mask, at & mask, (at & mask) + length);
    }
    const to = (place + length) & mask;
    if (more < SHORT_COPY_BYTES) for (let i = 0; i < more; i++) ring[to + i] = buffer[start + i] ?? 0;
    else buffer.copy(ring, to, start, end);
    this.#written = place + total;
    return place;
  }

  /** A copy of the `length` bytes at a place, undefined if they have been overtaken. */
  read(at: number, length: number): Buffer | undefined {
    if (at === NOT_KEPT || this.#ring === undefined || !this.#has(at)) return undefined;
    const from = at & (this.#bytes - 1);
    return copyRange(this.#ring, from, from + length);
  }

  #has(at: number): boolean {
    return at >= this.#written - this.#bytes;
  }
}

export const PROCESS_SENT_BODIES = new SentBodies();
