/** Exponential backoff: pause n is `min * 2^n`, at most `max`, plus up to `jitter` of itself, never above `max`. */
export interface BackoffParams {
  readonly minMs: number;
  readonly maxMs: number;
  /** Share of the base that chance may add, 0 to 100. */
  readonly jitter: number;
}

/**
 * The state of one sequence of failures.
 *
 * Source: linkerd2-proxy, linkerd/exp-backoff/src/lib.rs.
 */
export class Backoff {
  readonly #params: BackoffParams;
  readonly #random: () => number;
  #failures = 0;

  constructor(params: BackoffParams, random: () => number = Math.random) {
    this.#params = params;
    this.#random = random;
  }

  /** The pause before the next attempt, in milliseconds; each call lengthens the one after it. */
  next(): number {
    const { minMs, maxMs, jitter } = this.#params;
    // 2^30 doublings overflow nothing but take every sensible minimum beyond its maximum.
    const base = Math.min(maxMs, minMs * 2 ** Math.min(this.#failures++, 30));
    return Math.min(maxMs, base + this.#random() * base * jitter);
  }

  reset(): void {
    this.#failures = 0;
  }
}
