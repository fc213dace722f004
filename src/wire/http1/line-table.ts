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
  readonly #lines: (Uint8Array | undefined)[];
  readonly #values: (T | undefined)[];

  /** @param slots a power of two. */
  constructor(slots: number) {
    this.#mask = slots - WAYS;
    this.#seen = new Int32Array(slots);
    this.#hashes = new Int32Array(slots);
    this.#lines = Array.from({ length: slots }, () => undefined);
    this.#values = Array.from({ length: slots }, () => undefined);
  }

  find(buffer: Uint8Array, start: number, end: number, hash: number): T | undefined {
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    if (this.#hashes[slot] === hash && this.#isLine(slot, buffer, start, end)) return this.#values[slot];
    if (this.#hashes[slot + 1] === hash && this.#isLine(slot + 1, buffer, start, end)) {
      return this.#values[slot + 1];
    }
    return undefined;
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
  keep(buffer: Uint8Array, start: number, end: number, hash: number, value: T): void {
    const slot = (hash ^ (hash >>> 15)) & this.#mask;
    this.#hashes[slot + 1] = this.#hashes[slot] ?? 0;
    this.#lines[slot + 1] = this.#lines[slot];
    this.#values[slot + 1] = this.#values[slot];
    this.#hashes[slot] = hash;
    this.#lines[slot] = new Uint8Array(buffer.subarray(start, end));
    this.#values[slot] = value;
  }

  #isLine(slot: number, buffer: Uint8Array, start: number, end: number): boolean {
    const line = this.#lines[slot];
    if (line === undefined || line.length !== end - start) return false;
    for (let i = 0; i < line.length; i++) if (line[i] !== buffer[start + i]) return false;
    return true;
  }
}

/** The hash of a line as the table wants it; callers that scan for the line's end anyway compute it on the way. */
export function hashLine(buffer: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (buffer[i] ?? 0)) | 0;
  return hash;
}
