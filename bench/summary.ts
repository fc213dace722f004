/** From rounds to the few figures that people look at. */
import { median } from "./harness/report.ts";
import { DIRECT, type Measurement, type Measurements } from "./measure.ts";
import { outrigger } from "./peers/outrigger.ts";
import type { Scenario, Subject } from "./suite.ts";

/** How we compare with a peer: below 1 is better, but for throughput above. */
export interface Ratios {
  readonly cpu: number;
  readonly p50: number;
  /** Of the best rounds of both: what a proxy does while the machine is quiet. */
  readonly p99: number;
  readonly throughput: number;
}

/** The load process is the bottleneck above this share of its time. */
const LOAD_BUSY_MAX = 0.9;

/** Ours to each peer's; medians of the ratios of single rounds. */
export function ratiosOf(measurements: Measurements): Readonly<Record<string, Ratios>> {
  const ours = measurements.get(outrigger.name) ?? [];
  const ratios: Record<string, Ratios> = {};
  for (const [name, theirs] of measurements) {
    if (name === outrigger.name || name === DIRECT) continue;
    const of = (figure: (m: Measurement) => number): number =>
      median(ours.map((one, i) => figure(one) / (theirs[i] === undefined ? NaN : figure(theirs[i]))));
    ratios[name] = {
      cpu: of((m) => m.cpuMicrosPerRequest),
      p50: of((m) => m.latency.p50),
      p99: best(ours, (m) => m.latency.p99) / best(theirs, (m) => m.latency.p99),
      throughput: of((m) => m.mibPerSecond),
    };
  }
  return ratios;
}

function best(rounds: readonly Measurement[], figure: (m: Measurement) => number): number {
  return Math.min(...rounds.map(figure));
}

/** A row for each way to the application; what the scenario is about comes first. */
export function rowsOf({ subject }: Scenario, measurements: Measurements): readonly Record<string, string>[] {
  const ratios = ratiosOf(measurements);
  return [...measurements].map(([name, rounds]) => {
    const of = (figure: (m: Measurement) => number): number => median(rounds.map(figure));
    const busy = of((m) => m.loadBusy);
    const cells = {
      ...subjectCells(subject, ratios[name]),
      "CPU us/request": name === DIRECT ? "-" : of((m) => m.cpuMicrosPerRequest).toFixed(1),
      "requests/s": of((m) => m.requestsPerSecond).toFixed(0),
      "MiB/s": of((m) => m.mibPerSecond).toFixed(0),
      "p50 us": of((m) => m.latency.p50).toFixed(0),
      "p99 us (best)": `${of((m) => m.latency.p99).toFixed(0)} (${best(rounds, (m) => m.latency.p99)})`,
      "p99.9 us": of((m) => m.latency.p999).toFixed(0),
      "RSS MiB": Object.values(rounds.at(-1)?.rssMiB ?? {})
        .map((one) => one.toFixed(0))
        .join(" + "),
      errors: rounds.reduce((sum, m) => sum + m.errors, 0).toString(),
      "load busy": `${(busy * 100).toFixed(0)}%${busy > LOAD_BUSY_MAX && name !== DIRECT ? " (the bottleneck)" : ""}`,
    };
    return { path: name, ...cells };
  });
}

const TITLES: Readonly<Record<Subject, string>> = {
  cpu: "our CPU : theirs",
  latency: "our p99 : theirs",
  throughput: "our MiB/s : theirs",
};

function subjectCells(subject: Subject, ratios: Ratios | undefined): Record<string, string> {
  const figure = { cpu: ratios?.cpu, latency: ratios?.p99, throughput: ratios?.throughput }[subject];
  return { [TITLES[subject]]: figure === undefined ? "" : figure.toFixed(2) };
}
