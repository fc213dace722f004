import { ByteBudget } from "./byte-budget.ts";
import { REPLAY_PROCESS_BYTES, REPLAY_REQUEST_BYTES } from "../wire/limits.ts";

/**
 * LIM-20 counts per process, whatever number of proxies one runs. Whoever finds nothing left sends its request without the
 * means to retry.
 */
export const PROCESS_REPLAY_MEMORY = new ByteBudget(REPLAY_PROCESS_BYTES);

/** What a first piece of unknown prospects is given; doubled as more comes. */
const FIRST_BYTES = 1024;

const NOTHING = Buffer.alloc(0);

/**
 * The body of a request, kept for as long as it may have to be sent again.
 *
 * One buffer that grows, so that a body of many tiny pieces costs no more than its bytes, and is sent again as one piece.
 * What does not fit, in the bound of the request or of the process, spills: everything is let go, and stays so.
 *
 * Source: linkerd2-proxy, linkerd/http/retry/src/replay.rs.
 */
export class ReplayBuffer {
  readonly #maxBytes: number;
  readonly #memory: ByteBudget;
  #bytes = NOTHING;
  #length = 0;
  #spilled = false;

  /** @param maxBytes of the policy, which LIM-20 may lower. */
  constructor(maxBytes: number, memory: ByteBudget = PROCESS_REPLAY_MEMORY) {
    this.#maxBytes = Math.min(maxBytes, REPLAY_REQUEST_BYTES);
    this.#memory = memory;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** The body was too large, or memory too short: it cannot be sent again. */
  get spilled(): boolean {
    return this.#spilled;
  }

  /** The first `length` bytes are the body so far; valid until the next call. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Keeps a copy. @returns whether the whole body so far is kept. */
  append(buffer: Buffer, start: number, end: number): boolean {
    if (this.#spilled) return false;
    const length = this.#length + end - start;
    if (length > this.#maxBytes || (length > this.#bytes.length && !this.#grow(length))) {
      this.spill();
      return false;
    }
    buffer.copy(this.#bytes, this.#length, start, end);
    this.#length = length;
    return true;
  }

  /** Lets go of everything; nothing is kept from now on. */
  spill(): void {
    this.#spilled = true;
    this.#memory.give(this.#bytes.length);
    this.#bytes = NOTHING;
    this.#length = 0;
  }

  #grow(length: number): boolean {
    const doubled = Math.max(length, FIRST_BYTES, this.#bytes.length * 2);
    const size = Math.min(doubled, this.#maxBytes);
    if (!this.#memory.take(size - this.#bytes.length)) return false;
    const grown = Buffer.allocUnsafeSlow(size);
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
    return true;
  }
}
