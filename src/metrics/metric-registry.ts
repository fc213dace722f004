import { Registry, type Metric } from "prom-client";
import { sleep, type Clock } from "../time/clock.ts";
import { HistogramCell, NumberCell } from "./cells.ts";
import { familyLines } from "./exposition.ts";
import {
  SeriesFamily,
  type AnyFamily,
  type CounterFamily,
  type FamilySpec,
  type GaugeFamily,
  type HistogramFamily,
} from "./family.ts";
import type { Labels } from "./registry.ts";

/** How much of a page is made in one turn of the event loop: about a millisecond's worth. */
const BYTES_PER_TURN = 256 * 1024;

/** What distinguishes a family beyond its name; everything has a plain default. */
export interface FamilyOptions {
  readonly unit?: "seconds" | "bytes";
  readonly float?: boolean;
  /** Series that nobody holds any more are dropped after the registry's retention. */
  readonly expires?: boolean;
}

const NO_BOUNDS = new Float64Array(0);

/**
 * All families of the process. It owns a prom-client registry, which keeps names unique and to which other users of
 * prom-client may add metrics of their own; the page prints those after the legacy families.
 */
export class MetricRegistry {
  readonly prom = new Registry();
  readonly #clock: Clock;
  readonly #retainIdleMs: number;
  readonly #own = new Map<string, AnyFamily>();
  readonly #collectors: (() => void)[] = [];
  readonly #overflow: CounterFamily;
  readonly #overflowed = new Map<string, { value: number }>();

  /** @param retainIdleMs how long a series that nobody holds stays on the page. */
  constructor(clock: Clock, retainIdleMs: number) {
    this.#clock = clock;
    this.#retainIdleMs = retainIdleMs;
    this.#overflow = this.counter(
      "open",
      "outrigger_metrics_overflow_total",
      "Series that were refused a place of their own because their family was full",
    );
  }

  counter(part: FamilySpec["part"], name: string, help: string, options: FamilyOptions = {}): CounterFamily {
    return this.#number("counter", part, name, help, options);
  }

  gauge(part: FamilySpec["part"], name: string, help: string, options: FamilyOptions = {}): GaugeFamily {
    return this.#number("gauge", part, name, help, options);
  }

  /** Observations of a legacy histogram are cut to whole units. */
  histogram(
    part: FamilySpec["part"],
    name: string,
    help: string,
    bounds: readonly number[],
    options: FamilyOptions = {},
  ): HistogramFamily {
    const shared = Float64Array.from(bounds);
    const spec = this.#spec("histogram", part, name, help, shared, options);
    const whole = part === "legacy";
    const family = new SeriesFamily(
      spec,
      () => new HistogramCell(shared, whole),
      () => this.#clock.nowMs(),
      (full) => this.#countOverflow(full),
    );
    this.#register({ kind: "histogram", family });
    return family;
  }

  /** Runs `collect` before each page is made: for values that are read rather than counted. */
  beforeScrape(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** The page, in pieces, leaving the event loop to others between them. Afterwards idle series are dropped. */
  async *scrape(): AsyncGenerator<string> {
    for (const collect of this.#collectors) collect();
    yield* this.#pieces("legacy");
    for (const metric of this.prom.getMetricsAsArray()) {
      if (!this.#own.has(metric.name)) yield `${await this.prom.getSingleMetricAsString(metric.name)}\n`;
    }
    yield* this.#pieces("open");
    yield "# EOF\n";
    for (const { family } of this.#own.values()) family.expire();
  }

  async *#pieces(part: FamilySpec["part"]): AsyncGenerator<string> {
    let piece = "";
    for (const any of this.#own.values()) {
      if (any.family.spec.part !== part) continue;
      for (const lines of familyLines(any)) {
        piece += lines;
        if (piece.length < BYTES_PER_TURN) continue;
        yield piece;
        piece = "";
        await sleep(this.#clock, 0);
      }
    }
    if (piece !== "") yield piece;
  }

  #number(
    type: "counter" | "gauge",
    part: FamilySpec["part"],
    name: string,
    help: string,
    options: FamilyOptions,
  ): SeriesFamily<NumberCell> {
    const family = new SeriesFamily(
      this.#spec(type, part, name, help, NO_BOUNDS, options),
      () => new NumberCell(),
      () => this.#clock.nowMs(),
      (full) => this.#countOverflow(full),
    );
    this.#register({ kind: "number", family });
    return family;
  }

  #spec(
    type: FamilySpec["type"],
    part: FamilySpec["part"],
    name: string,
    help: string,
    bounds: Float64Array,
    options: FamilyOptions,
  ): FamilySpec {
    return {
      name,
      type,
      help,
      part,
      bounds,
      unit: options.unit,
      float: options.float ?? false,
      retainMs: options.expires === true ? this.#retainIdleMs : undefined,
    };
  }

  #register(any: AnyFamily): void {
    const { spec } = any.family;
    const metric = {
      name: spec.name,
      help: spec.help,
      type: spec.type,
      aggregator: "sum",
      get: async () => ({
        name: spec.name,
        help: spec.help,
        type: spec.type,
        aggregator: "sum",
        values: promValues(any),
      }),
      reset: () => {},
    };
    // prom-client's registry reads nothing of a metric beyond these members (its lib/registry.js); its types know only its own classes.
    this.prom.registerMetric(metric as unknown as Metric);
    this.#own.set(spec.name, any);
  }

  #countOverflow(family: string): void {
    let cell = this.#overflowed.get(family);
    if (cell === undefined) {
      cell = this.#overflow.cell([["family", family]]);
      this.#overflowed.set(family, cell);
    }
    cell.value++;
  }
}

interface PromValue {
  readonly metricName: string;
  readonly labels: Record<string, string>;
  readonly value: number;
}

/** The series as prom-client's own consumers (a push gateway, a cluster) expect them. */
function promValues(any: AnyFamily): PromValue[] {
  const { name, bounds } = any.family.spec;
  const values: PromValue[] = [];
  if (any.kind === "number") {
    for (const { labels, cell } of any.family)
      values.push({ metricName: name, labels: record(labels), value: cell.value });
    return values;
  }
  for (const { labels, cell } of any.family) {
    let count = 0;
    for (let i = 0; i < cell.counts.length; i++) {
      count += cell.counts[i] ?? 0;
      const le = i < bounds.length ? String(bounds[i]) : "+Inf";
      values.push({ metricName: `${name}_bucket`, labels: record([...labels, ["le", le]]), value: count });
    }
    values.push({ metricName: `${name}_sum`, labels: record(labels), value: cell.sum });
    values.push({ metricName: `${name}_count`, labels: record(labels), value: count });
  }
  return values;
}

function record(labels: Labels): Record<string, string> {
  // Object.fromEntries defines own properties, so a label named __proto__ stays a label.
  return Object.fromEntries(labels);
}
