const BUCKETS = 10;
/** Buckets shorter than a millisecond would tell nothing apart. */
const WINDOW_MIN_MS = 10;

/**
 * The share of successes over a sliding window, by exact counts in ten slices of it: a burst weighs as much as the same
 * answers spread out.
 *
 * Source: linkerd2-proxy, linkerd/app/outbound/src/http/breaker/success_rate.rs.
 */
export class SuccessRateWindow {
  readonly #bucketMs: number;
  readonly #successes = new Uint32Array(BUCKETS);
  readonly #totals = new Uint32Array(BUCKETS);
  #current = 0;
  /** When the current slice began. */
  #sinceMs: number;

  /** @param windowMs values below 10 count as 10. */
  constructor(windowMs: number, nowMs: number) {
    this.#bucketMs = Math.max(WINDOW_MIN_MS, windowMs) / BUCKETS;
    this.#sinceMs = nowMs;
  }

  record(isSuccess: boolean, nowMs: number): void {
    this.#roll(nowMs);
    add(this.#totals, this.#current);
    if (isSuccess) add(this.#successes, this.#current);
  }

  /** Whether at least `minRequests` answers, and at least one, lie in the window as of the last one, and too few of them are successes. */
  isBelow(threshold: number, minRequests: number): boolean {
    const total = sum(this.#totals);
    return total > 0 && total >= minRequests && sum(this.#successes) / total < threshold;
  }

  reset(nowMs: number): void {
    this.#successes.fill(0);
    this.#totals.fill(0);
    this.#current = 0;
    this.#sinceMs = nowMs;
  }

  /** Moves on to the slice of `nowMs`, emptying those that are passed: they held the oldest answers. */
  #roll(nowMs: number): void {
    const steps = Math.floor((nowMs - this.#sinceMs) / this.#bucketMs);
    if (steps <= 0) return;
    for (let i = 1; i <= Math.min(steps, BUCKETS); i++) {
      const index = (this.#current + i) % BUCKETS;
      this.#successes[index] = 0;
      this.#totals[index] = 0;
    }
    this.#current = (this.#current + steps) % BUCKETS;
    // Whole slices only, so that fractions of one do not add up.
    this.#sinceMs += steps * this.#bucketMs;
  }
}

function add(counts: Uint32Array, index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}

function sum(counts: Uint32Array): number {
  let total = 0;
  for (let i = 0; i < BUCKETS; i++) total += counts[i] ?? 0;
  return total;
}
