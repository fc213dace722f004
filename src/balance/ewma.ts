/**
 * An exponentially weighted moving average of samples taken at uneven times.
 *
 * Over `decayMs` an old value keeps about 37% of its weight. Times are monotonic and may stand still; a time before the
 * last one counts as the last one.
 *
 * Source: linkerd2-proxy, linkerd/ewma/src/lib.rs.
 */
export class Ewma {
  readonly #decayMs: number;
  #value: number;
  #atMs: number;

  /** @param decayMs values below 1 count as 1: they would divide by zero. */
  constructor(decayMs: number, initial: number, nowMs: number) {
    this.#decayMs = Math.max(DECAY_MIN_MS, decayMs);
    this.#value = initial;
    this.#atMs = nowMs;
  }

  /** The average as it was when last changed. */
  get value(): number {
    return this.#value;
  }

  /** The average decayed towards zero, as silence does, without changing it. */
  decayed(nowMs: number): number {
    return nowMs > this.#atMs ? this.#value * this.#weight(nowMs) : this.#value;
  }

  /** Decays the average towards zero and keeps the result. */
  decay(nowMs: number): number {
    if (nowMs > this.#atMs) {
      this.#value *= this.#weight(nowMs);
      this.#atMs = nowMs;
    }
    return this.#value;
  }

  /** Blends a sample in by the time since the last change. */
  add(sample: number, nowMs: number): void {
    const weight = this.#weight(nowMs);
    this.#value = this.#value * weight + sample * (1 - weight);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }

  /** Takes over a sample above the average at once and blends others in: quick to rise, slow to fall. */
  addPeak(sample: number, nowMs: number): void {
    if (this.#value < sample) this.replace(sample, nowMs);
    else this.add(sample, nowMs);
  }

  /** Forgets the past. */
  replace(value: number, nowMs: number): void {
    this.#value = value;
    this.#atMs = Math.max(this.#atMs, nowMs);
  }

  #weight(nowMs: number): number {
    return Math.exp(-Math.max(0, nowMs - this.#atMs) / this.#decayMs);
  }
}

const DECAY_MIN_MS = 1;
