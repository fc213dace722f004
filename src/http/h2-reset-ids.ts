import { H2_RESET_STREAMS_REMEMBERED } from "../wire/limits.ts";

/**
 * Streams that we reset while the peer could still send on them, oldest first: frames on these are late, not wrong.
 *
 * Source: RFC 9113 section 5.1, state "closed".
 */
export class ResetIds {
  readonly #max: number;
  #ids: Set<number> | undefined;

  /** @param max how many are remembered, at most `H2_RESET_STREAMS_REMEMBERED`. */
  constructor(max: number) {
    this.#max = Math.min(max, H2_RESET_STREAMS_REMEMBERED);
  }

  add(streamId: number): void {
    const ids = (this.#ids ??= new Set());
    ids.add(streamId);
    if (ids.size <= this.#max) return;
    for (const oldest of ids) {
      ids.delete(oldest);
      break;
    }
  }

  has(streamId: number): boolean {
    return this.#ids !== undefined && this.#ids.has(streamId);
  }
}
