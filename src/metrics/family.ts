import type { HistogramCell, NumberCell } from "./cells.ts";
import { labelText } from "./label-text.ts";
import type { Counter, Family, Gauge, Histogram, Labels } from "./registry.ts";

/** Series that one family holds before newcomers share an overflow series. Source: LIM-26. */
export const SERIES_MAX = 10_000;

/** A full family looks for series it may drop at most this often, so that a flood of new names costs no scan each. */
const SWEEP_INTERVAL_MS = 1_000;

/** Labels with few possible values: the overflow series keep them, so that sums by direction stay right. */
const KEPT_IN_OVERFLOW = new Set(["direction", "peer", "classification"]);

/** What a family is, as its HELP, TYPE and UNIT lines say it. */
export interface FamilySpec {
  /** The name of its samples; counters of the open part end in `_total`. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One sentence without full stop. */
  readonly help: string;
  /** The older text format, or the OpenMetrics-like one: they differ in order and decimals. */
  readonly part: "legacy" | "open";
  readonly unit: "seconds" | "bytes" | undefined;
  /** Samples always show a decimal point. */
  readonly float: boolean;
  /** Upper bounds of a histogram, ascending, without infinity. */
  readonly bounds: Float64Array;
  /** Series that nobody holds are dropped this long after their last holder let go; undefined keeps them for ever. */
  readonly retainMs: number | undefined;
}

/** One series with the count of those who hold its cell. */
export interface Series<Cell> {
  readonly text: string;
  readonly labels: Labels;
  readonly cell: Cell;
  holders: number;
  releasedAtMs: number;
  dropped: boolean;
}

/** The series of one family. See `Family` for what callers are promised. */
export class SeriesFamily<Cell> implements Family<Cell> {
  readonly spec: FamilySpec;
  readonly #make: () => Cell;
  readonly #nowMs: () => number;
  readonly #onOverflow: (family: string) => void;
  readonly #series = new Map<string, Series<Cell>>();
  readonly #overflow = new Map<string, Series<Cell>>();
  /** Callers keep their label lists: the same array finds its series again without making text. */
  readonly #byList = new WeakMap<Labels, Series<Cell>>();
  #sweptAtMs = -Infinity;

  constructor(spec: FamilySpec, make: () => Cell, nowMs: () => number, onOverflow: (family: string) => void) {
    this.spec = spec;
    this.#make = make;
    this.#nowMs = nowMs;
    this.#onOverflow = onOverflow;
  }

  cell(labels: Labels): Cell {
    const series = this.#find(labels) ?? this.#add(labels);
    series.holders++;
    return series.cell;
  }

  release(labels: Labels): void {
    const series = this.#find(labels);
    if (series === undefined || series.holders === 0) return;
    if (--series.holders === 0) series.releasedAtMs = this.#nowMs();
  }

  /** Series in the order they came, the overflow last. */
  *[Symbol.iterator](): Generator<Series<Cell>> {
    yield* this.#series.values();
    yield* this.#overflow.values();
  }

  get size(): number {
    return this.#series.size + this.#overflow.size;
  }

  /** Drops series that nobody has held for the retention. A name that comes back starts at zero. */
  expire(): void {
    const { retainMs } = this.spec;
    if (retainMs === undefined) return;
    const oldestMs = this.#nowMs() - retainMs;
    for (const [text, series] of this.#series) {
      if (series.holders > 0 || series.releasedAtMs > oldestMs) continue;
      series.dropped = true;
      this.#series.delete(text);
    }
  }

  #find(labels: Labels): Series<Cell> | undefined {
    const known = this.#byList.get(labels);
    if (known !== undefined && !known.dropped) return known;
    const series = this.#series.get(labelText(labels));
    if (series !== undefined) this.#byList.set(labels, series);
    return series;
  }

  #add(labels: Labels): Series<Cell> {
    if (this.#series.size >= SERIES_MAX) {
      const nowMs = this.#nowMs();
      if (nowMs - this.#sweptAtMs >= SWEEP_INTERVAL_MS) {
        this.#sweptAtMs = nowMs;
        this.expire();
      }
      if (this.#series.size >= SERIES_MAX) return this.#overflowFor(labels);
    }
    return this.#create(this.#series, labels, labels);
  }

  #overflowFor(labels: Labels): Series<Cell> {
    this.#onOverflow(this.spec.name);
    const kept: Labels = [...labels.filter(([name]) => KEPT_IN_OVERFLOW.has(name)), ["overflow", "true"]];
    const existing = this.#overflow.get(labelText(kept));
    if (existing === undefined) return this.#create(this.#overflow, kept, labels);
    this.#byList.set(labels, existing);
    return existing;
  }

  #create(into: Map<string, Series<Cell>>, printed: Labels, asked: Labels): Series<Cell> {
    const series: Series<Cell> = {
      text: labelText(printed),
      labels: printed,
      cell: this.#make(),
      holders: 0,
      releasedAtMs: 0,
      dropped: false,
    };
    into.set(series.text, series);
    this.#byList.set(asked, series);
    return series;
  }
}

/** A family of any cell, as the page and the registry handle it. */
export type AnyFamily =
  | { readonly kind: "number"; readonly family: SeriesFamily<NumberCell> }
  | { readonly kind: "histogram"; readonly family: SeriesFamily<HistogramCell> };

export type CounterFamily = Family<Counter>;
export type GaugeFamily = Family<Gauge>;
export type HistogramFamily = Family<Histogram>;
