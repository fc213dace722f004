/** The figures of a run: what is measured, in which unit, and which way is better. Every table, plot and budget goes by these. */

export interface FigureInfo {
  readonly title: string;
  readonly better: "lower" | "higher";
  /** Digits behind the point in tables. */
  readonly digits: number;
}

export const FIGURES = {
  /** Of all proxies on the way, from the scheduler's accounting. */
  cpuMicros: { title: "CPU us/request", better: "lower", digits: 1 },
  requestsPerSecond: { title: "requests/s", better: "higher", digits: 0 },
  /** Body bytes of both directions. */
  mibPerSecond: { title: "MiB/s", better: "higher", digits: 0 },
  p50Micros: { title: "p50 us", better: "lower", digits: 0 },
  p90Micros: { title: "p90 us", better: "lower", digits: 0 },
  p99Micros: { title: "p99 us", better: "lower", digits: 0 },
  /** In an open loop, while nothing else disturbs the machine: the mean of the lowest quarter of the p99 of short stretches. */
  quietP99Micros: { title: "quiet p99 us", better: "lower", digits: 0 },
  p999Micros: { title: "p99.9 us", better: "lower", digits: 0 },
  maxMicros: { title: "max us", better: "lower", digits: 0 },
  /** Resident memory of all proxies on the way, at the end. */
  rssMiB: { title: "RSS MiB", better: "lower", digits: 0 },
  /** The most that it ever was, the sum of the proxies' own peaks. */
  peakMiB: { title: "peak MiB", better: "lower", digits: 0 },
  /** Resident memory of all proxies on the way for each idle connection of a client. */
  bytesPerConnection: { title: "bytes/connection", better: "lower", digits: 0 },
  /** From the start of the process until it says that it is ready. */
  readyMs: { title: "ready ms", better: "lower", digits: 0 },
  /** MiB an hour, by the line that fits the second half of a soak best. */
  driftMiBPerHour: { title: "drift MiB/h", better: "lower", digits: 1 },
  errors: { title: "errors", better: "lower", digits: 0 },
  /** Share of its time in which the load had something to do; near 1 the load was the bottleneck. */
  loadBusy: { title: "load busy", better: "lower", digits: 2 },
} as const satisfies Record<string, FigureInfo>;

export type FigureName = keyof typeof FIGURES;
/** What one round measured; not every kind of scenario knows every figure. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

/** What one way to the application showed in one round, all its turns together. */
export interface Round {
  readonly figures: Figures;
  /** Latency by percentile, rising: `[percentile, microseconds]`. Empty where no latency was measured. */
  readonly curve: readonly (readonly [number, number])[];
  /** Resident memory of the proxies on the way: `[seconds since the scenario began, MiB]`. */
  readonly memory: readonly (readonly [number, number])[];
}

/** The middle and the extremes of a figure over rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Of ratios: between these the median lies with a confidence of 95 %. Undefined of few rounds. */
  readonly interval?: readonly [number, number];
}

/** The name of the way without a proxy, beside which the others are put. */
export const DIRECT = "direct";
/** The name of the way through ourselves; ratios are ours to each other's. */
export const OURS = "outrigger";

/** The load is the bottleneck above this share of its time. */
export const LOAD_BUSY_MAX = 0.9;
