/**
 * Metric families with cells. A cell is one series: whoever counts asks for its cell once, when a stack or connection is
 * built, and then touches plain numbers. Text is made on a scrape.
 */

/** Label names and values in print order. */
export type Labels = readonly (readonly [string, string])[];

export interface Counter {
  value: number;
}
export interface Gauge {
  value: number;
}
export interface Histogram {
  /** Counts one observation, in the family's unit. */
  observe(value: number): void;
  /** Counts as many observations of the same value. */
  observeTimes(value: number, times: number): void;
}

/**
 * A family of series. `cell` gives the same object for the same labels and keeps the series alive until `release`d by
 * every asker; idle series are dropped after the family's retention, so that label values chosen by peers stay bounded.
 */
export interface Family<Cell> {
  cell(labels: Labels): Cell;
  release(labels: Labels): void;
}
