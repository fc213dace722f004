/** So many requests make a window: what happens to every hundredth happens in nearly every one. */
const WINDOW_REQUESTS = 200;
/** The p99 of that many, as a rank from below. */
const P99_RANK = Math.ceil(0.99 * WINDOW_REQUESTS) - 1;

/**
 * The p99 of one window of requests after the other. Where a machine is shared, stalls of a millisecond come several times a
 * second and are all that a p99 over seconds shows. Those of the load itself are known and left out; between those of the
 * proxies' core there are windows that show the proxy.
 */
export class TailWindows {
  readonly #p99Micros: number[] = [];
  readonly #window = new Float64Array(WINDOW_REQUESTS);
  #filled = 0;
  /** Answered in the present stretch, of which it is not known yet whether it was quiet. */
  readonly #stretch: number[] = [];
  #wasStalled = false;

  record(milliseconds: number): void {
    this.#stretch.push(milliseconds);
  }

  /** A stretch ended. What came in one with a stall, and in the next, which answers what that held up, says nothing of proxies. */
  endStretch(stalled: boolean): void {
    if (!stalled && !this.#wasStalled) for (const milliseconds of this.#stretch) this.#take(milliseconds);
    this.#wasStalled = stalled;
    this.#stretch.length = 0;
  }

  /** Of each full window, in order. */
  get p99Micros(): readonly number[] {
    return this.#p99Micros;
  }

  #take(milliseconds: number): void {
    this.#window[this.#filled++] = milliseconds;
    if (this.#filled < WINDOW_REQUESTS) return;
    this.#filled = 0;
    this.#p99Micros.push(Math.round((this.#window.sort()[P99_RANK] ?? NaN) * 1000));
  }
}
