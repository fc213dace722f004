import type { H2Stream } from "./h2-stream.ts";

/** Slots of a new table; a connection with few streams stays small. */
const SLOTS_MIN = 8;

/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, section 6.4). */
const GOLDEN = 0x9e37_79b1;

/**
 * The open streams of a connection by id: a hash table with linear probing.
 *
 * Not a `Map`: V8 replaces the storage of a Map that keys come and go through, the old storage refers to the new one, and
 * once it has reached the old generation everything that ever was in the chain survives until a full collection. Every
 * finished request was kept for seconds that way: the heap grew by 100 MB under load, and each scavenge took 3.6 ms where
 * it takes 0.6 (HTTP/2 scenario of `npm run bench`).
 */
export class StreamTable {
  /** Open streams. */
  size = 0;
  #slots: (H2Stream | undefined)[] = [];
  #mask = -1;
  /** Of a 32-bit hash these many low bits are dropped. */
  #shift = 32;

  get(id: number): H2Stream | undefined {
    if (this.#mask < 0) return undefined;
    const slots = this.#slots;
    let at = this.#home(id);
    for (let stream = slots[at]; stream !== undefined; stream = slots[at]) {
      if (stream.id === id) return stream;
      at = (at + 1) & this.#mask;
    }
    return undefined;
  }

  /** Adds a stream whose id is not in the table. */
  add(stream: H2Stream): void {
    // At most half full: almost every stream sits in its own slot.
    if (this.size * 2 >= this.#slots.length) this.#grow();
    this.#place(stream);
    this.size++;
  }

  /** Removes a stream; does nothing if it is not in the table. */
  delete(stream: H2Stream): void {
    if (this.#mask < 0) return;
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = this.#home(stream.id);
    while (slots[hole] !== stream) {
      if (slots[hole] === undefined) return;
      hole = (hole + 1) & mask;
    }
    this.size--;
    // Those behind move up, as far as their own slot allows: a probe stops at the first empty one.
    let at = hole;
    for (;;) {
      at = (at + 1) & mask;
      const next = slots[at];
      if (next === undefined) break;
      if (((at - this.#home(next.id)) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = next;
      hole = at;
    }
    slots[hole] = undefined;
  }

  /** The streams of now, as an array of its own: they may be closed while it is walked. */
  values(): H2Stream[] {
    const all: H2Stream[] = [];
    for (const stream of this.#slots) if (stream !== undefined) all.push(stream);
    return all;
  }

  clear(): void {
    this.#slots = [];
    this.#mask = -1;
    this.size = 0;
  }

  #grow(): void {
    const before = this.#slots;
    const length = Math.max(SLOTS_MIN, before.length * 2);
    this.#slots = Array.from({ length }, () => undefined);
    this.#mask = length - 1;
    this.#shift = Math.clz32(length) + 1;
    for (const stream of before) if (stream !== undefined) this.#place(stream);
  }

  /**
   * Ids follow each other. Side by side they would be one long run, all of which a deletion looks through; multiplied by
   * the golden ratio they lie apart.
   */
  #home(id: number): number {
    return Math.imul(id, GOLDEN) >>> this.#shift;
  }

  #place(stream: H2Stream): void {
    let at = this.#home(stream.id);
    while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
    this.#slots[at] = stream;
  }
}
