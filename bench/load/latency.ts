import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Latency, LoadResult } from "./load-spec.ts";

/** Denser towards the end, where proxies differ. */
const CURVE = [0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100];

/** Latencies of a run, in microseconds of three digits at any scale (an HDR histogram, Node's own). */
export class LatencyRecord {
  readonly #histogram: RecordableHistogram = createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });

  record(milliseconds: number): void {
    this.#histogram.record(Math.max(1, Math.round(milliseconds * 1000)));
  }

  /** Those of another record, besides. */
  add(other: LatencyRecord): void {
    this.#histogram.add(other.#histogram);
  }

  get latency(): Latency {
    const histogram = this.#histogram;
    return {
      p50: histogram.percentile(50),
      p90: histogram.percentile(90),
      p99: histogram.percentile(99),
      p999: histogram.percentile(99.9),
      max: histogram.max,
    };
  }

  /** Whole microseconds. A bucket answers with its upper end, which may lie above the largest that was seen. */
  get curve(): LoadResult["curve"] {
    const { count, min, max } = this.#histogram;
    if (count === 0) return [];
    return CURVE.map((percentile) => {
      if (percentile === 0) return [percentile, min];
      return [percentile, Math.min(max, this.#histogram.percentile(percentile))];
    });
  }
}
