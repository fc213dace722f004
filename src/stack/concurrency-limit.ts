/**
 * Counts what is under way and sheds what is too much: nobody waits for a place.
 *
 * The limit of requests per direction (LIM-23) is one of these.
 */
export class ConcurrencyLimit {
  readonly #max: number;
  #inFlight = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get hasRoom(): boolean {
    return this.#inFlight < this.#max;
  }

  /** Takes a place. @returns false if there is none; otherwise `release` must follow exactly once. */
  tryAcquire(): boolean {
    if (this.#inFlight >= this.#max) return false;
    this.#inFlight++;
    return true;
  }

  release(): void {
    if (this.#inFlight === 0) throw new Error("released a place that was never acquired");
    this.#inFlight--;
  }
}
