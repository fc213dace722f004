import type { Counter, Gauge, Histogram } from "./registry.ts";

/** A counter or gauge: one number that its holders change in place. */
export class NumberCell implements Counter, Gauge {
  value = 0;
}

/** A histogram series: counts per bucket (not cumulative; the page adds them up) and a sum. */
export class HistogramCell implements Histogram {
  readonly #bounds: Float64Array;
  readonly #whole: boolean;
  /** One count per bound, and the last for what lies above all of them. */
  readonly counts: Float64Array;
  sum = 0;

  /**
   * @param bounds upper bounds, ascending, without infinity; shared by all series of a family.
   * @param whole observations are cut to whole units before they are counted, as the latency families in milliseconds do.
   */
  constructor(bounds: Float64Array, whole: boolean) {
    this.#bounds = bounds;
    this.#whole = whole;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    this.observeTimes(value, 1);
  }

  observeTimes(value: number, times: number): void {
    const seen = this.#whole ? Math.trunc(value) : value;
    this.sum += seen * times;
    const bounds = this.#bounds;
    let at = 0;
    // At most 25 bounds, and most observations fall into the first few: a scan beats a search.
    while (at < bounds.length && seen > (bounds[at] ?? 0)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + times;
  }
}
