import { createHistogram } from "node:perf_hooks";

/** What a generator did to one address. Latencies are of a closed loop: they tell of saturation, not of a given rate. */
export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoadTarget {
  readonly protocol: "http1" | "http2";
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** At a time on each connection; HTTP/1 knows one. */
  readonly streams: number;
}

/** Latencies in microseconds, with three digits of precision at any scale. */
export function latencyHistogram() {
  return createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
}
