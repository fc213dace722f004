/** From rounds to the figures that people look at. */
import { DIRECT, type FigureName, FIGURES, LOAD_BUSY_MAX, OURS, type Spread } from "./figures.ts";
import { median, medianInterval } from "./harness/median.ts";
import type { Rounds } from "./kinds/way.ts";
import { ratiosOf } from "./ratios.ts";
import type { ScenarioReport, WayReport } from "./report/run-report.ts";
import type { Scenario } from "./suite.ts";

const NAMES = Object.keys(FIGURES) as readonly FigureName[];

export function summarise({ name, title, subject }: Scenario, measured: Rounds): ScenarioReport {
  const ours = measured.get(OURS) ?? [];
  const ways = [...measured].map(([way, rounds]): WayReport => ({
    name: way,
    rounds,
    figures: spreads((figure) => spreadOf(rounds.map((round) => round.figures[figure]))),
    ratios: spreads((figure) => {
      const ratios = ratiosOf(way, figure, ours, rounds);
      const interval = medianInterval(ratios);
      const spread = spreadOf(ratios);
      return spread !== undefined && interval !== undefined ? { ...spread, interval } : spread;
    }),
  }));
  return { name, title, subject, ways };
}

function spreads(of: (figure: FigureName) => Spread | undefined): Partial<Record<FigureName, Spread>> {
  const result: Partial<Record<FigureName, Spread>> = {};
  for (const figure of NAMES) {
    const spread = of(figure);
    if (spread !== undefined) result[figure] = spread;
  }
  return result;
}

function spreadOf(values: readonly (number | undefined)[]): Spread | undefined {
  const known = values.filter((value) => value !== undefined && Number.isFinite(value)) as number[];
  if (known.length === 0) return undefined;
  return { median: median(known), min: Math.min(...known), max: Math.max(...known) };
}

/** Figures that a table shows after the subject, if they were measured. */
const COLUMNS: readonly FigureName[] = [
  "cpuMicros",
  "requestsPerSecond",
  "mibPerSecond",
  "p50Micros",
  "quietP99Micros",
  "p99Micros",
  "p999Micros",
  "maxMicros",
  "bytesPerConnection",
  "readyMs",
  "rssMiB",
  "peakMiB",
  "driftMiBPerHour",
  "errors",
];

/** A row for each way to the application; what the scenario is about comes first. */
export function rowsOf({ subject, ways }: ScenarioReport): readonly Record<string, string>[] {
  const columns = COLUMNS.filter((figure) => ways.some(({ figures }) => figures[figure] !== undefined));
  const compared = ways.some(({ ratios: one }) => one[subject] !== undefined);
  return ways.map((way) => {
    const row: Record<string, string> = { way: way.name };
    if (compared) row[`our ${FIGURES[subject].title} : theirs`] = ratioCell(way.ratios[subject]);
    for (const figure of columns) row[FIGURES[figure].title] = cell(figure, way);
    const busy = way.figures.loadBusy?.median;
    if (busy !== undefined) row["load"] = loadCell(busy, way.name);
    return row;
  });
}

function cell(figure: FigureName, { figures }: WayReport): string {
  return figures[figure]?.median.toFixed(FIGURES[figure].digits) ?? "-";
}

/** `0.95 (0.92-0.98)`. */
function ratioCell(ratio: Spread | undefined): string {
  if (ratio === undefined) return "";
  const { median: middle, interval } = ratio;
  const text = middle.toFixed(2);
  return interval === undefined ? text : `${text} (${interval.map((end) => end.toFixed(2)).join("-")})`;
}

function loadCell(busy: number, way: string): string {
  const percent = `${(busy * 100).toFixed(0)}%`;
  return busy > LOAD_BUSY_MAX && way !== DIRECT ? `${percent}: the bottleneck` : percent;
}
